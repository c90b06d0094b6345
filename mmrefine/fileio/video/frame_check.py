"""The check of all frames of a folder or video for damage, before they are used."""
from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Callable, List, Optional, Sequence

from mmrefine.errors import InputError
from mmrefine.fileio.atomic import PathLike
from mmrefine.fileio.images import read_image
from mmrefine.fileio.video.frames import list_images
from mmrefine.fileio.video.index import frame_name, index_video


@dataclass(frozen=True)
class CorruptFrame:
    """A frame that cannot be trusted.

    Args:
        number: of the frame in its scene, from 0.
        name: as labels and flow files have it, such as ``frame_000012``.
        reason: what is wrong with it, in a few words.
    """
    number: int
    name: str
    reason: str


@dataclass(frozen=True)
class FrameCheck:
    """The result of checking every frame.

    Args:
        frames: number of frames, including corrupt ones.
        corrupt: those that cannot be trusted, in order.
        times: time of each frame, s from the start of the video, not necessarily evenly spaced; empty for a folder of
            pictures.
        rate: frames a second on average as the video says; None for a folder.
        interlaced: whether the video has interlaced frames (two fields of different moments), which are deinterlaced
            when they are read.
    """
    frames: int
    corrupt: List[CorruptFrame]
    times: List[float]
    rate: Optional[float]
    interlaced: bool = False


def check_frames(path: PathLike, step: Callable[[int], None] = lambda done: None) -> FrameCheck:
    """Read every frame of a folder of pictures or of a video file once, and list those that are corrupt.

    A picture is corrupt if it cannot be read, or is cut off; a frame of a video if the decoder flags it, fails or
    reports an error while decoding it, or if it was predicted from such a frame, up to the next key frame.

    Args:
        path: folder or file, as for :func:`~mmrefine.fileio.open_frames`.
        step: called with the number of frames checked so far.

    Raises:
        InputError: no such folder or video, a truncated video, or fewer than two good frames.
    """
    path = Path(path)
    check = _check_folder(path, step) if path.is_dir() else _check_video(path, step)
    if check.frames < 2:
        raise InputError(f'{path}: holds {check.frames} frame{"s" * (check.frames != 1)}, and motion needs at least 2; '
                         'add the others, or name another folder or video')
    if check.frames - len(check.corrupt) < 2:
        example = f'{check.corrupt[0].name}: {check.corrupt[0].reason}'
        raise InputError(f'{path}: {len(check.corrupt)} of {check.frames} frames are corrupt ({example}), and motion '
                         'needs at least 2 good ones; copy or export it again')
    return check


def name_ranges(corrupt: Sequence[CorruptFrame], most: int = 5) -> str:
    """``frame_000007 (number 7: …), frame_000012 to frame_000019 (numbers 12 to 19: …)``, and how many more
    frames there are."""
    runs: List[List[CorruptFrame]] = []
    for frame in corrupt:
        if runs and runs[-1][-1].number + 1 == frame.number:
            runs[-1].append(frame)
        else:
            runs.append([frame])
    texts = []
    for run in runs[:most]:
        first, last = run[0], run[-1]
        which = (f'{first.name} (number {first.number}' if first is last else
                 f'{first.name} to {last.name} (numbers {first.number} to {last.number}')
        texts.append(f'{which}: {first.reason})')
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
    """Only the reason out of a message of ``read_image``."""
    found = re.search(r'\((.*)\)', message)
    return found[1] if found else message.replace(f'{file}: ', '').partition(';')[0]


def _check_video(path: Path, step: Callable[[int], None]) -> FrameCheck:
    found = index_video(path, step)
    corrupt = [CorruptFrame(number, frame_name(number), why) for number, why in found.corrupt.items()]
    return FrameCheck(len(found.checksums), corrupt, found.seconds, found.rate, found.interlaced)
