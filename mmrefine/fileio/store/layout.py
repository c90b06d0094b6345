"""The files of a label store: what they are called, and how they are read."""
from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, Dict, Iterable, Iterator, List, Mapping, Tuple

from mmrefine.errors import LabelStoreError
from mmrefine.fileio.atomic import TEMP_PREFIX
from mmrefine.fileio.digest import digest_of

FORMAT = 'mmrefine-labels/3'  # 2 kept every weight to 1/255 and no quality.json, 1 no digests of the files; all are read alike
FINGERPRINT, MANIFEST, QUALITY, WANTED = 'fingerprint.json', 'manifest.json', 'quality.json', 'wanted.json'
FLOW, WEIGHT, STATS = '.png', '.weight.png', '.json'  # what follows the key in a label's files
REMEDY = 'delete the folder, or set the store to a new one'

_MAX_NAME = 255 - len(WEIGHT)  # bytes, on every common file system


def label_path(root: Path, key: str, suffix: str) -> Path:
    """Where a file of the label lies: always below ``root``, whatever the user's files are called.

    Raises:
        LabelStoreError: a key that is no key.
    """
    parts = key.split('/')
    if len(parts) < 2 or any(part in ('', '.', '..') for part in parts) or '\0' in key:
        raise LabelStoreError(f'{root}: {key!r} is no label key; a key is scene/frame1__frame2, '
                              'without empty parts, "." and ".."')
    if parts[-1].endswith('.weight') or any(part.startswith(TEMP_PREFIX) for part in parts):
        raise LabelStoreError(f'{root}: {key!r} clashes with the names of the store\'s own files; '
                              'rename that frame')
    try:
        longest = max(len(os.fsencode(part)) for part in parts)
    except UnicodeEncodeError as error:
        raise LabelStoreError(f'{root}: {key!r} is no label key; no file can have this name') from error
    if longest > _MAX_NAME:
        raise LabelStoreError(f'{root}: the key {key!r} has a name of {longest} bytes, a file may have '
                              f'{_MAX_NAME} beside its suffix; shorten the names of the frames')
    return root.joinpath(*parts[:-1], parts[-1] + suffix)


def stats_files(root: Path) -> Iterator[Path]:
    """The statistics of labels that no manifest has taken over yet, in any order."""
    return (path for path in root.rglob('*' + STATS) if path.parent != root)


def key_of(root: Path, stats_file: Path) -> str:
    """The key of the label that a file of statistics belongs to."""
    return stats_file.relative_to(root).as_posix()[:-len(STATS)]


def read_json(path: Path, *wanted: str) -> Dict[str, Any]:
    """A JSON object of our own that has the wanted keys.

    Raises:
        LabelStoreError: it cannot be read, or is something else.
    """
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise LabelStoreError(f'{path}: cannot be read ({error}); {REMEDY}, and label again') from error
    if not isinstance(found, dict) or not found.keys() >= set(wanted):
        raise LabelStoreError(f'{path}: is not from a label store (wanted an object with '
                              f'{", ".join(wanted) or "digests"}); {REMEDY}, and label again')
    return found


def differing(found: Mapping[str, Any], wanted: Mapping[str, Any]) -> List[str]:
    """The names, sorted, under which two fingerprints differ."""
    return sorted(name for name in {*found, *wanted} if found.get(name) != wanted.get(name))


def suffixes(soft: bool) -> Tuple[str, ...]:
    """Of the files that hold a label."""
    return (FLOW, WEIGHT) if soft else (FLOW, )


def wanted_of(keys: Iterable[str]) -> Dict[str, Any]:
    """How many labels, and the digest of their keys, whatever their order."""
    names = sorted(set(keys))
    return dict(labels=len(names), digest=digest_of(names))
