"""A video file that appears whole or not at all."""
from __future__ import annotations

import contextlib
import os
import secrets
from pathlib import Path
from typing import Callable, Iterator, Optional

import cv2
import numpy as np

from mmrefine.errors import MMRefineError
from mmrefine.fileio.atomic import TEMP_PREFIX, PathLike

__all__ = ['write_video']


@contextlib.contextmanager
def write_video(path: PathLike, rate: float) -> Iterator[Callable[[np.ndarray], None]]:
    """Hand out a function that adds a frame ``(H, W, 3)`` uint8 RGB, all of one size, to an MPEG-4 video; one frame is in memory.

    Sides are cut to even numbers, as the format wants them. What a killed writer of the same name left behind is removed.

    Args:
        path: ends in ``.mp4``.
        rate: frames a second, above 0.

    Raises:
        MMRefineError: this OpenCV cannot write such a file, or the folder cannot be written.
        ValueError: no frame was added, or one of another size.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    for left in path.parent.glob(f'{TEMP_PREFIX}*.{path.name}'):
        left.unlink(missing_ok=True)
    temp = path.parent / f'{TEMP_PREFIX}{secrets.token_hex(8)}.{path.name}'
    writer: Optional[cv2.VideoWriter] = None
    size = (0, 0)

    def add(frame: np.ndarray) -> None:
        nonlocal writer, size
        height, width = frame.shape[0] // 2 * 2, frame.shape[1] // 2 * 2
        if writer is None:
            size = (height, width)
            writer = cv2.VideoWriter(str(temp), cv2.VideoWriter.fourcc(*'mp4v'), rate, (width, height))
            if not writer.isOpened():
                raise MMRefineError(f'{path}: cannot be written as a video; check the folder, and that this OpenCV has FFmpeg')
        if size != (height, width):
            raise ValueError(f'{path}: all frames of a video have one size, {size}, got {(height, width)}')
        writer.write(cv2.cvtColor(np.ascontiguousarray(frame[:height, :width]), cv2.COLOR_RGB2BGR))

    try:
        yield add
        if writer is None:
            raise ValueError(f'{path}: a video needs at least one frame')
        writer.release()
        if not temp.is_file() or temp.stat().st_size == 0:
            raise MMRefineError(f'{path}: the video could not be written; check that there is room on the disk')
        os.replace(temp, path)
    finally:
        if writer is not None:
            writer.release()
        temp.unlink(missing_ok=True)
