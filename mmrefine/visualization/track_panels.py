"""Frames of a clip side by side with its tracks on them, and the colours of their errors."""
from __future__ import annotations

from dataclasses import dataclass
from typing import List, Optional, Sequence, Tuple

import cv2
import numpy as np

from mmrefine.visualization.panels import BAR, SOFT, blank, joined, write_text
from mmrefine.visualization.trails import SHIFT, draw_trails, trail_colors

Color = Tuple[int, int, int]
COLUMNS, PANEL_WIDTH = 3, 400  # frames of a clip in a row; px of each
MOST_DRAWN = 300  # tracks in a picture; more would cover the frame
FINE, HALF, FULL = (40, 205, 95), (255, 220, 60), (238, 30, 45)  # colours of no error, half, and all of the scale
STEPS = (0.5, 1., 2., 3., 5., 10., 15., 20., 30., 50., 100.)  # px, the scales of errors to choose from
MISS, FAR = (205, 205, 205), 1e4  # colour of the lines to where points should be; px that they are cut at


@dataclass(frozen=True)
class Trails:
    """Tracks of a clip of T frames and how they are drawn.

    Args:
        points: ``(N, T, 2)`` px (x, y) of the frames, nan where a point is not followed.
        visible: ``(N, T)`` in [0, 1].
        colors: ``(N, 3)`` uint8 RGB; None: by the place where each track begins.
        truth: ``(N, T, 2)`` px, where the points should be; nan where that is not known.
    """
    points: np.ndarray
    visible: np.ndarray
    colors: Optional[np.ndarray] = None
    truth: Optional[np.ndarray] = None

    def thinned(self, most: int = MOST_DRAWN) -> 'Trails':
        """At most so many of the tracks, spread evenly."""
        if len(self.points) <= most:
            return self
        some = np.linspace(0, len(self.points) - 1, most).astype(int)
        colors, truth = (None if part is None else part[some] for part in (self.colors, self.truth))
        return Trails(self.points[some], self.visible[some], colors, truth)

    def colors_in(self, size: Tuple[int, int]) -> np.ndarray:
        """The colours ``(N, 3)`` uint8 RGB in frames of ``size`` = (height, width)."""
        return trail_colors(self.points[:, 0], size) if self.colors is None else self.colors


def error_colors(errors: np.ndarray, full: float) -> np.ndarray:
    """Colours ``(N, 3)`` uint8 RGB of errors ``(N,)`` px: green at 0, yellow half way, red at ``full`` px and beyond.

    What is not finite counts as beyond.
    """
    share = np.clip(np.where(np.isfinite(errors), errors, full) / full, 0, 1)
    return np.stack([np.interp(share, (0, 0.5, 1), shades) for shades in zip(FINE, HALF, FULL)],
                    axis=1).round().astype(np.uint8)


def error_scale(errors: Sequence[np.ndarray]) -> float:
    """The error of full colour for all pictures of a scene, px: a round number that three of four errors are below.

    A scale that holds the few tracks that went astray would turn all others green.
    """
    known = [values[np.isfinite(values)] for values in errors]
    pooled = np.concatenate(known) if known else np.empty(0)
    high = float(np.percentile(pooled, 75)) if pooled.size else 0.
    return next((step for step in STEPS if step >= high), STEPS[-1])


def track_panel(frames: Sequence[np.ndarray], trails: Trails, number: int, width: int = PANEL_WIDTH) -> np.ndarray:
    """A frame of a clip, faded and scaled to a width, with the tracks from the first frame to this one.

    Args:
        frames: ``(H, W, 3)`` uint8 RGB each, T of them.
        trails: all are drawn; thin them before.
        number: of the frame, from 0.
        width: of the picture, px; its height follows.

    Returns:
        ``(h, width, 3)`` uint8 RGB.
    """
    frame = frames[number]
    grey = cv2.cvtColor(np.ascontiguousarray(frame), cv2.COLOR_RGB2GRAY)[..., None]
    picture = scaled(np.round(0.9 * (0.35 * frame + 0.65 * grey)).astype(np.uint8), width)
    factor = np.array([picture.shape[1] / frame.shape[1], picture.shape[0] / frame.shape[0]])
    points = (trails.points[:, :number + 1] + 0.5) * factor - 0.5
    if trails.truth is not None:
        _draw_misses(picture, (trails.truth[:, number] + 0.5) * factor - 0.5, points[:, -1])
    return draw_trails(picture, points, trails.visible[:, :number + 1], trails.colors_in(frame.shape[:2]))


def clip_row(title: str, frames: Sequence[np.ndarray], trails: Trails) -> np.ndarray:
    """The first, the middle and the last frame of a clip with its tracks, under a title; all are drawn.

    Returns:
        ``(h, 1224, 3)`` uint8 RGB.
    """
    panels = []
    for number in sorted({int(number) for number in np.linspace(0, len(frames) - 1, COLUMNS)}):
        bar = blank(BAR - 8, PANEL_WIDTH)
        write_text(bar, f'frame {number + 1} of {len(frames)}', 0, BAR - 15, SOFT)
        panels.append(np.vstack([bar, track_panel(frames, trails, number)]))
    panels += [np.full_like(panels[0], 255)] * (COLUMNS - len(panels))
    row = joined(panels, 1)
    bar = blank(BAR - 4, row.shape[1])
    write_text(bar, title, 0, BAR - 10)
    return np.vstack([bar, row])


def heading(width: int, title: str, entries: Sequence[Tuple[str, Optional[Color]]]) -> np.ndarray:
    """A title above a line of entries, each behind a dot of its colour if it has one; ``(h, width, 3)`` uint8 RGB.

    Entries that do not fit go on in the next line.
    """
    lines: List[List[Tuple[int, str, Optional[Color]]]] = [[]]
    left = 0
    for text, color in entries:
        room = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, 0.52, 1)[0][0] + (46 if color else 24)
        if left and left + room > width:
            left = 0
            lines.append([])
        lines[-1].append((left, text, color))
        left += room
    bar = blank(BAR + 26 * len(lines), width)
    write_text(bar, title, 0, BAR - 10)
    for row, line in enumerate(lines):
        base = BAR + 26 * row + 14
        for left, text, color in line:
            if color:
                cv2.circle(bar, (left + 8, base - 5), 7, (20, 20, 20), -1, cv2.LINE_AA)
                cv2.circle(bar, (left + 8, base - 5), 6, color, -1, cv2.LINE_AA)
            write_text(bar, text, left + (22 if color else 0), base, SOFT)
    return bar


def scaled(picture: np.ndarray, width: int) -> np.ndarray:
    """A picture ``(H, W, 3)`` uint8 at another width."""
    height = max(round(picture.shape[0] * width / picture.shape[1]), 1)
    way = cv2.INTER_AREA if picture.shape[1] > width else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(picture, (width, height), interpolation=way))


def _draw_misses(picture: np.ndarray, truth: np.ndarray, points: np.ndarray) -> None:
    """Thin lines from points ``(N, 2)`` px to where they should be, if both are known."""
    ends = np.stack([truth, points], axis=1)
    known = np.isfinite(ends).all(axis=(1, 2))
    for first, last in np.round(np.clip(ends[known], -FAR, FAR) * 2**SHIFT).astype(int).tolist():
        cv2.line(picture, first, last, MISS, 1, cv2.LINE_AA, SHIFT)
