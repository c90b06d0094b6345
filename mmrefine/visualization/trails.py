"""Tracks drawn over frames: a dot where a point is, and behind it where it has been."""
from __future__ import annotations

from typing import Tuple

import cv2
import numpy as np

from mmrefine.visualization.flow_wheel import wheel_colors

# OpenCV draws at fractions of a pixel: coordinates are in units of 1 / 2^SHIFT px
SHIFT = 4
# px; OpenCV's coordinates are 32-bit numbers, and a point farther out than this is drawn as if it were here
FAR = 1e6
SEEN = 0.5  # visibility from which a point counts as seen
RIM = (20, 20, 20)  # around dots, so that they stand out from bright frames


def trail_colors(points: np.ndarray, size: Tuple[int, int]) -> np.ndarray:
    """A colour for each track by the place where it begins.

    The hue turns over the frame, and darker and lighter shades alternate from place to place, so that neighbours differ
    and a group that moves apart can be told. A colour depends on the place only, not on the other tracks.

    Args:
        points: ``(N, 2)`` px (x, y), where the tracks begin; what is not finite gets grey.
        size: (height, width) of the frames, px.

    Returns:
        ``(N, 3)`` uint8 RGB.
    """
    points = np.asarray(points, dtype=np.float64).reshape(-1, 2)
    known = np.asarray(np.isfinite(points).all(axis=1))
    places = np.clip(np.where(known[:, None], points, 0), -FAR, FAR)
    share = places / (size[1], size[0])
    cells = np.floor(places / (max(min(size), 1) / 24)).astype(np.int64)
    shades = np.mod(cells[:, 0] + 2 * cells[:, 1], 3)
    target, strength = np.array([1., 1., 0.])[shades], np.array([0.2, 0.65, 0.2])[shades]
    pure = wheel_colors(2 * np.pi * (2 * share[:, 0] + share[:, 1]))
    colors = pure + strength[:, None] * (target[:, None] - pure)
    colors[~known] = 0.5
    return np.round(255 * colors).astype(np.uint8)


def draw_trails(frame: np.ndarray, points: np.ndarray, visible: np.ndarray, colors: np.ndarray) -> np.ndarray:
    """A frame with the tracks that lead up to it.

    A dot with a dark rim marks where a point is in this frame; where it is not seen, the dot is hollow. The trail
    behind it fades with age, and is faint where the point was not seen. Dots and lines grow with the frame. Points
    farther down are drawn over those farther up, in whatever order the tracks come.

    Args:
        frame: ``(H, W, 3)`` uint8; it is not changed.
        points: ``(N, S, 2)`` px (x, y) in the last S frames, this one last; nan where a point is not followed. They may
            leave the frame.
        visible: ``(N, S)`` in [0, 1], how surely each point is seen; from 0.5 on it counts as seen.
        colors: ``(N, 3)`` uint8 in the order of the frame's channels, see :func:`trail_colors`.

    Returns:
        ``(H, W, 3)`` uint8.

    Raises:
        ValueError: shapes that do not fit together, or no frame at all (S = 0).
    """
    points, visible, colors = np.asarray(points, np.float64), np.asarray(visible), np.asarray(colors)
    count, steps = points.shape[:2] if points.ndim == 3 else (-1, -1)
    if points.shape != (count, steps, 2) or visible.shape != (count, steps) or colors.shape != (count, 3) or not steps:
        raise ValueError('points, visible and colors of trails must be (N, S, 2), (N, S) and (N, 3) with S > 0, got '
                         f'{points.shape}, {visible.shape} and {colors.shape}')
    picture = np.ascontiguousarray(frame).copy()
    followed = np.asarray(np.isfinite(points).all(axis=2))
    seen = visible >= SEEN
    places = np.round(np.clip(np.where(followed[..., None], points, 0), -FAR, FAR) * 2**SHIFT).astype(np.int64)
    places[~followed] = 0
    order = np.lexsort((*colors.T[::-1], *seen.T, *followed.T, *places.reshape(count, 2 * steps).T))
    unit = max(1., min(frame.shape[:2]) / 240)
    width = max(1, round(1.2 * unit))
    for age in range(steps - 1, 0, -1):
        strength = 1 - age / steps
        for certain in (False, True):
            ends = slice(steps - 1 - age, steps + 1 - age)
            drawn = [i for i in order if followed[i, ends].all() and seen[i, ends].all() == certain]
            if drawn:
                layer = picture.copy()
                for i in drawn:
                    first, last = places[i, ends].tolist()
                    cv2.line(layer, first, last, colors[i].tolist(), width, cv2.LINE_AA, SHIFT)
                share = strength if certain else 0.35 * strength
                picture = np.round(picture + share * (layer.astype(np.float32) - picture)).astype(np.uint8)
    for i in order:
        if followed[i, -1]:
            _dot(picture, places[i, -1].tolist(), 2.5 * unit, colors[i].tolist(), bool(seen[i, -1]))
    return picture


def _dot(picture: np.ndarray, centre: Tuple[int, int], radius: float, color: Tuple[int, int, int], full: bool) -> None:
    """A disk, or a ring; ``centre`` in units of 1 / 2^SHIFT px."""
    fine, line = round(radius * 2**SHIFT), max(1, round(radius / 2.5))
    if full:
        cv2.circle(picture, centre, fine + line * 2**(SHIFT - 1), RIM, -1, cv2.LINE_AA, SHIFT)
        cv2.circle(picture, centre, fine, color, -1, cv2.LINE_AA, SHIFT)
    else:
        cv2.circle(picture, centre, fine, color, line, cv2.LINE_AA, SHIFT)
