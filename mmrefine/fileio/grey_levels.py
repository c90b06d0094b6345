"""Pictures of more than 8 bits as 8-bit RGB, by one scale for a whole scene."""
from __future__ import annotations

from typing import Iterable, Optional, Sequence, Tuple

import numpy as np

# the grey level that becomes 0, and the one that becomes 255
Levels = Tuple[float, float]

# share of the values of a frame that may lie beyond each end, as hot pixels do
_TAIL = 1e-4
# 16-bit pictures that use at least this much of their 65536 levels keep their upper 8 bits
_WIDE = 32768
# whole numbers are never stretched, so that noise does not fill the picture
_NARROW = 255


def choose_levels(frames: Iterable[np.ndarray]) -> Optional[Levels]:
    """The :func:`scene_levels` of frames of any shape; those of 8 bits do not count."""
    deep = ((frame_range(frame), frame.dtype) for frame in frames if frame.dtype != np.uint8)
    found = [(ends, kind) for ends, kind in deep if ends is not None]
    return scene_levels([ends for ends, _ in found], found[0][1]) if found else None


def frame_range(frame: np.ndarray) -> Optional[Levels]:
    """The least and the greatest level of a frame, apart from 0.01 % of its values at either end; None if no value is
    finite."""
    values = frame.ravel() if np.issubdtype(frame.dtype, np.integer) else frame[np.isfinite(frame)]
    if not values.size:
        return None
    beyond = int(_TAIL * values.size)
    ends = np.partition(values, (beyond, values.size - 1 - beyond))
    return float(ends[beyond]), float(ends[values.size - 1 - beyond])


def scene_levels(ranges: Sequence[Levels], kind: np.dtype) -> Optional[Levels]:
    """The levels that become 0 and 255 in all frames of a scene: the least and the greatest of the ranges of them.

    One scale leaves the motion alone, and a difference of brightness between two frames.

    Args:
        ranges: of at least one frame, see :func:`frame_range`.
        kind: of the values.

    Returns:
        None if the scene has one level only, or 16 bits of which at least half are used: then the upper 8 bits are
        read.
    """
    low, high = min(low for low, _ in ranges), max(high for _, high in ranges)
    if low == high or (kind == np.uint16 and high - low >= _WIDE):
        return None
    return low, max(high, low + _NARROW) if np.issubdtype(kind, np.integer) else high


def to_8_bits(pixels: np.ndarray, levels: Levels) -> np.ndarray:
    """The same shape as uint8: ``levels`` become 0 and 255, those between them are spread evenly, those beyond them and
    nan are cut off."""
    low, high = levels
    if pixels.dtype in (np.uint8, np.uint16):
        every = np.arange(np.iinfo(pixels.dtype).max + 1)
        return _scaled(every, low, high)[pixels]
    return _scaled(np.nan_to_num(pixels, nan=low, posinf=high, neginf=low), low, high)


def _scaled(values: np.ndarray, low: float, high: float) -> np.ndarray:
    return np.rint(np.clip((values - low) * (255. / (high - low)), 0., 255.)).astype(np.uint8)
