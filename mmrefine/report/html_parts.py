"""What the sections of the report are made of. All of it takes and returns HTML; strings of the user are escaped by the caller."""
from __future__ import annotations

import json
from html import escape
from typing import Any, List, Optional, Sequence
from urllib.parse import quote

from mmrefine.report.record import kind_of


def table(head: List[List[str]], rows: List[str]) -> str:
    """A table that scrolls by itself, from rows of cells that are HTML already."""
    lines = ''.join(f'<tr>{"".join(cells)}</tr>\n' for cells in head)
    body = '\n'.join(rows)
    # a region that scrolls must be reachable by keyboard
    return ('<div class="scroll" tabindex="0" role="group" aria-label="table"><table>\n'
            f'<thead>\n{lines}</thead>\n<tbody>\n{body}\n</tbody>\n</table></div>')


def image(path: Any, alt: str, attributes: str = '') -> str:
    """A picture beside the page.

    Args:
        path: relative to the page; not escaped yet. ``quote`` also disarms "javascript:" and friends: the colon becomes %3A.
        alt: what is to be seen; not escaped yet.
        attributes: more, ready to be used.
    """
    return f'<img loading="lazy" src="{escape(quote(str(path)))}" alt="{escape(alt)}"{attributes}>'


def figure(path: Any, caption: str, alt: Optional[str] = None) -> str:
    """A picture with a caption; neither is escaped yet."""
    return f'<figure>{image(path, caption if alt is None else alt)}<figcaption>{escape(caption)}</figcaption></figure>'


def legend(wheel: Any, text: str) -> str:
    """The colour wheel beside a text; neither is escaped yet, and there may be no wheel."""
    told = 'colour wheel: right is red, down yellow, left cyan, up blue'
    picture = image(wheel, told, ' class="wheel"') if wheel else ''
    return f'<div class="legend">{picture}<p class="soft">{escape(text)}</p></div>'


def change_class(change: Optional[float], better: int = -1) -> str:
    """The attribute that colours a change: green where it is for the better, red for the worse, none else."""
    gain = better * (change or 0)
    return ' class="good"' if gain > 0 else ' class="bad"' if gain < 0 else ''


def sure_class(change: Optional[float], interval: Optional[Sequence[Optional[float]]]) -> str:
    """:func:`change_class` of a change that is better when lower; none where its interval holds 0, for it may as well be no change."""
    low, high = interval or (change, change)
    return change_class(change) if low is not None and high is not None and low * high > 0 else ''


def change_color(change: Optional[float], metric: str) -> str:
    """:func:`change_class` of a known score."""
    return change_class(change, kind_of(metric).better)


def dump(value: Any) -> str:
    """A value of the record as text for ``<pre>``, escaped."""
    return escape(value if isinstance(value, str) else json.dumps(value, indent=2, ensure_ascii=False))
