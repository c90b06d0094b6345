"""The check of all frames of a folder or video for damage, before they are used."""
from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Callable, List, Optional, Sequence, Tuple, Union

from mmrefine.errors import InputError
from mmrefine.fileio.atomic import PathLike
from mmrefine.fileio.grey_levels import Levels
from mmrefine.fileio.images import read_image
from mmrefine.fileio.video.frames import PictureSeries, check_size, levels_of_pictures, pictures_of
from mmrefine.fileio.video.index import frame_name, index_video
from mmrefine.fileio.video.numbering import find_gaps
from mmrefine.fileio.video.reading import Reading, gaps_among
from mmrefine.fileio.video.stack import STACK_SUFFIXES, StackFrames


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
        gaps: numbers of the frames before which the names skip some, see
            :func:`~mmrefine.fileio.video.numbering.find_gaps`.
        size: (height, width) of the frames, px.
        levels: the grey levels that become 0 and 255; None: the frames are read as they are.
        notes: what else to know of it: the ends of sentences that begin with its name.
    """
    frames: int
    corrupt: List[CorruptFrame]
    times: List[float]
    rate: Optional[float]
    interlaced: bool = False
    gaps: Sequence[int] = ()
    size: Tuple[int, int] = (0, 0)
    levels: Optional[Levels] = None
    notes: Sequence[str] = ()


def check_frames(path: Union[PathLike, PictureSeries], step: Callable[[int], None] = lambda done: None,
                 reading: Reading = Reading()) -> FrameCheck:
    """Read every frame of a folder of pictures or of a video file once, and list those that are corrupt.

    A picture is corrupt if it cannot be read, or is cut off; a frame of a video if the decoder flags it, fails or
    reports an error while decoding it, or if it was predicted from such a frame, up to the next key frame.

    Args:
        path: folder, file or series, as for :func:`~mmrefine.fileio.open_frames`.
        step: called with the number of frames checked so far.
        reading: which frames are read; the others do not count, and frames are numbered among those that are read.

    Raises:
        ConfigError: ``reading`` leaves fewer than two frames.
        InputError: no such folder or video, a truncated video, pictures of several sizes, or fewer than two good
            frames.
    """
    place = path if isinstance(path, PictureSeries) else Path(path)
    if isinstance(place, PictureSeries) or place.is_dir():
        check = _check_pictures(pictures_of(place), step, reading)
    elif place.suffix.lower() in STACK_SUFFIXES:
        check = _check_stack(place, step, reading)
    else:
        check = _check_video(place, step, reading)
    if check.frames < 2:
        raise InputError(f'{path}: holds {check.frames} frame{"s" * (check.frames != 1)}, and motion needs at least 2; '
                         'add the others, or name another folder or video')
    if check.frames - len(check.corrupt) < 2:
        example = f'{check.corrupt[0].name}: {check.corrupt[0].reason}'
        raise InputError(f'{path}: {len(check.corrupt)} of {check.frames} frames are corrupt ({example}), and motion '
                         'needs at least 2 good ones; copy or export it again')
    return check if reading.resize is None else replace(check, size=reading.resize)


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


def _check_pictures(files: Sequence[Path], step: Callable[[int], None], reading: Reading) -> FrameCheck:
    numbers = reading.numbers(len(files))
    gaps = gaps_among(numbers, find_gaps([file.stem for file in files]))
    corrupt, good, size = [], [], (0, 0)
    files = [files[number] for number in numbers]
    for number, file in enumerate(files):
        try:
            found = read_image(file).shape[:2]
        except InputError as error:
            corrupt.append(CorruptFrame(number, file.stem, _short(str(error), file)))
        else:
            good.append(file)
            size = found if len(good) == 1 else size
            check_size(good[0], size, file, found)
        step(number + 1)
    levels = reading.range or (levels_of_pictures(good) if good else None)
    return FrameCheck(len(files), corrupt, [], None, gaps=gaps, size=size, levels=levels)


def _check_stack(path: Path, step: Callable[[int], None], reading: Reading) -> FrameCheck:
    corrupt = []
    stack = StackFrames(path, reading.range)
    numbers = reading.numbers(len(stack))
    for at, number in enumerate(numbers):
        try:
            stack[number]
        except InputError as error:
            corrupt.append(CorruptFrame(at, stack.name(number), _short(str(error), path)))
        step(at + 1)
    return FrameCheck(len(numbers), corrupt, [], None, size=stack.size, levels=stack.levels)


def _short(message: str, file: Path) -> str:
    """Only the reason out of a message of ``read_image``."""
    reason = message.replace(f'{file}: ', '', 1)  # a path may hold brackets, too
    found = re.search(r'\((.*)\)', reason)
    return found[1] if found else reason.partition(';')[0]


def _check_video(path: Path, step: Callable[[int], None], reading: Reading) -> FrameCheck:
    found = index_video(path, step)
    numbers = reading.numbers(len(found.checksums), found.seconds)
    corrupt = [CorruptFrame(at, frame_name(number), found.corrupt[number]) for at, number in enumerate(numbers)
               if number in found.corrupt]
    return FrameCheck(len(numbers), corrupt, [found.seconds[number] for number in numbers], found.rate,
                      found.interlaced, size=found.size, levels=reading.range or found.levels, notes=found.notes)
