"""Rows of a table in a JSON file that may be committed: each is made once, by processes that may run side by side."""
from __future__ import annotations

import json
from operator import itemgetter
from pathlib import Path
from typing import Any, Callable, Dict, List, Sequence

from mmrefine.errors import ConfigError
from mmrefine.fileio.atomic import write_json
from mmrefine.fileio.lock import folder_lock

Row = Dict[str, Any]


def kept_row(path: Path, key: str, make: Callable[[], Row], locks: Path, order: Sequence[str]) -> Row:
    """A row of the file; made and added to it if it is not there.

    Args:
        path: JSON list of rows.
        key: digest of everything that decides over the row; it is put into it.
        make: the row, without its key.
        locks: folder of those who write this file at the same time.
        order: names of two or more values of each row, by which the file is sorted.

    Raises:
        ConfigError: the file is not a JSON list of rows.
    """
    own = locks / key  # two may ask for the same row at the same time
    own.mkdir(parents=True, exist_ok=True)
    with folder_lock(own):
        found = next((row for row in read_rows(path) if row['key'] == key), None)
        if found is None:
            found = dict(make(), key=key)
            with folder_lock(locks):
                write_json(path, sorted([*read_rows(path), found], key=itemgetter(*order)))
    return found


def read_rows(path: Path) -> List[Row]:
    """The rows of a file; none if there is no such file.

    Raises:
        ConfigError: it is not a JSON list of rows with keys.
    """
    try:
        rows: List[Row] = json.loads(path.read_text(encoding='utf-8'))
    except FileNotFoundError:
        return []
    except ValueError as error:
        raise _unreadable(path, str(error)) from error
    if not isinstance(rows, list) or not all(isinstance(row, dict) and 'key' in row for row in rows):
        raise _unreadable(path, 'rows with a key are missing')
    return rows


def _unreadable(path: Path, found: str) -> ConfigError:
    return ConfigError(f'{path}: expected a JSON list of rows, found something else ({found}); remove it, or name '
                       'another file with --out')
