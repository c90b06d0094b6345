"""The files of ``mmrefine flow``: how they are called, written and read, and whether they are as they were written."""
from __future__ import annotations

import io
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Dict, Iterable, Mapping, Optional

import numpy as np

from mmrefine.errors import ConfigError, InputError
from mmrefine.fileio.atomic import write_bytes, write_errors, write_json
from mmrefine.fileio.digest import digest_of_bytes
from mmrefine.fileio.flow_io import read_flow, write_flow
from mmrefine.fileio.images import find_damage, read_input
from mmrefine.fileio.records import read_record

FORMATS = ('png', 'flo', 'flo5', 'npz')
RECORD, VIDEO = 'flow.json', 'flow.mp4'


@dataclass(frozen=True)
class MotionPair:
    """Two neighbouring frames, and the files of their motion.

    Args:
        index: number of the first frame.
        flow: file of the motion.
        confidence: picture of how sure it is.
        occlusion: picture of what is hidden in the second frame.
    """
    index: int
    flow: Path
    confidence: Path
    occlusion: Path

    @classmethod
    def of(cls, folder: Path, index: int, name: str, format: str) -> 'MotionPair':
        """The files in ``folder`` of the pair whose first frame has this number and name."""
        return cls(index, folder / 'flow' / f'{name}.{format}', folder / 'confidence' / f'{name}.png',
                   folder / 'occlusion' / f'{name}.png')


def files_of(pairs: Iterable[MotionPair]) -> Iterable[Path]:
    """All files of these pairs."""
    return (path for pair in pairs for path in (pair.flow, pair.confidence, pair.occlusion))


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
    """The digests in a record of ``flow.json``; none if a run was not finished, or an older version wrote it."""
    found = record.get('digests')
    return found if isinstance(found, dict) else {}


def write_motion(path: Path, flow: np.ndarray) -> None:
    """Write ``(H, W, 2)`` px as the format of the suffix, whole or not at all.

    Raises:
        OSError: the disk is full or the folder cannot be written.
    """
    if path.suffix != '.npz':
        write_flow(path, flow)
        return
    buffer = io.BytesIO()
    np.savez_compressed(buffer, flow=flow)
    write_bytes(path, buffer.getvalue())


def read_motion(path: Path) -> np.ndarray:
    """``(H, W, 2)`` px, nan where it is unknown.

    Raises:
        InputError: the file is missing or damaged.
    """
    if path.suffix == '.npz':
        try:
            with np.load(io.BytesIO(read_input(path)), allow_pickle=False) as arrays:
                return np.asarray(arrays['flow'])
        except (EOFError, KeyError, OSError, TypeError, ValueError, zipfile.BadZipFile, zlib.error) as error:
            raise InputError(f'{path}: is damaged ({type(error).__name__} while reading); delete it, the same command '
                             'makes it again') from error
    flow, valid = read_flow(path)
    return np.where(valid[..., None], flow, np.float32('nan'))


def read_flow_record(folder: Path, settings: Mapping[str, Any]) -> Optional[Dict[str, Any]]:
    """The content of ``flow.json``; None if it is missing, or has other settings and no flow was written yet.

    Raises:
        ConfigError: the files were made with other settings; names what differs.
        InputError: the file is something else.
    """
    record = read_record(folder / RECORD, 'a record of mmrefine flow', dict(settings=dict), 'choose another --out')
    if record is None:
        return None
    old = record['settings']
    changes = [f'{key} was {old.get(key)}, is {value}' for key, value in settings.items() if old.get(key) != value]
    if changes and not any((folder / 'flow').glob('*')):
        return None  # left by a command that failed before it wrote any flow
    if changes:
        raise ConfigError(f'{folder}: holds flow that was made with other settings ({"; ".join(changes)}); choose '
                          'another --out, or delete that folder')
    return record


def write_flow_record(folder: Path, record: Mapping[str, Any]) -> None:
    """Write ``flow.json``.

    Raises:
        MMRefineError: the disk is full or the folder cannot be written.
    """
    with write_errors(folder / RECORD):
        write_json(folder / RECORD, record)


def _name(path: Path, folder: Path) -> str:
    return path.relative_to(folder).as_posix()
