"""Pictures for people: before against after, and what became a label."""
from __future__ import annotations

from typing import List, Optional, Tuple

import cv2
import numpy as np

from mmrefine.structures import FlowLabel
from mmrefine.visualization.flow_wheel import UNKNOWN_GREY, draw_wheel, flow_to_rgb

PANEL_WIDTH = 480
GAP = 12
BAR = 30
INK, SOFT, PAPER = (29, 39, 51), (91, 103, 118), (255, 255, 255)
BETTER, WORSE = np.array([26., 150., 65.]), np.array([202., 32., 38.])


def before_after_sheet(frame1: np.ndarray,
                       before: np.ndarray,
                       after: np.ndarray,
                       max_motion: float,
                       truth: Optional[np.ndarray] = None,
                       valid: Optional[np.ndarray] = None,
                       frame2: Optional[np.ndarray] = None) -> np.ndarray:
    """What refinement changed on one pair, as one labelled picture of 2 x 3 panels.

    With truth: frame 1, truth, before, after, where the error fell or rose, legend. Without: frame 1, frame 2 (if given), before,
    after, how far the two flows differ, legend. All flows share one scale, which is printed.

    Args:
        frame1: ``(H, W, 3)`` uint8 RGB.
        before: ``(H, W, 2)`` px, flow of the network as it came.
        after: ``(H, W, 2)`` px, flow of the refined network.
        max_motion: px of full colour, see :func:`~mmrefine.visualization.flow_wheel.sequence_scale`.
        truth: ``(H, W, 2)`` px; what is not finite is unknown.
        valid: bool ``(H, W)``, where the truth is known. Default: everywhere.
        frame2: ``(H, W, 3)`` uint8 RGB.

    Returns:
        ``(h, 972, 3)`` uint8 RGB, h by the shape of the frames.

    Raises:
        ValueError: the parts are not of the same size.
    """
    size = frame1.shape[:2]
    parts = dict(before=before, after=after, truth=truth, valid=valid, frame2=frame2)
    for name, part in parts.items():
        if part is not None and part.shape[:2] != size:
            raise ValueError(f'{name} must have the size of frame1, {size}, got {part.shape[:2]}')
    panels = [('frame 1', frame1)]
    if truth is not None:
        known = np.isfinite(truth).all(axis=2) & (True if valid is None else valid.astype(bool))
        errors = [np.where(known, np.linalg.norm(flow - truth, axis=2), np.nan) for flow in (before, after)]
        titles = [f'{name}: EPE {_mean(error)}' for name, error in zip(('before', 'after'), errors)]
        panels.append(('ground truth', flow_to_rgb(truth, max_motion, known)))
        change, scale = _error_change(*errors)
        last = (f'error: green fell, red rose (full at {scale:.2g} px)', change)
    else:
        titles = ['before', 'after']
        if frame2 is not None:
            panels.append(('frame 2', frame2))
        change, scale = _difference(before, after)
        last = (f'before to after: px moved (black at {scale:.2g} px)', change)
    panels += [(title, flow_to_rgb(flow, max_motion)) for title, flow in zip(titles, (before, after))]
    panels.append(last)
    drawn = [panel(title, picture) for title, picture in panels]
    height = drawn[0].shape[0]
    drawn.append(_legend(height, max_motion))
    if len(drawn) % 2:
        drawn.insert(1, np.full_like(drawn[0], 255))
    return _grid(drawn)


def label_overlay(frame: np.ndarray, label: FlowLabel, max_motion: float) -> np.ndarray:
    """A label over its frame: kept motion in the colours of the wheel, the more opaque the more weight; the rest dark.

    Args:
        frame: ``(H, W, 3)`` uint8 RGB, frame 1 of the pair.
        label: flow ``(2, H, W)`` px and weight ``(1, H, W)``.
        max_motion: px of full colour.

    Returns:
        ``(H, W, 3)`` uint8 RGB.
    """
    weight = label.weight[0].cpu().numpy()[..., None]
    if frame.shape[:2] != weight.shape[:2]:
        raise ValueError(f'the label must have the size of its frame, {frame.shape[:2]}, got {weight.shape[:2]}')
    colors = flow_to_rgb(label.flow.permute(1, 2, 0).cpu().numpy(), max_motion)
    grey = np.repeat(cv2.cvtColor(np.ascontiguousarray(frame), cv2.COLOR_RGB2GRAY)[..., None], 3, axis=2)
    kept = 0.3 * grey + 0.7 * colors
    return np.round(weight * kept + (1 - weight) * 0.35 * grey).astype(np.uint8)


