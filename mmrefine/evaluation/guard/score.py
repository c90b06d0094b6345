"""How good is a network on a pair whose truth nobody knows, compared with another network on the same pair.

Three witnesses. None of them can be trusted alone: a slow motion comes back, a smooth one warps the colours nearly as well, and known
warps are easier than the video. The labels are no witness: they repeat what their teacher believes, so a student that left its errors
behind would be further from them than it is.
"""
from __future__ import annotations

import math
from dataclasses import astuple, dataclass
from typing import Dict, Mapping, Sequence

import torch
from torch import Tensor

from mmrefine.evaluation.flow.label_free import exposure_gain
from mmrefine.geometry import backwarp, cycle_error, lands_inside

MOST_PIXELS = 1_000_000  # that a quantile is taken of
FARTHEST = 20.  # px; what is farther off is wrong, and how wrong says nothing
# What each witness counts, and how much of it is nothing: px per px of motion, grey levels, px. From `benchmarks/guard_trust.py`.
WEIGHTS: Dict[str, float] = dict(cycle=0.2, color=0.4, warp=0.4)
FLOORS: Dict[str, float] = dict(cycle=0.05, color=0.5, warp=0.1)


@dataclass(frozen=True)
class Witness:
    """What is seen of a network on one frame pair.

    Args:
        cycle: mean distance by which a round trip misses, at most 20 px for each pixel, as for one that leaves the frame; divided by
            1 px more than the mean length of the motion, since who moves less misses by less.
        color: mean difference of colours along the motion, grey levels of 255, after the gain between the frames; pixels that leave
            the frame count like the worst tenth of the others.
        warp: mean end-point error on known warps of the first frame, px, at most 20 for each pixel; nan where there are none.
        motion: mean length of the motion, px; for reading, not for judging.
    """
    cycle: float
    color: float
    warp: float
    motion: float


def witness(frames1: Tensor, frames2: Tensor, flow_fw: Tensor, flow_bw: Tensor, warp: float = float('nan')) -> Witness:
    """The witness of one pair.

    Args:
        frames1: ``(1, 3, H, W)`` RGB in [0, 1].
        frames2: the same shape.
        flow_fw: ``(1, 2, H, W)`` px, frame 1 -> frame 2.
        flow_bw: ``(1, 2, H, W)`` px, frame 2 -> frame 1.
        warp: see :class:`Witness`.
    """
    flow_fw, flow_bw = flow_fw.float(), flow_bw.float()
    error, inside = cycle_error(flow_fw, flow_bw), lands_inside(flow_fw)
    error = torch.where(inside & error.isfinite(), error.clamp(max=FARTHEST), torch.full_like(error, FARTHEST))
    color = 255.
    if bool(inside.any()):
        warped, there = backwarp(frames2, flow_fw)[0], inside[0, 0]
        residual = 255 * (warped / exposure_gain(frames1[0], warped, there) - frames1[0]).abs().mean(dim=0)
        seen = residual[there].double()
        some = seen[::-(-len(seen) // MOST_PIXELS)]  # from all over the frame
        color = float(torch.where(there, residual.double(), torch.quantile(some, 0.9)).mean())
    length = flow_fw.norm(dim=1)
    motion = float(torch.where(length.isfinite(), length, torch.zeros_like(length)).double().mean())
    return Witness(cycle=float(error.double().mean()) / (1 + motion), color=color, warp=float(warp), motion=motion)


def distance(flow: Tensor, target: Tensor, weight: Tensor) -> float:
    """Weighted mean of how far a motion lies from another, px, at most 20 for each pixel and for one that is not finite.

    Args:
        flow: ``(B, 2, H, W)`` px.
        target: the same shape.
        weight: ``(B, 1, H, W)``, at least 0.

    Returns:
        px; nan where nothing has weight.
    """
    error = (flow.float() - target).norm(dim=1, keepdim=True)
    error = torch.where(error.isfinite(), error.clamp(max=FARTHEST), torch.full_like(error, FARTHEST)).double()
    total = float(weight.double().sum())
    return float((weight * error).sum()) / total if total > 0 else float('nan')


def loss_against(candidate: Witness, teacher: Witness, weights: Mapping[str, float] = WEIGHTS) -> float:
    """How much worse a candidate is than its teacher on one pair: weighted mean of the logarithms of the ratios of their witnesses.

    0 if they are alike, -0.1 if it is about a tenth better. A witness that says nothing (nan) is left out.
    """
    total = share = 0.
    for name, weight in weights.items():
        ours, theirs = getattr(candidate, name), getattr(teacher, name)
        if not (math.isnan(ours) or math.isnan(theirs)):
            total += weight * math.log((ours + FLOORS[name]) / (theirs + FLOORS[name]))
            share += weight
    return total / share if share else 0.


def mean_witness(witnesses: Sequence[Witness]) -> Witness:
    """The mean over pairs, number by number; nan only where all are."""
    columns = zip(*(astuple(one) for one in witnesses))
    return Witness(*(_mean([value for value in column if not math.isnan(value)]) for column in columns))


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values) if values else float('nan')
