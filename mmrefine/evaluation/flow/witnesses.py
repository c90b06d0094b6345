"""What speaks for or against the motion of a network on a frame pair whose truth nobody knows.

Three witnesses. None of them can be trusted alone: a slow motion comes back, a smooth one warps the colours nearly as
well, and known warps are easier than the video. The labels are not a witness: they repeat what their teacher believes,
so a student that left its errors behind would be further from them than it is.
"""
from __future__ import annotations

from typing import Dict

import torch
from torch import Tensor

from mmrefine.evaluation.flow.label_free import exposure_gain
from mmrefine.geometry import backwarp, cycle_error, lands_inside
from mmrefine.structures.figures import LABEL_FREE, Figure

MOST_PIXELS = 1_000_000  # that a quantile is taken of
FARTHEST = 20.  # px; what is farther off is wrong, and how wrong says nothing
# How much each witness counts, and how much of it is nothing: px per px of motion, grey levels, px. From
# `benchmarks/guard_trust.py`.
WEIGHTS: Dict[str, float] = dict(cycle=0.2, color=0.4, warp=0.4)
FLOORS: Dict[str, float] = dict(cycle=0.05, color=0.5, warp=0.1)
FIGURES = (
    Figure('cycle', '', 'lower', title='what a round trip misses, of the motion', decided_by=LABEL_FREE),
    Figure('color', 'grey levels', 'lower', title='colour along the motion', decided_by=LABEL_FREE),
    Figure('warp', 'px', 'lower', title='error on known warps', decided_by=LABEL_FREE),
    Figure('motion', 'px', title='mean motion', decided_by=LABEL_FREE),
)


def pair_witnesses(frames1: Tensor,
                   frames2: Tensor,
                   flow_fw: Tensor,
                   flow_bw: Tensor,
                   warp: float = float('nan')) -> Dict[str, float]:
    """What is seen of a network on one frame pair.

    Args:
        frames1: ``(1, 3, H, W)`` RGB in [0, 1].
        frames2: the same shape.
        flow_fw: ``(1, 2, H, W)`` px, frame 1 -> frame 2.
        flow_bw: ``(1, 2, H, W)`` px, frame 2 -> frame 1.
        warp: mean end-point error on known warps of the first frame, px, at most 20 for each pixel; nan where there are
            none.

    Returns:
        ``cycle``, the mean distance by which a round trip misses, at most 20 px for each pixel, as for one that leaves
        the frame; divided by 1 px more than the mean length of the motion, since who moves less misses by less.
        ``color``, the mean difference of colours along the motion, grey levels of 255, after the gain between the
        frames; pixels that leave the frame count like the worst tenth of the others. ``warp`` as it was given.
        ``motion``, its mean length in px; for reading, not for judging.
    """
    flow_fw, flow_bw = flow_fw.float(), flow_bw.float()
    error, inside = cycle_error(flow_fw, flow_bw), lands_inside(flow_fw)
    error = _limited(error, inside & error.isfinite())
    color = 255.
    if bool(inside.any()):
        warped, there = backwarp(frames2, flow_fw)[0], inside[0, 0]
        residual = 255 * (warped / exposure_gain(frames1[0], warped, there) - frames1[0]).abs().mean(dim=0)
        seen = residual[there].double()
        some = seen[::-(-len(seen) // MOST_PIXELS)]  # from all over the frame
        color = float(torch.where(there, residual.double(), torch.quantile(some, 0.9)).mean())
    length = flow_fw.norm(dim=1)
    motion = float(torch.where(length.isfinite(), length, torch.zeros_like(length)).double().mean())
    return dict(cycle=float(error.double().mean()) / (1 + motion), color=color, warp=float(warp), motion=motion)


def limited_error(flow: Tensor, target: Tensor, weight: Tensor) -> float:
    """Weighted mean of the end-point error of a motion, px, at most 20 for each pixel and for one that is not finite.

    Args:
        flow: ``(B, 2, H, W)`` px.
        target: the same shape.
        weight: ``(B, 1, H, W)``, at least 0.

    Returns:
        px; nan where nothing has weight.
    """
    error = (flow.float() - target).norm(dim=1, keepdim=True)
    error = _limited(error, error.isfinite()).double()
    total = float(weight.double().sum())
    return float((weight * error).sum()) / total if total > 0 else float('nan')


def _limited(error: Tensor, known: Tensor) -> Tensor:
    """Errors of at most 20 px, and 20 px where they are not known."""
    return torch.where(known, error.clamp(max=FARTHEST), torch.full_like(error, FARTHEST))
