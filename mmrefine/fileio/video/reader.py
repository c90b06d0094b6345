"""The frames of video files."""
from __future__ import annotations

import bisect
import os
import warnings
from pathlib import Path
from typing import Any, Dict, Iterator, List, Optional, Sequence, Union

import numpy as np

from mmrefine.errors import InputError
from mmrefine.fileio.atomic import PathLike
from mmrefine.fileio.digest import digest_of, digest_of_files
from mmrefine.fileio.grey_levels import Levels
from mmrefine.fileio.picture_formats import holds_several
from mmrefine.fileio.video.frames import FolderFrames, FrameSource, PictureSeries, pictures_of
from mmrefine.fileio.video.index import frame_name, index_video
from mmrefine.fileio.video.reading import ChosenFrames, Reading
from mmrefine.fileio.video.stack import STACK_SUFFIXES, StackFrames
from mmrefine.fileio.video.stream import Decoded, Unreadable, VideoStream

VIDEO_SUFFIXES = ('.mp4', '.m4v', '.mov', '.3gp', '.avi', '.mkv', '.webm', '.mpg', '.mpeg', '.ts', '.ogv', '.wmv',
                  '.flv', '.mts', '.m2ts', '.m2v', '.mxf', '.vob', '.dv', '.y4m', '.3g2', '.asf', '.f4v', '.qt')

# how many key frames before the nearest one to start from, tried in turn until a frame comes out as in the first
# pass; None: start of the file
_AHEAD = (0, 1, 2, 4, 8, 16, None)
# one more whenever the same file gives other pixels than before, so that decoded frames that were kept are not used
READER = 1
# open files of a parent process, which a fork must not close
_ABANDONED: List[Any] = []


def open_frames(path: Union[PathLike, PictureSeries], skip: Sequence[str] = (),
                reading: Reading = Reading()) -> FrameSource:
    """The frames of a folder of pictures or of a video file.

    Args:
        path: folder, file, or some pictures of a folder.
        skip: names of corrupt frames (:func:`~mmrefine.fileio.check_frames`), which keep their numbers and are never
            requested.
        reading: which frames are read, and how.

    Raises:
        ConfigError: ``reading`` leaves fewer than two frames.
        InputError: no such path, neither of the two, fewer than two frames, frames of several sizes, damaged files.
    """
    place = path if isinstance(path, PictureSeries) else Path(path)
    if isinstance(place, PictureSeries) or place.is_dir():
        files = pictures_of(place)
        numbers = reading.numbers(len(files))
        folder = place.path if isinstance(place, PictureSeries) else place
        pictures = FolderFrames(folder, skip, [files[number] for number in numbers], reading.range)
        return pictures if reading.resize is None else ChosenFrames(pictures, range(len(pictures)), reading.resize)
    path = place
    if path.is_file() and not is_video(path):
        raise InputError(f'{path}: neither a folder of frames nor a video ({", ".join(VIDEO_SUFFIXES)}); '
                         'motion needs at least 2 frames')
    if path.suffix.lower() in STACK_SUFFIXES:
        return _chosen(StackFrames(path, reading.range), (), reading)
    video = VideoFrames(path, reading.range)
    return _chosen(video, video.index.seconds, reading)


def _chosen(source: FrameSource, seconds: Sequence[float], reading: Reading) -> FrameSource:
    numbers = reading.numbers(len(source), seconds)
    is_whole = len(numbers) == len(source) and reading.resize is None
    return source if is_whole else ChosenFrames(source, numbers, reading.resize)


def is_video(path: Path) -> bool:
    """Whether the file name has the suffix of a video, or the file holds several pictures."""
    return path.suffix.lower() in VIDEO_SUFFIXES or holds_several(path)


