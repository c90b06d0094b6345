"""Numbers and counts as text, for the page, the tables and the sentences of a report."""
from __future__ import annotations

from typing import Any, Optional, Sequence

from mmrefine.structures.figures import Figure


def counted(count: Any, name: str = 'frame pair') -> str:
    """``1 frame pair``, ``12 frame pairs``."""
    return f'{count} {name}{"" if count == 1 else "s"}'


def kept_back(count: Any, name: str = 'frame pair') -> str:
    """``12 frame pairs that were kept back``."""
    return f'{counted(count, name)} that {"was" if count == 1 else "were"} kept back'


def format_value(value: Any, absent: str = '–') -> str:
    """A score with three decimals; ``absent`` where there is none."""
    return absent if value is None else f'{value:.3f}' if isinstance(value, float) else str(value)


def format_percent(share: Optional[float], digits: int = 1) -> str:
    """A share in [0, 1] as percent without the sign, ``61.5``; an en dash where there is none."""
    return '–' if share is None else f'{100 * share:.{digits}f}'


def format_change(change: Optional[float]) -> str:
    """A change in percent with its sign, ``−6.2 %``; an en dash where there is none."""
    text = '–' if change is None else f'{change:+.1f} %'.replace('-', '−')
    return '0.0 %' if text[1:] == '0.0 %' else text


def format_interval(interval: Optional[Sequence[Optional[float]]]) -> str:
    """``−12.0 to −4.1 %``; empty where none is known. An end that is None has no bound."""
    if not interval or all(end is None for end in interval):
        return ''
    low, high = ('no bound' if end is None else format_change(end) for end in interval)
    return f'{low.removesuffix(" %")} to {high}'


def title_in_text(figure: Figure) -> str:
    """The title of a figure within a sentence: ``median cycle error`` for ``cycle error, median``."""
    return ' '.join(reversed(figure.title.split(', ')))
