"""JSON from files: what another program, a full disk or a person may have made of it is refused in one sentence."""
from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Dict, Mapping, NoReturn, Optional

from mmrefine.errors import InputError

_TYPES = {str: 'a text', dict: 'an object', list: 'a list', int: 'a whole number', bool: 'true or false'}


def parse_json(data: bytes) -> Any:
    """The value that JSON describes.

    Raises:
        ValueError: not valid JSON, nan or an infinity (which JSON does not have), numbers of thousands of digits, or
            objects that lie in objects too deep.
    """
    try:
        return json.loads(data, parse_constant=_refuse)
    except RecursionError:
        raise ValueError('objects lie in objects too deep') from None


def type_fault(found: Mapping[str, Any], parts: Mapping[str, type]) -> Optional[str]:
    """Which part of an object is missing, or of another type; None if none is."""
    for part, kind in parts.items():
        if part not in found or not isinstance(found[part], kind) or (kind is int and isinstance(found[part], bool)):
            return f'its "{part}" is ' + (f'not {_TYPES[kind]}' if part in found else 'missing')
    return None


def read_record(path: Path, what: str, parts: Mapping[str, type], remedy: str) -> Optional[Dict[str, Any]]:
    """The object in a JSON file that says how something was made; None if there is no such file.

    Args:
        path: the file.
        what: it should be, for the message.
        parts: that it must have, and their types; ``object`` for any.
        remedy: what to do with a file that is something else.

    Raises:
        InputError: the file cannot be read, is not valid JSON, or another object.
    """
    if not path.is_file():
        return None
    try:
        record = parse_json(path.read_bytes())
    except OSError as error:
        raise InputError(f'{path}: cannot be opened ({error.strerror}); {remedy}') from error
    except ValueError as error:
        raise InputError(f'{path}: is not valid JSON ({error}); {remedy}') from error
    fault = type_fault(record, parts) if isinstance(record, dict) else 'it is not an object'
    if fault:
        raise InputError(f'{path}: is not {what}, {fault}; {remedy}')
    return dict(record)


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f'it holds {constant}, which is not a number of JSON')
