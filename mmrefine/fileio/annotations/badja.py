"""Joints of animals, annotated in some frames of DAVIS sequences: the files of BADJA (Biggs et al., ACCV 2018)."""
from __future__ import annotations

from pathlib import Path
from typing import Any, Dict, NamedTuple, Tuple

import numpy as np

from mmrefine.errors import InputError
from mmrefine.fileio.atomic import PathLike
from mmrefine.fileio.images import read_input
from mmrefine.fileio.records import parse_json

FRAME_SIZE = (1080, 1920)  # (height, width) px of the frames in which the joints were annotated


class Joints(NamedTuple):
    """The joints of one frame: ``points`` ``(N, 2)`` float64 px (x, y), ``visible`` ``(N,)`` bool; a point that is not
    visible means nothing."""
    points: np.ndarray
    visible: np.ndarray


def read_badja(path: PathLike, size: Tuple[int, int] = FRAME_SIZE) -> Dict[str, Joints]:
    """The joints of a sequence by the name of the frame, such as ``'00005'``, in the order of the frames.

    The file holds (row, column) in frames of 1080x1920 px.

    Args:
        path: ``<sequence>.json``.
        size: (height, width) px of the frames that the points refer to; rows and columns are scaled to it.

    Returns:
        about every fifth frame; joint ``i`` is the same joint in all of them.

    Raises:
        InputError: a missing file, or one of another structure.
    """
    try:
        entries = parse_json(read_input(path))
    except ValueError as error:
        raise InputError(f'{path}: is not valid JSON ({error}); download the joints of BADJA again') from error
    if not isinstance(entries, list) or not entries:
        raise InputError(f'{path}: must be a list of frames with joints, as in BADJA, got {_kind(entries)}; name '
                         'another file')
    scale = np.array([size[1] / FRAME_SIZE[1], size[0] / FRAME_SIZE[0]])
    found: Dict[str, Joints] = {}
    for i, entry in enumerate(entries):
        try:
            name = Path(str(entry['image_path'])).stem
            rows_columns = np.array(entry['joints'], np.float64)
            visible = np.array(entry['visibility'], np.float64) > 0
            if not np.isfinite(rows_columns).all():
                raise ValueError('a joint that is not a number')
        except (KeyError, OverflowError, TypeError, ValueError) as error:
            raise InputError(f'{path}: entry {i} must have image_path, joints and visibility, as in BADJA '
                             f'({type(error).__name__}: {error}); name another file') from error
        if visible.ndim != 1 or rows_columns.shape != (len(visible), 2):
            raise InputError(f'{path}: entry {i} ({name}) needs N joints (row, column) and N visibilities, got shapes '
                             f'{rows_columns.shape} and {visible.shape}; download the joints of BADJA again')
        if found and len(visible) != len(next(iter(found.values())).visible):
            raise InputError(f'{path}: entry {i} ({name}) has {len(visible)} joints where the first has '
                             f'{len(next(iter(found.values())).visible)}; download the joints of BADJA again')
        found[name] = Joints(rows_columns[:, ::-1] * scale, visible)
    return dict(sorted(found.items()))


def _kind(entries: Any) -> str:
    return 'an empty list' if entries == [] else type(entries).__name__
