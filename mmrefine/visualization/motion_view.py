"""A frame of a video beside its motion: with how sure that is, or before and after a refinement."""
from __future__ import annotations

from typing import Sequence

import cv2
import numpy as np

from mmrefine.visualization.flow_wheel import flow_to_rgb
from mmrefine.visualization.panels import grey_picture, joined, legend

LONG_SIDE = 640  # px; a panel is never larger
LEAST_WIDTH = 360  # px; of the legend


def motion_view(frame: np.ndarray, flow: np.ndarray, confidence: np.ndarray, max_motion: float,
                title: str = '') -> np.ndarray:
    """Three panels under a legend: the frame, its motion as colour, its confidence from black (0) to white (1).

    The panels stand side by side; those of a frame that is wider than high stand below one another.

    Args:
        frame: ``(H, W, 3)`` uint8 RGB.
        flow: ``(H, W, 2)`` px; what is not finite is unknown, and dark grey.
        confidence: ``(H, W)`` in [0, 1].
        max_motion: px of full colour, the same for all frames of a video.
        title: of the frame.

    Returns:
        ``(h, w, 3)`` uint8 RGB; the size depends on the size of the frame only.

    Raises:
        ValueError: the parts are not of one size.
    """
    _check_sizes(frame, flow=flow, confidence=confidence)
    return _panels([frame, flow_to_rgb(flow, max_motion), grey_picture(confidence)],
                   [title, _scale_line(max_motion), 'confidence: white sure, black not'])


def change_view(frame: np.ndarray, before: np.ndarray, after: np.ndarray, max_motion: float,
                title: str = '') -> np.ndarray:
    """Three panels under a legend: the frame, its motion before a refinement, and after it.

    Args:
        before: ``(H, W, 2)`` px, of the original network.
        after: the same of the refined network.
        frame, max_motion, title: see :func:`motion_view`, which arranges its panels, returns and raises alike.
    """
    _check_sizes(frame, before=before, after=after)
    order = 'top to bottom' if _is_wide(frame) else 'left to right'
    return _panels([frame, flow_to_rgb(before, max_motion), flow_to_rgb(after, max_motion)],
                   [title, f'{order}: frame, motion before, motion after', _scale_line(max_motion)])


def _check_sizes(frame: np.ndarray, **parts: np.ndarray) -> None:
    for name, part in parts.items():
        if part.shape[:2] != frame.shape[:2]:
            raise ValueError(f'{name} must have the size of the frame, {frame.shape[:2]}, got {part.shape[:2]}')


def _panels(pictures: Sequence[np.ndarray], lines: Sequence[str]) -> np.ndarray:
    body = joined([_scaled(picture) for picture in pictures], 0 if _is_wide(pictures[0]) else 1)
    body = np.pad(body, ((0, 0), (0, max(LEAST_WIDTH - body.shape[1], 0)), (0, 0)), constant_values=255)
    return np.vstack([legend(body.shape[1], lines), body])


def _is_wide(frame: np.ndarray) -> bool:
    return frame.shape[1] > frame.shape[0]


def _scale_line(max_motion: float) -> str:
    return f'motion: full colour at {max_motion:.2f} px or more, white: none'


def _scaled(picture: np.ndarray) -> np.ndarray:
    share = min(1., LONG_SIDE / max(picture.shape[:2]))
    if share == 1:
        return picture
    height, width = (max(round(side * share), 1) for side in picture.shape[:2])
    return cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA)
