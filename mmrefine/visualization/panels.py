"""What pictures for people are put together from: colours of numbers, panels with a title, and legends."""
from __future__ import annotations

from typing import Sequence, Tuple

import cv2
import numpy as np

from mmrefine.structures import FlowLabel
from mmrefine.visualization.flow_wheel import UNKNOWN_GREY, draw_wheel

GAP, BAR, HEAD = 12, 30, 84  # px: between panels, of the title of a panel, of a legend
INK, SOFT = (29, 39, 51), (91, 103, 118)
SMALLEST_TEXT = 0.1  # of OpenCV's scale
BETTER, WORSE = np.array([26., 150., 65.]), np.array([202., 32., 38.])


def label_arrays(label: FlowLabel) -> Tuple[np.ndarray, np.ndarray]:
    """The flow ``(H, W, 2)`` px and the weight ``(H, W)`` of a label."""
    return label.flow.permute(1, 2, 0).cpu().numpy(), label.weight[0].cpu().numpy()


def grey_picture(values: np.ndarray) -> np.ndarray:
    """Numbers ``(H, W)``, 0 black and 1 white, as ``(H, W, 3)`` uint8 RGB."""
    return np.repeat(np.round(255 * np.clip(values, 0, 1)).astype(np.uint8)[..., None], 3, axis=2)


def error_picture(error: np.ndarray, full: float) -> np.ndarray:
    """An error, or its change, ``(H, W)`` as ``(H, W, 3)`` uint8 RGB: red above 0, green below, white at 0.

    Full colour is at ``full`` or more; what is not finite is unknown and dark grey.
    """
    known = np.isfinite(error)
    share = np.clip(np.where(known, error, 0) / full, -1, 1)[..., None]
    colors = 255 - np.abs(share) * (255 - np.where(share > 0, WORSE, BETTER))
    colors[~known] = UNKNOWN_GREY
    return np.round(colors).astype(np.uint8)


def write_text(picture: np.ndarray, text: str, left: int, base: int, color: Tuple[int, int, int] = INK) -> None:
    """Write into ``picture``, smaller if the line would not fit."""
    text = text.encode(errors='replace').decode()  # OpenCV crashes on names that are no valid text
    scale, room = 0.52, picture.shape[1] - left - 4
    # step by step: OpenCV rounds the size of a font, so the width does not follow the scale
    while scale > SMALLEST_TEXT and cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, scale, 1)[0][0] > room:
        scale *= 0.95
    cv2.putText(picture, text, (left, base), cv2.FONT_HERSHEY_SIMPLEX, scale, color, 1, cv2.LINE_AA)


def panel(title: str, picture: np.ndarray, width: int) -> np.ndarray:
    """A picture ``(H, W, 3)`` uint8 RGB scaled to ``width`` px, under its title."""
    height = max(round(picture.shape[0] * width / picture.shape[1]), 1)
    way = cv2.INTER_AREA if picture.shape[1] > width else cv2.INTER_NEAREST
    bar = blank(BAR, width)
    write_text(bar, title, 0, BAR - 10)
    return np.vstack([bar, cv2.resize(picture, (width, height), interpolation=way)])


def legend(width: int, lines: Sequence[str]) -> np.ndarray:
    """A colour wheel beside up to three lines of text, ``(84, width, 3)`` uint8 RGB."""
    head, size = blank(HEAD, width), HEAD - 2 * GAP
    head[GAP:GAP + size, :size] = draw_wheel(size)
    for row, text in enumerate(lines):
        write_text(head, text, size + GAP, HEAD // 2 + 6 + 24 * row - 12 * (len(lines) - 1), SOFT if row else INK)
    return head


def joined(pictures: Sequence[np.ndarray], axis: int) -> np.ndarray:
    """Pictures below one another (axis 0) or side by side (axis 1), with white between them."""
    height, width = pictures[0].shape[:2]
    gap = blank(GAP, width) if axis == 0 else blank(height, GAP)
    return np.concatenate([part for picture in pictures for part in (picture, gap)][:-1], axis)


def blank(height: int, width: int) -> np.ndarray:
    """White paper, ``(height, width, 3)`` uint8."""
    return np.full((height, width, 3), 255, dtype=np.uint8)
