"""A frame of a video beside its motion and how sure that is: what ``mmrefine flow`` shows."""
from __future__ import annotations

import cv2
import numpy as np

from mmrefine.visualization.flow_wheel import draw_wheel, flow_to_rgb
from mmrefine.visualization.sheets import GAP, write_text

LONG_SIDE = 640  # px; a panel is never larger
HEAD, LEAST_WIDTH = 84, 360  # px; of the legend


def motion_view(frame: np.ndarray, flow: np.ndarray, confidence: np.ndarray, max_motion: float, title: str = '') -> np.ndarray:
    """Three panels under a legend: the frame, its motion in the colours of the wheel, its confidence from black (0) to white (1).

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
        raise ValueError(f'flow and confidence must have the size of the frame, {size}, got {flow.shape[:2]} and {confidence.shape}')
    grey = np.round(255 * np.clip(confidence, 0, 1)).astype(np.uint8)
    pictures = [_scaled(picture) for picture in (frame, flow_to_rgb(flow, max_motion), np.repeat(grey[..., None], 3, axis=2))]
    height, width = pictures[0].shape[:2]
    wide = width > height
    gap = np.full((GAP, width, 3) if wide else (height, GAP, 3), 255, dtype=np.uint8)
    panels = [part for picture in pictures for part in (picture, gap)][:-1]
    body = np.vstack(panels) if wide else np.hstack(panels)
    body = np.pad(body, ((0, 0), (0, max(LEAST_WIDTH - body.shape[1], 0)), (0, 0)), constant_values=255)
    head = np.full((HEAD, body.shape[1], 3), 255, dtype=np.uint8)
    wheel = HEAD - 2 * GAP
    head[GAP:GAP + wheel, GAP:GAP + wheel] = draw_wheel(wheel)
    lines = (title, f'motion: full colour at {max_motion:.2f} px or more, white: none', 'confidence: white sure, black not')
    for row, text in enumerate(lines):
        write_text(head, text, wheel + 2 * GAP, GAP + 12 + 24 * row)
    return np.vstack([head, body])


def _scaled(picture: np.ndarray) -> np.ndarray:
    share = min(1., LONG_SIDE / max(picture.shape[:2]))
    if share == 1:
        return picture
    height, width = (max(round(side * share), 1) for side in picture.shape[:2])
    return cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA)
