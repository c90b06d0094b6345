"""Pictures for people: before against after, and what became a label."""
from __future__ import annotations

from typing import Optional

import cv2
import numpy as np

from mmrefine.structures import FlowLabel
from mmrefine.visualization.flow_wheel import draw_wheel, flow_to_rgb
from mmrefine.visualization.panels import (BAR, GAP, SOFT, blank, error_picture, grey_picture, joined, label_arrays,
                                           panel, write_text)

PANEL_WIDTH = 480  # px


def before_after_sheet(frame1: np.ndarray,
                       before: np.ndarray,
                       after: np.ndarray,
                       max_motion: float,
                       truth: Optional[np.ndarray] = None,
                       valid: Optional[np.ndarray] = None,
                       frame2: Optional[np.ndarray] = None) -> np.ndarray:
    """What refinement changed on one pair, as one labelled picture of 2 x 3 panels.

    With truth: frame 1, truth, before, after, where the error fell or rose, legend. Without: frame 1, frame 2 (if
    given), before, after, how far the two flows differ, legend. All flows share one scale, which is printed.

    Args:
        frame1: ``(H, W, 3)`` uint8 RGB.
        before: ``(H, W, 2)`` px, flow of the original network.
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
    titles = ['before', 'after']
    if truth is not None:
        known = np.isfinite(truth).all(axis=2) & (True if valid is None else valid.astype(bool))
        errors = [np.where(known, np.linalg.norm(flow - truth, axis=2), np.nan) for flow in (before, after)]
        titles = [f'{name}: EPE {_mean(error)}' for name, error in zip(titles, errors)]
        second = [('ground truth', flow_to_rgb(truth, max_motion, known))]
        change = errors[1] - errors[0]
        full = _scale(np.abs(change))
        last = (f'error: green fell, red rose (full at {full:.2g} px)', error_picture(change, full))
    else:
        second = [] if frame2 is None else [('frame 2', frame2)]
        moved = np.linalg.norm(after - before, axis=2)
        full = _scale(moved)
        shown = grey_picture(1 - np.where(np.isfinite(moved), moved, 0) / full)
        last = (f'before to after: px moved (black at {full:.2g} px)', shown)
    flows = [(title, flow_to_rgb(flow, max_motion)) for title, flow in zip(titles, (before, after))]
    drawn = [panel(title, picture, PANEL_WIDTH) for title, picture in [('frame 1', frame1), *second, *flows, last]]
    drawn.append(_legend(drawn[0].shape[0], max_motion))
    if len(drawn) % 2:
        drawn.insert(1, np.full_like(drawn[0], 255))
    return joined([joined(drawn[i:i + 2], 1) for i in range(0, len(drawn), 2)], 0)


def label_overlay(frame: np.ndarray, label: FlowLabel, max_motion: float) -> np.ndarray:
    """A label over its frame: kept motion in the colours of the wheel, the more opaque the more weight; the rest dark.

    Args:
        frame: ``(H, W, 3)`` uint8 RGB, frame 1 of the pair.
        label: flow ``(2, H, W)`` px and weight ``(1, H, W)``.
        max_motion: px of full colour.

    Returns:
        ``(H, W, 3)`` uint8 RGB.
    """
    flow, weight = label_arrays(label)
    if frame.shape[:2] != weight.shape:
        raise ValueError(f'the label must have the size of its frame, {frame.shape[:2]}, got {weight.shape}')
    grey, weight = cv2.cvtColor(np.ascontiguousarray(frame), cv2.COLOR_RGB2GRAY)[..., None], weight[..., None]
    kept = 0.3 * grey + 0.7 * flow_to_rgb(flow, max_motion)
    return np.round(weight * kept + (1 - weight) * 0.35 * grey).astype(np.uint8)


def _scale(sizes: np.ndarray) -> float:
    """The size in px at which the colour is full: a high percentile of those that are known, at least 0.05."""
    known = sizes[np.isfinite(sizes)]
    return max(float(np.percentile(known, 98)), 0.05) if known.size else 0.05


def _mean(error: np.ndarray) -> str:
    known = error[np.isfinite(error)]
    return f'{known.mean():.3f} px' if known.size else 'unknown'


def _legend(height: int, max_motion: float) -> np.ndarray:
    paper = blank(height, PANEL_WIDTH)
    write_text(paper, 'direction and length of the motion', 0, BAR - 10)
    size = min(height - BAR, 200)
    if size > 8:
        paper[BAR:BAR + size, :size] = draw_wheel(size)
        lines = [f'full colour: {max_motion:.2f} px or more', 'white: no motion', 'dark grey: unknown']
        for i, line in enumerate(lines[:max(size // 22, 1)]):
            write_text(paper, line, size + GAP, BAR + 18 + 24 * i, SOFT)
    return paper
