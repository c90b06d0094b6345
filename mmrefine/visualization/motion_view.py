"""A frame of a video beside its motion and how sure that is: what ``mmrefine flow`` shows."""
from __future__ import annotations

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
    size = frame.shape[:2]
    if flow.shape[:2] != size or confidence.shape != size:
        raise ValueError(f'flow and confidence must have the size of the frame, {size}, got {flow.shape[:2]} and '
                         f'{confidence.shape}')
    pictures = [_scaled(picture) for picture in (frame, flow_to_rgb(flow, max_motion), grey_picture(confidence))]
    height, width = pictures[0].shape[:2]
    body = joined(pictures, 0 if width > height else 1)
    body = np.pad(body, ((0, 0), (0, max(LEAST_WIDTH - body.shape[1], 0)), (0, 0)), constant_values=255)
    lines = (title, f'motion: full colour at {max_motion:.2f} px or more, white: none',
             'confidence: white sure, black not')
    return np.vstack([legend(body.shape[1], lines), body])


def _scaled(picture: np.ndarray) -> np.ndarray:
    share = min(1., LONG_SIDE / max(picture.shape[:2]))
    if share == 1:
        return picture
    height, width = (max(round(side * share), 1) for side in picture.shape[:2])
    return cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA)
