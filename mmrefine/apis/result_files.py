"""Folders of results: where they are by default; are their files as they were written, and with which settings?"""
from __future__ import annotations

from pathlib import Path
from typing import Any, Callable, Dict, Iterable, Mapping, Optional

from mmrefine.errors import ConfigError, InputError
from mmrefine.fileio.atomic import write_errors, write_json
from mmrefine.fileio.digest import digest_of_bytes
from mmrefine.fileio.images import find_damage, read_input
from mmrefine.fileio.records import read_record
from mmrefine.fileio.video.scenes import Roots, paths_of


def default_out(video: Roots, parent: str = 'work_dirs') -> Path:
    """The default folder of results: ``work_dirs/<name of the video>``, of several ``work_dirs/<name of the
    first>_and_2_more``."""
    paths = paths_of(video)
    more = f'_and_{len(paths) - 1}_more' if len(paths) > 1 else ''
    return Path(parent) / ((paths[0].resolve().stem or 'video') + more)


def read_result_record(path: Path, what: str, settings: Mapping[str, Any],
                       begun: Callable[[], bool], folder: Optional[Path] = None) -> Optional[Dict[str, Any]]:
    """The record of a folder of results; None if it is missing, or has other settings and nothing was written yet.

    Args:
        path: of the record.
        what: they are, for the message: ``'flow that was'`` or ``'tracks that were'``.
        settings: that they must have been made with.
        begun: whether any result is in the folder; asked if settings differ.
        folder: of all results; default: that of the record.

    Raises:
        ConfigError: the files were made with other settings; names what differs.
        InputError: the file is something else.
    """
    record = read_record(path, f'a record of mmrefine {path.stem}', dict(settings=dict), 'choose another --out')
    if record is None:
        return None
    old = record['settings']
    # also those that are no longer given, such as a threshold
    changes = [f'{key} was {old.get(key)}, is {settings.get(key)}' for key in {**settings, **old}
               if old.get(key) != settings.get(key)]
    if changes and not begun():
        return None  # left by a command that failed before it wrote any result
    if changes:
        raise ConfigError(f'{folder or path.parent}: holds {what} made with other settings '
                          f'({"; ".join(changes)}); choose another --out, or delete that folder')
    return record


def refuse_strangers(record: Path, paths: Iterable[Path]) -> None:
    """Refuse a folder without a record in which a file lies that would be overwritten: perhaps the very video or points
    that were given.

    Args:
        record: that is not there.
        paths: of files that will be written.

    Raises:
        InputError: one of them exists; names it.
    """
    found = next((path for path in paths if path.exists()), None)
    if found is not None:
        raise InputError(f'{found}: was not written by mmrefine {record.stem.replace("tracks", "track")}, or its '
                         f'{record.name} is lost; choose another --out, or move that file away')


def write_result_record(path: Path, record: Mapping[str, Any]) -> None:
    """Write a record.

    Raises:
        MMRefineError: the disk is full or the folder cannot be written.
    """
    with write_errors(path):
        write_json(path, record)


def is_as_written(path: Path, folder: Path, digests: Mapping[str, Any]) -> bool:
    """Whether a file is there and has the digest that was noted.

    One without a digest, of a run that was stopped or of an older version, must be a whole picture if it is a PNG, else
    not empty.
    """
    try:
        data = path.read_bytes()
    except OSError:
        return False
    wanted = digests.get(_name(path, folder))
    if wanted is not None:
        return digest_of_bytes(data) == wanted
    return find_damage(data) is None if path.suffix == '.png' else bool(data)


def digests_of(paths: Iterable[Path], folder: Path) -> Dict[str, str]:
    """The digest of each file, by its path in ``folder``.

    Raises:
        InputError: a file cannot be read.
    """
    return {_name(path, folder): digest_of_bytes(read_input(path)) for path in paths}


def noted_digests(record: Mapping[str, Any]) -> Mapping[str, Any]:
    """The digests in a record; none if a run was not finished, or an older version wrote it."""
    found = record.get('digests')
    return found if isinstance(found, dict) else {}


def _name(path: Path, folder: Path) -> str:
    return path.relative_to(folder).as_posix()
