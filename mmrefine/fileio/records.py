"""JSON files that say how something was made."""
from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Collection, Dict, Optional

from mmrefine.errors import InputError


def read_record(path: Path, what: str, keys: Collection[str], remedy: str) -> Optional[Dict[str, Any]]:
    """The object in a JSON file; None if there is no such file.

    Args:
        path: the file.
        what: it should be, for the message.
        keys: that it must have.
        remedy: what to do with a file that is something else.

    Raises:
        InputError: the file is not valid JSON, or another object.
    """
    if not path.is_file():
        return None
    try:
        record = json.loads(path.read_bytes())
    except ValueError as error:
        raise InputError(f'{path}: is not valid JSON ({error}); {remedy}') from error
    missing = [key for key in keys if not isinstance(record, dict) or key not in record]
    if missing:
        raise InputError(f'{path}: is not {what}, it has no "{missing[0]}"; {remedy}')
    return dict(record)