def _error_change(before: np.ndarray, after: np.ndarray) -> Tuple[np.ndarray, float]:
    """Green where the error fell, red where it rose, white where it stayed; full colour at the scale in px that is returned."""
    change = after - before
    known = np.isfinite(change)
    scale = max(float(np.percentile(np.abs(change[known]), 98)), 0.05) if known.any() else 0.05
    share = np.clip(np.where(known, change, 0) / scale, -1, 1)[..., None]
    colors = 255 - np.abs(share) * (255 - np.where(share > 0, WORSE, BETTER))
    colors[~known] = UNKNOWN_GREY
    return np.round(colors).astype(np.uint8), scale


def _difference(before: np.ndarray, after: np.ndarray) -> Tuple[np.ndarray, float]:
    """White where the flows agree, black where they differ by the scale in px that is returned."""
    moved = np.linalg.norm(after - before, axis=2)
    known = np.isfinite(moved)
    scale = max(float(np.percentile(moved[known], 98)), 0.05) if known.any() else 0.05
    grey = np.round(255 * (1 - np.minimum(np.where(known, moved, 0) / scale, 1))).astype(np.uint8)
    return np.repeat(grey[..., None], 3, axis=2), scale


def _mean(error: np.ndarray) -> str:
    known = error[np.isfinite(error)]
    return f'{known.mean():.3f} px' if known.size else 'unknown'


def write_text(picture: np.ndarray, text: str, left: int, base: int, color: Tuple[int, int, int] = INK) -> None:
    """Write into ``picture``, smaller if the line would not fit."""
    scale, room = 0.52, picture.shape[1] - left - 4
    width = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, scale, 1)[0][0]
    cv2.putText(picture, text, (left, base), cv2.FONT_HERSHEY_SIMPLEX, scale * min(1., room / width), color, 1, cv2.LINE_AA)


def panel(title: str, picture: np.ndarray, width: int = PANEL_WIDTH) -> np.ndarray:
    """A picture ``(H, W, 3)`` uint8 RGB scaled to ``width`` px, under its title."""
    height = max(round(picture.shape[0] * width / picture.shape[1]), 1)
    shrink = picture.shape[1] > width
    scaled = cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA if shrink else cv2.INTER_NEAREST)
    bar = np.full((BAR, width, 3), 255, dtype=np.uint8)
    write_text(bar, title, 0, BAR - 10)
    return np.vstack([bar, scaled])


def _legend(height: int, max_motion: float) -> np.ndarray:
    panel = np.full((height, PANEL_WIDTH, 3), 255, dtype=np.uint8)
    write_text(panel, 'direction and length of the motion', 0, BAR - 10)
    size = min(height - BAR, 200)
    if size > 8:
        panel[BAR:BAR + size, :size] = draw_wheel(size)
        lines = [f'full colour: {max_motion:.2f} px or more', 'white: no motion', 'dark grey: unknown']
        for i, line in enumerate(lines[:max(size // 22, 1)]):
            write_text(panel, line, size + GAP, BAR + 18 + 24 * i, SOFT)
    return panel


def _grid(panels: List[np.ndarray]) -> np.ndarray:
    height, width = panels[0].shape[:2]
    rows = -(-len(panels) // 2)
    sheet = np.full((rows * (height + GAP) - GAP, 2 * width + GAP, 3), PAPER, dtype=np.uint8)
    for i, panel in enumerate(panels):
        top, left = (i // 2) * (height + GAP), (i % 2) * (width + GAP)
        sheet[top:top + height, left:left + width] = panel
    return sheet
