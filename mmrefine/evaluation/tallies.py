"""Tallies of many samples as one: over everything, and by scene."""
from __future__ import annotations

from dataclasses import dataclass, fields
from functools import reduce
from operator import add
from typing import Any, Dict, Iterable, List, Mapping, Optional, Sequence, Tuple, TypeVar

from mmrefine.structures.contracts import Tally
from mmrefine.structures.figures import Figure

Result = Tuple[int, str, Any]
S = TypeVar('S', bound='Sums')


class Sums:
    """A dataclass of sums and counts: two of them are added number by number."""

    def __add__(self: S, other: S) -> S:
        names = [part.name for part in fields(self)]  # type: ignore[arg-type]
        return type(self)(*(getattr(self, name) + getattr(other, name) for name in names))


@dataclass(frozen=True)
class Together:
    """Several tallies of the same samples as one; the headline is that of the first that has anything to say."""
    tallies: Tuple[Tally, ...]

    @property
    def figures(self) -> Sequence[Figure]:
        """Those of all of them."""
        return [figure for tally in self.tallies for figure in tally.figures]

    @property
    def size(self) -> float:
        """That of the first that could judge anything."""
        return next((tally.size for tally in self.tallies if tally.size), 0)

    def __add__(self, other: 'Together') -> 'Together':
        return Together(tuple(one + more for one, more in zip(self.tallies, other.tallies)))

    def scores(self) -> Dict[str, float]:
        """Those of all of them."""
        return {name: value for tally in self.tallies for name, value in tally.scores().items()}


@dataclass(frozen=True)
class Judged:
    """What a network got on each sample of a data set.

    Args:
        results: (index in the data set, scene, tally) of each sample that was judged, in the order of the data.
        counts: samples by name, such as ``pairs`` and ``pairs_without_truth``.
    """
    results: List[Result]
    counts: Mapping[str, int]

    @property
    def figures(self) -> List[Figure]:
        """The figures that :meth:`scores` has, in the order in which they are shown."""
        found = self.scores()
        declared = {figure.name: figure for _, _, tally in self.results for figure in tally.figures}
        return [figure for name, figure in declared.items() if name in found]

    @property
    def headline(self) -> Optional[Figure]:
        """The figure that says of each sample, and of all, whether it is better; None where nothing was judged."""
        return next((figure for figure in self.figures if figure.headline), None)

    def scores(self) -> Dict[str, float]:
        """All samples together, those of each scene as ``scene/<name>/…``, and the counts."""
        return {**pool_by_scene((scene, tally) for _, scene, tally in self.results), **self.counts}


def pool_by_scene(results: Iterable[Tuple[str, Any]]) -> Dict[str, float]:
    """Scores over everything (``'EPE'``) and over each scene (``'scene/<name>/EPE'``).

    Args:
        results: (scene, :class:`~mmrefine.structures.contracts.Tally`) of each sample; within a scene they are added in
            this order.

    Returns:
        flat dict of scores, scenes sorted by name; empty without results.
    """
    total, by_scene = sum_by_scene(results)
    scores: Dict[str, float] = {} if total is None else dict(total.scores())
    for scene, tally in by_scene.items():
        scores.update({f'scene/{scene}/{name}': value for name, value in tally.scores().items()})
    return scores


def sum_by_scene(results: Iterable[Tuple[str, Any]]) -> Tuple[Any, Dict[str, Any]]:
    """The sum of all tallies, None without results, and that of each scene; see :func:`pool_by_scene`."""
    by_scene: Dict[str, Any] = {}
    for scene, tally in results:
        by_scene[scene] = by_scene[scene] + tally if scene in by_scene else tally
    by_scene = dict(sorted(by_scene.items()))
    return (reduce(add, by_scene.values()) if by_scene else None), by_scene
