"""A video file that browsers play, and that appears whole or not at all."""
from __future__ import annotations

import contextlib
import os
import secrets
from fractions import Fraction
from pathlib import Path
from typing import Callable, Dict, Iterator, List, Optional, Tuple, cast

import av
import numpy as np
from av.container import OutputContainer
from av.video.reformatter import ColorRange, Colorspace
from av.video.stream import VideoStream

from mmrefine.errors import MMRefineError
from mmrefine.fileio.atomic import TEMP_PREFIX, PathLike, write_failure

# what browsers play, in order of preference: encoder -> its options (quality, and speed before size)
_ENCODERS: List[Tuple[str, Dict[str, str]]] = [
    ('libx264', {'crf': '18', 'preset': 'veryfast'}),
    ('libopenh264', {}),
    ('libvpx-vp9', {'crf': '24', 'b': '0', 'deadline': 'realtime', 'cpu-used': '6'}),
]
_BT709 = 1  # of primaries and of the transfer curve


@contextlib.contextmanager
def write_video(path: PathLike, rate: float) -> Iterator[Callable[[np.ndarray], None]]:
    """Hand out a function that adds a frame ``(H, W, 3)`` uint8 RGB, all of one size, to a video; few frames are in
    memory.

    H.264 where PyAV's FFmpeg can write it, else VP9; 4:2:0 with BT.709 colours, playable before it is loaded whole.
    Sides are cut to even numbers, as the format wants them. What a killed writer of the same name left behind is
    removed.

    Args:
        path: ends in ``.mp4``.
        rate: frames a second, above 0.

    Raises:
        MMRefineError: this FFmpeg has no encoder for such a file, or the file cannot be written.
        ValueError: no frame was added, or one of another size.
    """
    path = Path(path)
    temp = path.parent / f'{TEMP_PREFIX}{secrets.token_hex(8)}.{path.name}'
    stream: Optional[VideoStream] = None

    def add(frame: np.ndarray) -> None:
        nonlocal stream
        size = height, width = frame.shape[0] // 2 * 2, frame.shape[1] // 2 * 2
        if stream is None:
            stream = _add_stream(container, path, rate, size)
        if (stream.height, stream.width) != size:
            raise ValueError(f'{path}: all frames of a video have one size, {(stream.height, stream.width)}, got '
                             f'{size}')
        rgb = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame[:height, :width]), format='rgb24')
        with _written(path):
            container.mux(stream.encode(rgb.reformat(format='yuv420p', dst_colorspace=Colorspace.ITU709,
                                                     dst_color_range=ColorRange.MPEG)))

    with _written(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        for left in path.parent.glob(f'{TEMP_PREFIX}*.{path.name}'):
            left.unlink(missing_ok=True)
        container = av.open(f'file:{temp}', 'w', format='mp4', options={'movflags': '+faststart'})
    try:
        yield add
        if stream is None:
            raise ValueError(f'{path}: a video needs at least one frame')
        with _written(path):
            container.mux(stream.encode(None))
            container.close()
            os.replace(temp, path)
    finally:
        with contextlib.suppress(av.FFmpegError, OSError):
            container.close()
        temp.unlink(missing_ok=True)


@contextlib.contextmanager
def _written(path: Path) -> Iterator[None]:
    """Turn a failure to write into the sentence for it."""
    try:
        yield
    except (av.FFmpegError, OSError) as error:
        reason = error if isinstance(error, OSError) else OSError(error.errno, error.strerror)
        raise MMRefineError(write_failure(path, reason)) from error


def _add_stream(container: OutputContainer, path: Path, rate: float, size: Tuple[int, int]) -> VideoStream:
    name, options = _encoder(path)
    exact = Fraction(rate).limit_denominator(1001)
    stream = cast(VideoStream, container.add_stream(name, rate=exact, options=options))
    (stream.height, stream.width), stream.pix_fmt = size, 'yuv420p'
    context = stream.codec_context
    context.colorspace, context.color_range = Colorspace.ITU709, ColorRange.MPEG
    context.color_primaries = context.color_trc = _BT709
    return stream


def _encoder(path: Path) -> Tuple[str, Dict[str, str]]:
    for name, options in _ENCODERS:
        with contextlib.suppress(av.FFmpegError, ValueError):
            av.Codec(name, 'w')
            return name, options
    raise MMRefineError(f'{path}: this FFmpeg can write neither H.264 nor VP9; install a PyAV with one of '
                        f'{", ".join(name for name, _ in _ENCODERS)} (pip install av)')
