"""Boxes of heads in the frames of a video: the files of CroHD (Sundararaman et al., CVPR 2021)."""
from __future__ import annotations

import io
from dataclasses import dataclass
from typing import List, NoReturn, Sequence, Tuple

import numpy as np

from mmrefine.errors import InputError
from mmrefine.fileio.atomic import PathLike
from mmrefine.fileio.images import read_input

COLUMNS = ('frame', 'id', 'left', 'top', 'width', 'height', 'conf', 'class', 'visibility')
_MOST = 2**31  # of a number of a frame or of a head
_FAR = 1e6  # px
_SHOWN = 80  # letters of a line in a message


@dataclass(frozen=True)
class Heads:
    """The heads of a video, one row for each box.

    Args:
        frames: ``(R,)`` int64, from 1.
        ids: ``(R,)`` int64, the same for one head in all frames.
        centers: ``(R, 2)`` float64 px (x, y).
        visible: ``(R,)`` bool, whether the whole head is seen.
    """
    frames: np.ndarray
    ids: np.ndarray
    centers: np.ndarray
    visible: np.ndarray

    def tracks(self, frames: Sequence[int]) -> Tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The heads in some frames, in the order of their ids.

        Args:
            frames: T rising numbers, from 1.

        Returns:
            ``points`` ``(N, T, 2)`` px, 0 where a head is not annotated, ``present`` and ``visible`` bool ``(N, T)``.
        """
        rows = np.flatnonzero(np.isin(self.frames, frames))
        ids, which = np.unique(self.ids[rows], return_inverse=True)
        when = np.searchsorted(frames, self.frames[rows])
        points = np.zeros((len(ids), len(frames), 2))
        present, visible = np.zeros((2, len(ids), len(frames)), bool)
        points[which, when], present[which, when] = self.centers[rows], True
        visible[which, when] = self.visible[rows]
        return points, present, visible


def read_heads(path: PathLike) -> Heads:
    """The heads in a ``gt.txt`` of CroHD.

    A line is ``frame,id,left,top,width,height,conf,class,visibility``: frame and id from 1, px, and a visibility in
    [0, 1], of which only 1 is visible. ``conf`` and ``class`` are not used.

    Raises:
        InputError: a file that is missing or empty, or a line that is something else, or the second one of a head in a
            frame; names the line.
    """
    try:
        text = read_input(path).decode('ascii')
    except UnicodeDecodeError as error:
        raise InputError(f'{path}: is not a table of boxes ({error}); name the gt.txt of CroHD') from error
    lines = text.splitlines()
    filled = [number for number, line in enumerate(lines) if line.strip()]
    if not filled:
        raise InputError(f'{path}: the file is empty; download the labels of CroHD again')
    try:
        rows = np.loadtxt(io.StringIO(text), delimiter=',', ndmin=2, comments=None)
        if rows.shape[1] != len(COLUMNS):
            _refuse(path, lines, filled[0])
    except ValueError:
        _refuse(path, lines, next((number for number in filled if not _is_row(lines[number])), filled[0]))
    whole = (rows[:, :2] == np.round(rows[:, :2])) & (rows[:, :2] >= 1) & (rows[:, :2] < _MOST)
    with np.errstate(invalid='ignore'):
        sound = whole.all(axis=1) & (np.abs(rows[:, 2:6]) < _FAR).all(axis=1) & (rows[:, 4:6] > 0).all(axis=1)
        sound &= (rows[:, 8] >= 0) & (rows[:, 8] <= 1)
    if not sound.all():
        _refuse(path, lines, filled[int((~sound).argmax())])
    frames, ids = rows[:, 0].astype(np.int64), rows[:, 1].astype(np.int64)
    order = np.lexsort((ids, frames))
    same = (np.diff(frames[order]) == 0) & (np.diff(ids[order]) == 0)
    if same.any():
        row = int(order[1:][same].min())
        raise InputError(f'{path}: line {filled[row] + 1} is the second box of head {ids[row]} in frame {frames[row]}; '
                         'leave one of them out')
    return Heads(frames, ids, rows[:, 2:4] + rows[:, 4:6] / 2, rows[:, 8] == 1)


def _is_row(line: str) -> bool:
    try:
        return len([float(part) for part in line.split(',')]) == len(COLUMNS)
    except ValueError:
        return False


def _refuse(path: PathLike, lines: List[str], number: int) -> NoReturn:
    raise InputError(f'{path}: line {number + 1} must be {",".join(COLUMNS)}, frame and id from 1, px, visibility from '
                     f'0 to 1, got {lines[number][:_SHOWN]!r}; download the labels of CroHD again, or correct the '
                     'line') from None
