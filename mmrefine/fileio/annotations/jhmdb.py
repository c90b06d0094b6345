"""The files of JHMDB (Jhuang et al., ICCV 2013): joints of people in MATLAB's .mat, and lists of videos."""
from __future__ import annotations

import io
from pathlib import Path
from types import ModuleType
from typing import Dict

import numpy as np

from mmrefine.errors import InputError
from mmrefine.fileio.atomic import PathLike, write_bytes
from mmrefine.fileio.images import read_input

POSITIONS = 'pos_img'
TRAIN, TEST = 1, 2


def read_joint_positions(path: PathLike) -> np.ndarray:
    """The joints of a video, ``(T, N, 2)`` float64 px (x, y), pixel centres at integers from 0; the file counts from 1.

    Args:
        path: ``joint_positions.mat``, with ``pos_img`` ``(2, N, T)``. Reading it needs SciPy.

    Raises:
        InputError: SciPy is not installed, or the file is missing, damaged or another one.
    """
    scipy_io = _import_scipy_io(path)
    data = read_input(path)
    try:
        found = scipy_io.loadmat(io.BytesIO(data), variable_names=[POSITIONS])
        if POSITIONS not in found:
            raise ValueError(f'it has no {POSITIONS!r}')
        positions = np.asarray(found[POSITIONS])
        if positions.ndim != 3 or positions.shape[0] != 2 or not positions.size or positions.dtype.kind not in 'fiu':
            raise ValueError(f'its {POSITIONS!r} is {positions.dtype} {positions.shape} instead of numbers (2, N, T)')
        if not np.isfinite(positions).all():
            raise ValueError(f'its {POSITIONS!r} has values that are not numbers')
    except Exception as error:  # SciPy raises whatever a damaged file leads it to
        raise InputError(f'{path}: cannot be read as joints of JHMDB ({" ".join(str(error).split())}); download '
                         'joint_positions.zip again, or name another file') from error
    return positions.transpose(2, 1, 0).astype(np.float64) - 1


def write_joint_positions(path: PathLike, points: np.ndarray) -> None:
    """Write joints as :func:`read_joint_positions` reads them, whole or not at all.

    Args:
        path: of the file.
        points: ``(T, N, 2)`` px (x, y).

    Raises:
        InputError: SciPy is not installed.
        ValueError: another shape.
        OSError: the disk is full or the folder cannot be written.
    """
    if points.ndim != 3 or points.shape[2] != 2:
        raise ValueError(f'{path}: joints must be (T, N, 2), got {points.shape}')
    buffer = io.BytesIO()
    _import_scipy_io(path).savemat(buffer, {POSITIONS: np.asarray(points, np.float64).transpose(2, 1, 0) + 1})
    write_bytes(path, buffer.getvalue())


def read_jhmdb_split(path: PathLike) -> Dict[str, int]:
    """Which videos of a class are for training (1) and which for test (2), by name without ``.avi``.

    Args:
        path: ``splits/<class>_test_split<number>.txt``: a name and a number in each line.

    Raises:
        InputError: the file is missing, or a line is something else; names the line.
    """
    found = {}
    for number, line in enumerate(read_input(path).decode('utf-8', 'replace').splitlines(), start=1):
        words = line.split()
        if words and (len(words) != 2 or words[1] not in ('0', str(TRAIN), str(TEST))):
            raise InputError(f'{path}: line {number} must be the name of a video and 1 (training) or 2 (test), got '
                             f'{line[:80]!r}; download the splits of JHMDB again')
        if words:
            found[Path(words[0]).stem if words[0].endswith('.avi') else words[0]] = int(words[1])
    return found


def _import_scipy_io(path: PathLike) -> ModuleType:
    try:
        import scipy.io
    except ImportError:
        raise InputError(f'{path}: a .mat file needs SciPy, which is not installed; run "pip install '
                         '\'mmrefine[jhmdb]\'"') from None
    return scipy.io
