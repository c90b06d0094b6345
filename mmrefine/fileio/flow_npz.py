"""Flow as an array in an ``.npz`` file, beside the formats of :mod:`mmrefine.fileio.flow_io`."""
from __future__ import annotations

import io
from pathlib import Path
from typing import Tuple

import numpy as np

from mmrefine.errors import InputError
from mmrefine.fileio.atomic import PathLike
from mmrefine.fileio.flow_io import FLOW_SUFFIXES, UNKNOWN, read_flow
from mmrefine.fileio.images import read_input
from mmrefine.fileio.npz import Npz

MOTION_SUFFIXES = (*FLOW_SUFFIXES, '.npz')


def read_motion_file(path: PathLike) -> Tuple[np.ndarray, np.ndarray]:
    """:func:`~mmrefine.fileio.flow_io.read_flow` that also takes ``.npz`` with an array ``flow`` ``(H, W, 2)`` px and,
    if there is one, ``valid`` ``(H, W)``; nan, inf and more than 1e9 px are unknown.

    Raises:
        InputError: a file that is missing, damaged, or holds something else.
    """
    if Path(path).suffix.lower() != '.npz':
        return read_flow(path)
    try:
        arrays = Npz(io.BytesIO(read_input(path)))
        if 'flow' not in arrays.headers:
            raise ValueError(f'it has the arrays {", ".join(arrays.headers) or "none"}, and no "flow"')
        flow = arrays.read('flow').astype(np.float32)
        if flow.ndim != 3 or flow.shape[2] != 2:
            raise ValueError(f'its "flow" is {flow.shape} instead of (H, W, 2)')
        near = np.abs(flow) <= UNKNOWN  # nan compares false
        valid = near[..., 0] & near[..., 1]
        if 'valid' in arrays.headers:
            given = arrays.read('valid')
            if given.shape != flow.shape[:2]:
                raise ValueError(f'its "valid" is {given.shape} instead of {flow.shape[:2]}')
            valid = valid & (given != 0)
    except ValueError as error:
        raise InputError(f'{path}: not a readable .npz flow ({error}); copy or export it again') from error
    return np.where(valid[..., None], flow, np.float32(0)), valid
