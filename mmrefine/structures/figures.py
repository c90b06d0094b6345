"""Figures: what the numbers of an evaluation are called, what they are measured in, and which way is better."""
from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any, Dict, Mapping, Optional

GROUND_TRUTH, LABEL_FREE = 'ground truth', 'label-free score'


@dataclass(frozen=True)
class Figure:
    """A number that an evaluation gives, as reports show it.

    Args:
        name: key of the number in a dict of scores.
        unit: ``'px'``, ``'%'``, …; empty if it has none.
        better: ``'lower'`` or ``'higher'``; None where neither is better.
        headline: whether it is the number that decides whether a network got better; one of each evaluation is.
        title: in tables and sentences; default: ``name``.
        table: where it is shown: ``'main'`` in the first table, ``'more'`` in that of the other scores, ``'benchmark'``
            only among the scores of a benchmark by part of the frame.
        part: of the frame that it is about; empty: the whole frame.
        decided_by: :data:`GROUND_TRUTH`, or :data:`LABEL_FREE` for a number that is a hint rather than a measured
            accuracy.
    """
    name: str
    unit: str = ''
    better: Optional[str] = None
    headline: bool = False
    title: str = ''
    table: str = 'more'
    part: str = ''
    decided_by: str = GROUND_TRUTH

    def __post_init__(self) -> None:
        if self.better not in (None, 'lower', 'higher'):
            raise ValueError(f"a figure is better 'lower' or 'higher', or None where neither is, got {self.better!r}")
        if not self.title:
            object.__setattr__(self, 'title', self.name)

    @property
    def sign(self) -> int:
        """-1 where lower is better, 1 where higher is, 0 where neither is."""
        return {'lower': -1, 'higher': 1}.get(self.better or '', 0)

    def to_dict(self) -> Dict[str, Any]:
        """For JSON; :meth:`from_dict` gives the same figure back."""
        return asdict(self)

    @classmethod
    def from_dict(cls, found: Mapping[str, Any]) -> 'Figure':
        """The figure that a record names; keys of other versions are left out.

        Raises:
            ValueError: no name, or a ``better`` that is neither.
        """
        if not isinstance(found.get('name'), str):
            raise ValueError('a figure needs a name')
        return cls(**{field.name: found[field.name] for field in fields(cls) if field.name in found})
