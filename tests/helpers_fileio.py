"""Small pictures, videos and labels, and the bytes of a folder."""
from __future__ import annotations

import os
import signal
import struct
import sys
import time
import zlib
from fractions import Fraction
from pathlib import Path
from typing import Callable, Dict, List, Optional, Sequence

import av
import cv2
import numpy as np
import torch

from mmrefine.fileio.lock import LOCK
from mmrefine.structures import FlowLabel


def tree(root: Path) -> Dict[str, bytes]:
    """Every file below ``root``, hidden ones too, but not the lock of a store: name -> bytes."""
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in sorted(root.rglob('*'))
            if path.is_file() and path.name != LOCK}


def in_child(work: Callable[[], object], kill_after: float = -1.) -> int:
    """Run ``work`` in a forked process; its exit code, or minus the signal that ended it."""
    sys.stdout.flush()
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            work()
            code = 0
        except BaseException as error:  # the child must never return into pytest
            print(f'child: {error!r}', file=sys.stderr, flush=True)
        finally:
            os._exit(code)
    if kill_after >= 0:
        time.sleep(kill_after)
        os.kill(pid, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def die_at(step: int, work: Callable[[], object]) -> Callable[[], None]:
    """``work`` that kills itself before the n-th time that it renames or removes a file."""

    def dying() -> None:
        left = [step]

        def deadly(true: Callable[..., object]) -> Callable[..., object]:

            def call(*args: object, **kwargs: object) -> object:
                left[0] -= 1
                if left[0] < 0:
                    os.kill(os.getpid(), signal.SIGKILL)
                return true(*args, **kwargs)

            return call

        os.replace, os.unlink = deadly(os.replace), deadly(os.unlink)  # type: ignore[assignment]
        work()

    return dying


def texture(height: int = 40, width: int = 56, seed: int = 0) -> np.ndarray:
    """A smooth picture, ``(H, W, 3)`` uint8 RGB, different in every channel."""
    noise = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return cv2.GaussianBlur(noise, (0, 0), 2.)


def huge_png(width: int, height: int, data: Optional[bytes] = None) -> bytes:
    """A PNG, by default a small 16-bit one of three channels, whose header says that it is of another size; its
    checksums are right.
    """
    data = data or cv2.imencode('.png', np.ones((4, 4, 3), np.uint16))[1].tobytes()
    head = struct.pack('>II', width, height) + data[24:29]
    return data[:16] + head + struct.pack('>I', zlib.crc32(b'IHDR' + head)) + data[33:]


def label(seed: int = 0, soft: bool = False, size: tuple = (12, 16)) -> FlowLabel:
    """A label with random motion, weighted 0 or 1, or anything between."""
    generator = torch.Generator().manual_seed(seed)
    flow = 40 * torch.randn(2, *size, generator=generator)
    weight = torch.rand(1, *size, generator=generator)
    return FlowLabel(flow, weight if soft else (weight > 0.5).float())


def write_video(path: Path, count: int = 40, height: int = 48, width: int = 64) -> Path:
    """A video whose frames all differ: a texture that moves 1 px a frame."""
    codec = {'.avi': 'MJPG', '.mp4': 'mp4v'}[path.suffix]
    big = texture(height, width + count)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*codec), 10., (width, height))
    assert writer.isOpened()
    for at in range(count):
        writer.write(np.ascontiguousarray(big[:, at:at + width, ::-1]))
    writer.release()
    return path


def moving_texture(count: int, height: int = 48, width: int = 64) -> List[np.ndarray]:
    """Frames of a smooth texture that moves 2 px a frame."""
    big = cv2.GaussianBlur(texture(height, width + 2 * count), (0, 0), 2.)
    return [np.ascontiguousarray(big[:, 2 * at:2 * at + width]) for at in range(count)]


def encode_video(path: Path, frames: Sequence[np.ndarray], codec: str, options: Dict[str, str], matrix: int = 5,
                 full_range: bool = False, times: Optional[Sequence[int]] = None) -> Path:
    """A video of the frames at 10 a second, a key frame each 12;
    ``times``: when each is shown, in tenths of a second.
    """
    with av.open(str(path), 'w', options={'fflags': '+bitexact'}) as container:  # without random ids
        pixels = options.pop('pix_fmt', 'yuv420p')
        stream = container.add_stream(codec, rate=10, options=options)
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt, stream.gop_size, stream.codec_context.thread_count = pixels, 12, 1
        stream.codec_context.colorspace, stream.codec_context.color_range = matrix, 1 + full_range
        if not stream.codec_context.bit_rate or codec == 'mpeg2video':
            stream.codec_context.bit_rate = 4_000_000 if codec in ('mpeg2video', 'libvpx-vp9') else 0
        for at, rgb in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(rgb, format='rgb24')
            if not pixels.startswith('bgr'):
                frame = frame.reformat(format=pixels, dst_colorspace=matrix, dst_color_range=1 + full_range)
            frame.pts, frame.time_base = (at if times is None else times[at]), Fraction(1, 10)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path
