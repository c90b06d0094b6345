"""Descriptions of parts: their settings as configs, defaults included."""
from __future__ import annotations

import inspect
from typing import Any, Dict


def full_config(part: Any, config: Dict[str, Any]) -> Dict[str, Any]:
    """The config of a part with the defaults of its class filled in, JSON-able.

    Settings that the class lists as ``described_if_set`` are left out where they are None; those that it lists as
    ``described_by_contents`` always are: they name files, and what stands in a file counts, not where it lies.
    """
    given = {key: value for key, value in config.items() if key not in ('type', '_scope_')}
    bound = inspect.signature(type(part)).bind(**given)
    bound.apply_defaults()
    unset = [key for key in getattr(part, 'described_if_set', ()) if bound.arguments[key] is None]
    unset += getattr(part, 'described_by_contents', ())
    set_ = {key: _plain(value) for key, value in bound.arguments.items() if key not in unset}
    return dict(type=type(part).__name__, **set_)


def with_contents(part: Any, config: Dict[str, Any]) -> Dict[str, Any]:
    """:func:`full_config`, and under ``contents`` what the part says of the files that it has read (``describe()``)."""
    found = full_config(part, config)
    contents = part.describe() if hasattr(part, 'describe') else None
    return dict(found, contents=contents) if contents else found


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(inner) for inner in value]
    # 1 and 1.0 mean the same label, so they must not differ in a fingerprint
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value
