"""Masks of objects drawn over frames."""
from __future__ import annotations

import cv2
import numpy as np

from mmrefine.fileio.annotations.davis import object_colors

STRENGTH = 0.5  # of the colour inside an object, in [0, 1]


def draw_masks(frame: np.ndarray, ids: np.ndarray) -> np.ndarray:
    """A frame with its objects tinted in the colours of DAVIS' palette; the border of each, inside of it, is full
    colour.

    Args:
        frame: ``(H, W, 3)`` uint8 RGB; it is not changed.
        ids: ``(H, W)`` uint8, 0 is background.

    Returns:
        ``(H, W, 3)`` uint8 RGB.

    Raises:
        ValueError: the mask is of another size.
    """
    if ids.shape != frame.shape[:2]:
        raise ValueError(f'the mask must have the size of the frame, {frame.shape[:2]}, got {ids.shape}')
    width = 2 * max(1, round(min(ids.shape) / 240)) + 1
    kernel = np.ones((width, width), np.uint8)
    # a pixel is on the border where another id is near; beyond the frame there is none
    edge = cv2.erode(ids, kernel) != cv2.dilate(ids, kernel)
    share = np.where(ids == 0, 0., np.where(edge, 1., STRENGTH))[..., None]
    found: np.ndarray = np.round(frame + share * (object_colors()[ids].astype(np.float64) - frame)).astype(np.uint8)
    return found
