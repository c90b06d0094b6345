"""Which frames of a folder or video are damaged: all of them in one list, before anything is made of them.

Decoders repair what they cannot read: a damaged frame of a video comes out as a mosaic, without an error. What FFmpeg says about it while
it decodes is the only witness, and it says it on stderr. So a video is decoded once in a process of its own, whose stderr is read.
"""
from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Callable, Iterator, List, Optional, Sequence, Tuple

from mmrefine.errors import InputError
from mmrefine.fileio.atomic import PathLike
from mmrefine.fileio.images import read_image
from mmrefine.fileio.video.frames import list_images
from mmrefine.fileio.video.reader import open_frames, refuse_unusable

__all__ = ['CorruptFrame', 'FrameCheck', 'check_frames', 'name_ranges']

# Decodes argv[1]. After each frame a line "@ number milliseconds key" on stderr; what stands before it there was said of this frame.
_DECODE = '''
import sys
import cv2
capture = cv2.VideoCapture(sys.argv[1], cv2.CAP_ANY, [cv2.CAP_PROP_N_THREADS, 1])  # several would say things too early
sys.stderr.write("@open %r\\n" % capture.get(cv2.CAP_PROP_FPS))
number = 0
while capture.read()[0]:
    at = capture.get(cv2.CAP_PROP_POS_MSEC), int(capture.get(getattr(cv2, "CAP_PROP_LRF_HAS_KEY_FRAME", -1)))
    sys.stderr.write("@%d %r %d\\n" % (number, *at))
    number += 1
'''
# "[mpeg4 @ 0x55d0c1f0] ac-tex damaged at 16 11"; the scaler only complains about colour ranges
_SAID = re.compile(r'\[(?!swscaler)[^\[\]]* @ 0x[0-9a-f]+\] (.+)')


@dataclass(frozen=True)
class CorruptFrame:
    """A frame that cannot be trusted.

    Args:
        number: of the frame in its scene, from 0.
        name: as labels and flow files have it, such as ``frame_000012``.
        reason: in a few words.
    """
    number: int
    name: str
    reason: str


@dataclass(frozen=True)
class FrameCheck:
    """What a look at every frame found.

    Args:
        frames: how many there are, the corrupt ones included.
        corrupt: those that cannot be trusted, in order.
        times: seconds of each frame from the start of the video, which need not lie evenly; empty for a folder of pictures.
        rate: frames a second on average as the video says; None for a folder.
    """
    frames: int
    corrupt: List[CorruptFrame]
    times: List[float]
    rate: Optional[float]


def check_frames(path: PathLike, step: Callable[[int], None] = lambda done: None) -> FrameCheck:
    """Read every frame of a folder of pictures or of a video file once, and list those that are corrupt.

    A picture is corrupt if it cannot be read, or is cut off; a frame of a video if the decoder complains while it makes it, or if it was
    predicted from such a frame, up to the next key frame. In videos whose frames are stored in another order than they are shown, the
    list may begin a few frames early.

    Args:
        path: folder or file, as for :func:`~mmrefine.fileio.open_frames`.
        step: called with the number of frames that were looked at.

    Raises:
        InputError: there is nothing of the kind, a video that is cut off, or not even two good frames.
    """
    path = Path(path)
    check = _check_folder(path, step) if path.is_dir() else _check_video(path, step)
    if check.frames < 2:
        raise InputError(f'{path}: holds {check.frames} frame{"s" * (check.frames != 1)}, and motion needs at least 2; add the others, or '
                         'name another folder or video')
    if check.frames - len(check.corrupt) < 2:
        story = f'{check.corrupt[0].name}: {check.corrupt[0].reason}'
        raise InputError(f'{path}: {len(check.corrupt)} of {check.frames} frames are corrupt ({story}), and motion needs at least 2 good '
                         'ones; copy or export it again')
    return check


def name_ranges(corrupt: Sequence[CorruptFrame], most: int = 5) -> str:
    """``frame_000007 (number 7: …), frame_000012 to frame_000019 (numbers 12 to 19: …)``, and how many more runs there are."""
    runs: List[List[CorruptFrame]] = []
    for frame in corrupt:
        if runs and runs[-1][-1].number + 1 == frame.number:
            runs[-1].append(frame)
        else:
            runs.append([frame])
    texts = []
    for run in runs[:most]:
        first, last = run[0], run[-1]
        who = (f'{first.name} (number {first.number}' if first is last else
               f'{first.name} to {last.name} (numbers {first.number} to {last.number}')
        texts.append(f'{who}: {first.reason})')
    more = sum(len(run) for run in runs[most:])
    return ', '.join(texts) + (f' and {more} more' if more else '')


def _check_folder(path: Path, step: Callable[[int], None]) -> FrameCheck:
    corrupt = []
    files = list_images(path)
    for number, file in enumerate(files):
        try:
            read_image(file)
        except InputError as error:
            corrupt.append(CorruptFrame(number, file.stem, _short(str(error), file)))
        step(number + 1)
    return FrameCheck(len(files), corrupt, [], None)


def _short(message: str, file: Path) -> str:
    """The reason alone of a message of ``read_image``."""
    found = re.search(r'\((.*)\)', message)
    return found[1] if found else message.replace(f'{file}: ', '').partition(';')[0]


def _check_video(path: Path, step: Callable[[int], None]) -> FrameCheck:
    if not path.is_file():
        open_frames(path)  # has the sentence for it
    times: List[float] = []
    corrupt: List[CorruptFrame] = []
    rate: Optional[float] = None
    said: Optional[str] = None
    damaged = False
    for line in _decoded(path):
        if line.startswith('@open '):
            rate, said = float(line.split()[1]), None  # what is said while it is opened is of no frame
            continue
        mark = re.fullmatch(r'@(\d+) (\S+) (-?\d+)', line)
        if mark is None:
            found = _SAID.fullmatch(line)
            said = said or (found and found[1])
            continue
        number, key = int(mark[1]), int(mark[3]) > 0
        damaged = bool(said) or (damaged and not key)
        if damaged:
            corrupt.append(CorruptFrame(number, f'frame_{number:06d}', said or 'predicted from a damaged frame'))
        times.append(round(float(mark[2]) / 1000, 6))
        said = None
        step(len(times))
    refuse_unusable(path, len(times))  # before anybody blames the last frame that a cut has left
    return FrameCheck(len(times), corrupt, times, rate if rate and 0 < rate < 1000 else None)


def _decoded(path: Path) -> Iterator[str]:
    """The lines of the decoding process, as they come."""
    environment = {key: value for key, value in os.environ.items() if key != 'OPENCV_FFMPEG_LOGLEVEL'}
    command: Tuple[str, ...] = (sys.executable, '-c', _DECODE, os.path.abspath(path))
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, errors='replace',
                          env=environment) as child:
        assert child.stderr is not None
        try:
            for line in child.stderr:
                yield line.strip()
        finally:
            child.kill()  # when nobody listens any more
