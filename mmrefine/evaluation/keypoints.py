"""How well points that a flow carried through a video match the clicked ones: PCK, the percentage of correct keypoints."""
from __future__ import annotations

from typing import Union

import numpy as np
from torch import Tensor

from mmrefine.geometry import sample

PCK_SHARE = 0.2  # of the side of a square as large as the object: BADJA's


def pck(points: np.ndarray, truth: np.ndarray, visible: np.ndarray, threshold: Union[float, np.ndarray]) -> float:
    """Share of the visible keypoints that are at most ``threshold`` off, all frames pooled: each keypoint counts once.

    Args:
        points: ``(T, N, 2)`` px (x, y), where N keypoints are said to be in T frames; nan is wrong.
        truth: the same shape, where they are; where not visible, anything.
        visible: ``(T, N)`` bool; only these count.
        threshold: px of the same size of frame, at least 0; one for all frames, or ``(T,)``.

    Returns:
        PCK in [0, 1].

    Raises:
        ValueError: shapes that do not belong together, a threshold below 0, or no visible keypoint.
    """
    points, truth, visible = np.asarray(points, np.float64), np.asarray(truth, np.float64), np.asarray(visible, bool)
    if visible.ndim != 2 or points.shape != (*visible.shape, 2) or truth.shape != points.shape:
        raise ValueError('keypoints need points and truth (T, N, 2) and visible (T, N), '
                         f'got {points.shape}, {truth.shape} and {visible.shape}')
    limit = np.asarray(threshold, np.float64)
    if limit.shape not in ((), visible.shape[:1]) or not (limit >= 0).all():
        raise ValueError(f'a threshold must be one number of px, at least 0, or one for each of the {len(visible)} frames, got {threshold}')
    if not visible.any():
        raise ValueError('there is no visible keypoint to score')
    off = np.linalg.norm(points - truth, axis=-1)
    return float((off <= limit.reshape(-1, 1))[visible].mean())


def pck_threshold(mask: np.ndarray, share: float = PCK_SHARE) -> float:
    """BADJA's threshold: ``share * sqrt(|mask|)`` px, for a mask ``(H, W)`` bool of the object in that frame."""
    return share * float(np.sqrt(np.count_nonzero(mask)))


def carry_points(points: Tensor, flow_fw: Tensor) -> Tensor:
    """Points of frame t as they lie in frame t + 1: ``p' = p + flow_fw(p)``, bilinear.

    A point outside of the frame moves as the nearest pixel of its edge does, so it may come back.

    Args:
        points: ``(N, 2)`` px (x, y), of frame t.
        flow_fw: ``(2, H, W)`` px, frame t -> frame t + 1.

    Returns:
        ``(N, 2)`` px.

    Raises:
        ValueError: other shapes.
    """
    if points.dim() != 2 or points.shape[1] != 2 or flow_fw.dim() != 3 or len(flow_fw) != 2:
        raise ValueError(f'points (N, 2) need a flow (2, H, W), got {tuple(points.shape)} and {tuple(flow_fw.shape)}')
    return points + sample(flow_fw[None], points.t()[None, :, :, None], padding='border')[0, :, :, 0].t()
