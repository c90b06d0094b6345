"""Maps of labels carried from frame to frame along a flow."""
from __future__ import annotations

from typing import Callable, Iterator, Optional

import cv2
import numpy as np
import torch
from torch import Tensor

from mmrefine.geometry import backwarp, cycle_consistent, fill_background
from mmrefine.models.trackers.steps import ChainSteps
from mmrefine.structures import Look

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
    return carried if flow_fw is None else _filled(carried, _returns(flow_bw[None], flow_fw[None]))


def carry_on(looks: Callable[[int, int], Look], count: int, labels: Tensor, steps: ChainSteps) -> Iterator[Tensor]:
    """Maps of the first frame as they are seen in each later one, along the steps that are to be trusted most.

    Of the steps that lead back to an earlier frame each pixel takes the one after which its expected error is the
    least, of those whose round trip returns as :func:`carry_labels` has it; any but the shortest counts only where it
    is expected to be off by at most ``steps.limit``. Where none does, the value is that of the nearest pixel where one
    does. With single steps, this is :func:`carry_labels` from each frame to the next.

    Args:
        looks: gives the motion between an earlier and a later frame, with its expected error where ``steps`` has a
            choice; asked in rising order of the later frame.
        count: frames.
        labels: ``(K, H, W)`` float in [0, 1], of the first frame; they sum to 1 in each pixel.
        steps: which there are.

    Yields:
        ``(K, H, W)`` of each later frame; they sum to 1.
    """
    size = tuple(labels.shape[-2:])
    known = {0: torch.cat([labels, labels.new_zeros(1, *size)])}  # the last map is the expected error, px
    for t in range(1, count):
        best, returns = torch.empty(0), torch.zeros(size, dtype=torch.bool)
        for s in steps.sources(t, [0]):
            look = looks(s, t)
            there, back = look.flow_fw.to(labels), look.flow_bw.to(labels)
            carried = backwarp(known[s][None], back)[0]
            back_again = _returns(back, there)
            if look.error_bw is not None:
                error = backwarp(known[s][None, -1:], back, 'border')[0]
                carried = torch.cat([carried[:-1], steps.added(error, look.error_bw[0].to(labels))])
            if not len(best):
                best, returns = carried, back_again
                continue
            if look.error_bw is not None:
                back_again = back_again & (look.error_bw[0, 0].to(labels) <= steps.limit)
            better = back_again & (~returns | (carried[-1] < best[-1]))
            best, returns = torch.where(better, carried, best), returns | back_again
        found = _filled(best, returns)
        maps = fill_background(found[:-1])
        known[t] = torch.cat([maps, found[-1:]])
        known = {s: both for s, both in known.items() if s > t - steps.reach or s == 0 and steps.first}
        yield maps


def _returns(flow_bw: Tensor, flow_fw: Tensor) -> Tensor:
    """Which pixels of frame t + 1 end where they began after the round trip, bool ``(H, W)``; flows of one pair."""
    return cycle_consistent(flow_bw, flow_fw, RETURN_ALPHA, RETURN_BETA)[0, 0]


def _filled(carried: Tensor, returns: Tensor) -> Tensor:
    """Labels ``(..., H, W)`` with those of pixels that do not return replaced by the nearest that do."""
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
