"""Which frames of a scene are read, at which size, and by which grey levels."""
from __future__ import annotations

import bisect
import copy
import math
import re
from dataclasses import dataclass, fields
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple, Union

import cv2
import numpy as np

from mmrefine.errors import ConfigError
from mmrefine.fileio.digest import digest_of
from mmrefine.fileio.grey_levels import Levels
from mmrefine.fileio.video.frames import FrameSource
from mmrefine.values import as_size, is_number

# 90, 90.5, 1:30, 0:01:30.5, or 120f
_TIME = re.compile(r'(?:(?:(\d{1,6}):)?(\d{1,6}):)?(\d{1,9}(?:\.\d{1,9})?)')
_FRAME = re.compile(r'(\d{1,9})f')
Moment = Union[str, int, float]


@dataclass(frozen=True)
class Reading:
    """What is read of each scene; by default all of it, as it is.

    Args:
        start: the first frame: seconds from the start of the video, ``'h:mm:ss'``, or ``'120f'`` for frame 120, counted
            from 0.
        end: where to stop, written likewise; the frame at this moment is not read.
        stride: take each n-th frame, at least 1.
        max_frames: stop after so many frames, at least 2.
        resize: (height, width) of the frames, px, at least 16 each and within what a picture may have; motion is then
            px of the resized frames.
        range: the grey levels that become 0 and 255; default: see :class:`~mmrefine.fileio.FolderFrames`.

    Raises:
        ConfigError: a value of another form or out of range.
    """
    start: Optional[Moment] = None
    end: Optional[Moment] = None
    stride: int = 1
    max_frames: Optional[int] = None
    resize: Optional[Tuple[int, int]] = None
    range: Optional[Levels] = None

    def __post_init__(self) -> None:
        for name in ('start', 'end'):
            _moment(name, getattr(self, name))
        _whole('stride', self.stride, 1)
        if self.max_frames is not None:
            _whole('max_frames', self.max_frames, 2)
        if self.resize is not None:
            object.__setattr__(self, 'resize', as_size('resize', self.resize, least=16))
        if self.range is not None:
            low, high = _two('range', self.range)
            if not all(is_number(level) and math.isfinite(level) for level in (low, high)) or not low < high:
                raise ConfigError(f'range must be two grey levels, the lower one first, got {self.range!r}')
            object.__setattr__(self, 'range', (float(low), float(high)))

    @classmethod
    def of(cls, values: Optional[Mapping[str, Any]]) -> 'Reading':
        """From a config; None: the default.

        Raises:
            ConfigError: unknown keys or invalid values.
        """
        known = [one.name for one in fields(cls)]
        unknown = sorted(set(values or {}) - set(known))
        if unknown:
            raise ConfigError(f'reading has no key {unknown[0]!r}; it has {", ".join(known)}')
        return cls(**(values or {}))

    def values(self) -> Dict[str, Any]:
        """What differs from the default, for a config."""
        return {one.name: getattr(self, one.name) for one in fields(self) if getattr(self, one.name) != one.default}

    def numbers(self, count: int, seconds: Sequence[float] = ()) -> List[int]:
        """The numbers of the frames that are read, out of ``count``.

        Args:
            count: frames of the scene.
            seconds: time of each frame, s; empty for pictures, which have none.

        Raises:
            ConfigError: a start or end in seconds for pictures, or fewer than two frames are left.
        """
        first = 0 if self.start is None else _place('start', self.start, count, seconds)
        last = count if self.end is None else _place('end', self.end, count, seconds)
        found = list(range(first, last, self.stride))[:self.max_frames]
        if len(found) < min(count, 2):
            chosen = ', '.join(f'{name}={value}' for name, value in self.values().items())
            raise ConfigError(f'{chosen} leaves {len(found)} of {count} frames, and motion needs at least 2; choose '
                              'more of them')
        return found


def gaps_among(numbers: Sequence[int], gaps: Sequence[int]) -> List[int]:
    """The gaps between frames that are read.

    Args:
        numbers: of the frames that are read, in order.
        gaps: numbers of the frames of the scene before which there is a gap, rising.

    Returns:
        places in ``numbers``, from 1, before which there is one.
    """
    return [at for at, (one, two) in enumerate(zip(numbers, numbers[1:]), start=1)
            if bisect.bisect(gaps, one) < bisect.bisect(gaps, two)] if gaps else []


class ChosenFrames(FrameSource):
    """Some frames of a source, resized if that is asked for.

    Args:
        source: all frames.
        numbers: of those that are read, in order.
        resize: their (height, width), px; default: that of the source.
    """

    def __init__(self, source: FrameSource, numbers: Sequence[int], resize: Optional[Tuple[int, int]] = None) -> None:
        super().__init__(source.path)
        self.source, self.numbers = source, list(numbers)
        self.size = resize or source.size

    def on(self, source: FrameSource) -> 'ChosenFrames':
        """The same choice out of another source of the same frames."""
        return ChosenFrames(source, self.numbers, self.size)

    def __len__(self) -> int:
        return len(self.numbers)

    def name(self, index: int) -> str:
        """The name that the source gives the frame."""
        return self.source.name(self.numbers[index])

    def digest(self) -> str:
        """Hash of the digest of the source, of the numbers and of the size."""
        return digest_of([self.source.digest(), self.numbers, list(self.size)])

    def __getstate__(self) -> Dict[str, Any]:
        return {**super().__getstate__(), 'source': copy.copy(self.source)}  # without frames and open files

    def _load(self, index: int) -> np.ndarray:
        frame = self.source[self.numbers[index]]
        return frame if frame.shape[:2] == self.size else resized(frame, self.size)


def resized(frame: np.ndarray, size: Tuple[int, int]) -> np.ndarray:
    """``frame`` at (height, width) px: averaged over areas where both sides shrink, else cubic."""
    shrinks = size[0] <= frame.shape[0] and size[1] <= frame.shape[1]
    return np.asarray(cv2.resize(frame, size[::-1], interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC))


def _moment(name: str, value: Any) -> Tuple[Optional[int], float]:
    """The number of a frame, or None and seconds."""
    text = f'{value:.9f}' if isinstance(value, float) and value >= 0 else str(value)
    frame, time = _FRAME.fullmatch(text), _TIME.fullmatch(text)
    if frame:
        return int(frame[1]), 0.
    if time:
        hours, minutes, seconds = (float(part or 0) for part in time.groups())
        return None, 3600 * hours + 60 * minutes + seconds
    if value is None:
        return None, 0.
    raise ConfigError(f"{name} must be seconds such as 90 or 90.5, h:mm:ss such as 0:01:30, or the number of a frame "
                      f"such as 120f, got {value!r}")


def _place(name: str, value: Moment, count: int, seconds: Sequence[float]) -> int:
    """The number of the first frame at or after a moment."""
    frame, moment = _moment(name, value)
    if frame is not None:
        return min(frame, count)
    if not seconds and moment > 0:
        raise ConfigError(f'{name}={value}: pictures have no times; give the number of a frame, such as 120f')
    return sum(time < moment - 1e-9 for time in seconds)


def _whole(name: str, value: Any, least: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ConfigError(f'{name} must be a whole number, at least {least}, got {value!r}')


def _two(name: str, value: Any) -> Sequence[Any]:
    if not isinstance(value, (list, tuple)) or len(value) != 2:
        raise ConfigError(f'{name} must be two numbers, got {value!r}')
    return value
