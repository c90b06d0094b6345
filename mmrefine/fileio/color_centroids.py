"""The colours that stand for classes of colours, in a file."""
from __future__ import annotations

import io
from pathlib import Path

import numpy as np

from mmrefine.errors import InputError
from mmrefine.fileio.atomic import PathLike, write_json
from mmrefine.fileio.images import read_input
from mmrefine.fileio.records import parse_json

_REMEDY = 'make one with tools/fit_color_classes.py'
_WANTED = 'two or more different colours (a, b) of CIE L*a*b*, each from -128 to 128'
MOST = 1024  # classes; each takes a channel of every cell


def read_centroids(path: PathLike) -> np.ndarray:
    """Colours (a, b) of CIE L*a*b*.

    Args:
        path: ``.json``, an object with a list ``centroids`` of pairs; or ``.npy``, an array ``(K, 2)``. Nothing is
            unpickled: the file that comes with the code of CorrFlow is a pickle in spite of its name.

    Returns:
        ``(K, 2)`` float32.

    Raises:
        InputError: a file that is missing or holds something else.
    """
    path, data = Path(path), read_input(path)
    try:
        if path.suffix.lower() == '.npy':
            values = np.load(io.BytesIO(data), allow_pickle=False)
        else:
            values = parse_json(data)['centroids']
        found = np.array(values, np.float64)
    except (ValueError, TypeError, KeyError, EOFError, OverflowError) as error:
        raise InputError(f'{path}: holds no centroids ({error}); {_REMEDY}') from error
    is_table = found.ndim == 2 and found.shape[1] == 2 and 2 <= len(found) <= MOST
    if not is_table or not (np.abs(found) <= 128).all() or len(np.unique(found, axis=0)) < len(found):
        raise InputError(f'{path}: centroids must be {_WANTED}, got an array {found.shape}; {_REMEDY}')
    return found.astype(np.float32)


def write_centroids(path: PathLike, centroids: np.ndarray, **record: object) -> None:
    """Write colours ``(K, 2)`` and how they were found as JSON, whole or not at all.

    Raises:
        OSError: the disk is full or the folder cannot be written.
    """
    write_json(path, dict(record, centroids=np.round(np.asarray(centroids, np.float64), 3).tolist()))