class VideoFrames(FrameSource):
    """The frames of a video file, upright, streamed; ``frame_000000`` is the first.

    Opening decodes the whole video once, unless its index is cached
    (:func:`~mmrefine.fileio.video.index.index_video`), as the frame count of a container is not reliable. Reading in
    order never seeks. Any other frame is found by its timestamp, decoding from a key frame before it; a checksum
    verifies that it is the frame that reading in order gives, and if not, decoding starts from an earlier key frame.
    Frames that are flagged as interlaced are deinterlaced. Memory use does not grow with the length of the video.

    Args:
        path: the file.
        levels: the grey levels that become 0 and 255. Default: the range of the video if its frames have 16 bits of
            which less than half are used, see :func:`~mmrefine.fileio.grey_levels.scene_levels`; else the frames as
            they are.

    Raises:
        InputError: a missing, truncated or unreadable video, or one with fewer than two frames.
    """

    def __init__(self, path: PathLike, levels: Optional[Levels] = None) -> None:
        super().__init__(path)
        self.index = index_video(self.path)
        self.size = self.index.size
        self.levels = self.index.levels if levels is None else (float(levels[0]), float(levels[1]))
        self._stream: Optional[VideoStream] = None
        self._frames: Iterator[Decoded] = iter(())
        self._decoded: Dict[int, Any] = {}
        self._next = 0  # the frame that decoding on gives next
        self._pid = os.getpid()
        self._ahead = 0  # index into _AHEAD that worked last time
        if self.index.promised > len(self):
            warnings.warn(f'{self.path}: should have {self.index.promised} frames, {len(self)} can be decoded; these '
                          'are used', stacklevel=2)

    def __len__(self) -> int:
        return len(self.index.checksums)

    def name(self, index: int) -> str:
        """The number of frame ``index``, written so that names sort as frames do."""
        return frame_name(range(len(self))[index])

    def distance(self, index: int) -> int:
        """How many frames are decoded before frame ``index`` where reading begins at its key frame."""
        return index - self._start_of(index)

    def digest(self) -> str:
        """Hash of the contents of the file, and of the grey levels if its frames are scaled."""
        contents = digest_of_files([('', self.path)])
        return contents if self.levels is None else digest_of([contents, list(self.levels)])

    def __getstate__(self) -> Dict[str, Any]:
        return {**super().__getstate__(), '_stream': None, '_frames': iter(()), '_decoded': {}}

    def _load(self, index: int) -> np.ndarray:
        if self.index.checksums[index] is None:
            raise InputError(f'{self.path}: frame {index} ({self.name(index)}) cannot be decoded '
                             f'({self.index.corrupt[index]}); copy the video again, or leave the frame out (skip, '
                             '--skip-corrupt)')
        if self._stream is not None and self._pid != os.getpid():
            # a fork shares the file position, and closing may wait for threads that exist only in the parent
            _ABANDONED.append((self._stream, self._frames, self._decoded))
            self._stream, self._frames, self._decoded = None, iter(()), {}
        if not self._goes_on(index) or not self._read_to(index):
            self._find(index)
        assert self._stream is not None
        return self._stream.rgb(self._decoded[index], self.levels)

    def _find(self, index: int) -> None:
        """Jump and decode on to a frame, from further and further ahead until it is that of the first pass."""
        for at in range(self._ahead, len(_AHEAD)):
            from_start = self._jump(index, _AHEAD[at])
            if self._read_to(index):
                # a frame that only the start of the file gives says nothing about the next one
                self._ahead = at if _AHEAD[at] is not None else 0
                return
            if from_start:
                break
        self._ahead = 0
        self._close()
        raise InputError(f'{self.path}: frame {index} is not what it was when the video was opened; leave the file '
                         'alone while it is in use, and start again')

    def _goes_on(self, index: int) -> bool:
        """Whether decoding on from here reaches the frame without decoding more than a seek would."""
        if self._stream is None:
            return False
        return index in self._decoded or (self._next <= index and self._start_of(index) <= self._next)

    def _start_of(self, index: int) -> int:
        """The number of the last key frame from which a frame can be decoded; deinterlacing also needs the previous
        frame."""
        stamps, first = self.index.stamps, max(index - self.index.interlaced, 0)
        at = bisect.bisect(self.index.starts, stamps[first]) - 1 if stamps else -1
        return 0 if stamps is None or at < 0 else bisect.bisect_left(stamps, self.index.starts[at])

    def _jump(self, index: int, ahead: Optional[int]) -> bool:
        """Seek to ``ahead`` key frames before that of a frame; for None, or where there are fewer, to the start of the
        file: True then.
        """
        stamps = self.index.stamps
        key = None
        if stamps is not None and ahead is not None:
            place = bisect.bisect(self.index.starts, stamps[self._start_of(index)]) - 1 - ahead
            key = self.index.starts[place] if place > 0 else None
        if self._stream is None or key is None:
            self._close()
            try:
                self._stream = VideoStream(self.path)
            except Unreadable as error:
                raise InputError(f'{self.path}: can no longer be read; leave the file alone while it is in use, and '
                                 'start again') from error
            self._pid = os.getpid()
        if key is not None:
            self._stream.seek(key)
        self._frames, self._next = self._stream.frames(self.index.interlaced, after_seek=key is not None), 0
        self._decoded.clear()
        return key is None

    def _read_to(self, index: int) -> bool:
        """Decode on up to a frame; False if it is not the frame of the first pass. The last two frames are kept."""
        stamps = self.index.stamps
        while index not in self._decoded:
            frame = next(self._frames, None)
            if frame is None:
                return False
            at = self._next if stamps is None else bisect.bisect_left(stamps, frame.raw.pts or 0)
            self._next = max(self._next, at + 1)  # damage can make a frame come late
            if at > index:
                return False
            if at >= index - 1 and at < len(self):
                if (stamps is not None and stamps[at] != frame.raw.pts) or frame.checksum() != self.index.checksums[at]:
                    if at == index:
                        return False
                    continue
                self._decoded = {number: kept for number, kept in self._decoded.items() if number == at - 1}
                self._decoded[at] = frame.shown
        return True

    def _close(self) -> None:
        if self._stream is not None:
            self._stream.close()
        self._stream, self._frames, self._decoded = None, iter(()), {}
