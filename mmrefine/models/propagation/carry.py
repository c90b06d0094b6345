"""Maps of labels carried from a frame to the next one along a flow."""
from __future__ import annotations

from typing import Optional

import cv2
import numpy as np
import torch
from torch import Tensor

from mmrefine.geometry import backwarp, cycle_consistent

RETURN_ALPHA, RETURN_BETA = 0.025, 0.5  # no unit, px: a round trip that misses by more says that the pixel was hidden
LEAST_RETURNING = 0.5  # of the frame


def carry_labels(labels: Tensor, flow_bw: Tensor, flow_fw: Optional[Tensor] = None) -> Tensor:
    """Maps of frame t as seen in frame t + 1: ``m'(x) = m(x + flow_bw(x))``, bilinear; 0 comes in from outside.

    What comes into view behind an object has no place in frame t: the way back of such a pixel ends on the object, so
    the object leaves a trail, and the more exact the flow the cleaner the trail. With ``flow_fw``, pixels whose round
    trip misses by more than ``0.025 (|f| + |b|) + 0.5`` px, or leaves the frame, take the value of the nearest pixel
    that does return. Where less than a half of the frame returns, the check says nothing, and every pixel follows its
    own way back.

    Args:
        labels: ``(..., H, W)`` float in [0, 1], of frame t.
        flow_bw: ``(2, H, W)`` px, frame t + 1 -> frame t.
        flow_fw: ``(2, H, W)`` px, frame t -> frame t + 1; None: every pixel follows its own way back.

    Returns:
        the same shape; threshold it only to score it, so that rounding does not add up along the video.

    Raises:
        ValueError: shapes that do not belong together.
    """
    size = tuple(labels.shape[-2:])
    if labels.dim() < 2 or any(flow.shape != (2, *size) for flow in (flow_bw, flow_fw) if flow is not None):
        shapes = ' and '.join(str(tuple(flow.shape)) for flow in (flow_bw, flow_fw) if flow is not None)
        raise ValueError(f'labels (..., H, W) need flows (2, H, W), got {tuple(labels.shape)} and {shapes}')
    carried = backwarp(labels.reshape(1, -1, *size), flow_bw[None]).view_as(labels)
    if flow_fw is None:
        return carried
    returns = cycle_consistent(flow_bw[None], flow_fw[None], RETURN_ALPHA, RETURN_BETA)[0, 0]
    if returns.all() or returns.float().mean() < LEAST_RETURNING:
        return carried
    return fill_from_nearest(carried, returns)


def fill_from_nearest(values: Tensor, known: Tensor) -> Tensor:
    """Each value ``(..., H, W)`` that is not known replaced by that of the nearest pixel where it is.

    Args:
        values: ``(..., H, W)``.
        known: bool ``(H, W)``, true somewhere.
    """
    hidden = (~known).cpu().numpy().astype(np.uint8)
    _, nearest = cv2.distanceTransformWithLabels(hidden, cv2.DIST_L2, cv2.DIST_MASK_5, labelType=cv2.DIST_LABEL_PIXEL)
    source = np.zeros(nearest.max() + 1, np.int64)
    sources = np.flatnonzero(hidden == 0)
    source[nearest.ravel()[sources]] = sources
    return values.flatten(-2)[..., torch.from_numpy(source[nearest]).to(values.device)]
