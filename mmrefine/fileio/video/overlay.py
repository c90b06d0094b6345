"""What lies over a video and never changes, such as a logo, a pattern or the bars of a letterbox."""
from __future__ import annotations

from typing import Iterable, Optional

import numpy as np

FIXED_LEVELS = 2  # grey levels by which a pixel may differ that never changes
MOST_FIXED = 0.7  # share of the frame; of more, it is the scene that stands still
BESIDE = 8  # px, the step of the features of most networks


def fixed_overlay(frames: Iterable[np.ndarray]) -> Optional[np.ndarray]:
    """What lies over a video and never changes, such as a logo, the bars of a letterbox or a pattern.

    Single pixels and lines of one or two px that happen not to change are left out.

    Args:
        frames: ``(H, W, 3)`` uint8, from all over the video; eight or more, as in few frames much stands still.

    Returns:
        bool ``(H, W)``, true on the overlay; None if there is none, or if most of the frame stands still: a scene in
        which only some object moves is not an overlay.
    """
    least, most = np.uint8(255), np.uint8(0)
    for frame in frames:
        least, most = np.minimum(least, frame), np.maximum(most, frame)
    fixed = ((most.astype(np.int16) - least) <= FIXED_LEVELS).all(axis=-1)
    fixed = ~_any_around(~fixed)  # holds whole squares of 3x3 px
    fixed = _any_around(fixed)
    share = float(fixed.mean())
    return fixed if 0 < share <= MOST_FIXED else None


def share_beside(fixed: np.ndarray) -> float:
    """Share of the visible scene that lies within 8 px, the step of the features of most networks, of what covers it:
    1 for a fine pattern all over the frame, next to 0 for a logo.

    Args:
        fixed: bool ``(H, W)``, see :func:`fixed_overlay`.
    """
    near = fixed
    for _ in range(BESIDE):
        near = _any_around(near)
    visible = int((~fixed).sum())
    return float((near & ~fixed).sum()) / visible if visible else 1.


def _any_around(mask: np.ndarray) -> np.ndarray:
    """Whether any of the 3x3 px around a pixel is true; there is nothing beyond the border."""
    padded = np.pad(mask, 1)
    found = np.zeros_like(mask)
    for y in range(3):
        for x in range(3):
            found |= padded[y:y + mask.shape[0], x:x + mask.shape[1]]
    return found
