"""The templates of the page: every value is escaped, and a name that is not defined is an error."""
from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Optional, Sequence
from urllib.parse import quote

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from mmrefine.report.formats import counted, format_change, format_interval, format_percent, format_value

FOLDER = Path(__file__).parent


def render(name: str, /, **values: Any) -> Markup:
    """A template of this package as HTML without space around it.

    Args:
        name: file in ``templates/``, without ``.j2``.
        values: what it shows; strings are escaped unless they are :class:`~markupsafe.Markup`.

    Raises:
        jinja2.UndefinedError: the template asks for something that is not there.
    """
    return Markup(TEMPLATES.get_template(f'{name}.j2').render(**values).strip())


def change_class(change: Optional[float], sign: int = -1,
                 interval: Optional[Sequence[Optional[float]]] = None) -> Markup:
    """The attribute that colours a change: green for the better, red for the worse; none if it may be no change.

    Args:
        change: of a score; None: not known.
        sign: -1 where lower is better, 1 where higher is, 0 where neither is.
        interval: of the change, if known; a change whose interval holds 0, or has no bound, is not coloured, nor is one
            that is shown as 0.0 %.
    """
    low, high = interval or (change, change)
    surely = low is not None and high is not None and low * high > 0
    gain = sign * round(change, 1) if surely and change is not None else 0
    return Markup(' class="good"') if gain > 0 else Markup(' class="bad"') if gain < 0 else Markup('')


def _dump(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, indent=2, ensure_ascii=False)


def _url(path: str) -> str:
    """A path in the form of a URL; jinja2's own filter knows only names that are valid text."""
    return quote(path, safe='/', errors='surrogateescape')


TEMPLATES = Environment(loader=FileSystemLoader(FOLDER / 'templates'), autoescape=True, undefined=StrictUndefined,
                        trim_blocks=True, lstrip_blocks=True)
TEMPLATES.filters.update(urlencode=_url, change=format_change, dump=_dump, interval=format_interval,
                         percent=format_percent, value=format_value)
TEMPLATES.globals.update(change_class=change_class, counted=counted)
