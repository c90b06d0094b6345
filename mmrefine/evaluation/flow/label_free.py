"""Scores for videos without ground truth: does the motion come back, and do the colours fit?

They hint, they do not prove: a flow of zero comes back too. A flow that improves on all of them and moves as much as
before has very likely improved.
"""
from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Dict, List, Tuple

import torch
from torch import Tensor

from mmrefine.evaluation.tallies import Sums
from mmrefine.geometry import backwarp, cycle_consistent, cycle_error, lands_inside
from mmrefine.structures.figures import LABEL_FREE, Figure

UNFLOW_ALPHA, UNFLOW_BETA = 0.01, 0.5  # no unit, px^2
GAIN_LIMIT = 2.0
DARKEST, BRIGHTEST = 10 / 255, 250 / 255


@dataclass(frozen=True)
class LabelFreeTally(Sums):
    """What one or many pairs add to the label-free scores; tallies are added, never averaged.

    ``pixels`` counts all, ``inside`` those that land in the frame, ``judged`` the pairs that have any of these.
    """
    figures: ClassVar[Tuple[Figure, ...]] = (
        Figure('cycle_median', 'px', 'lower', True, 'cycle error, median', 'main', decided_by=LABEL_FREE),
        Figure('cycle_mean', 'px', 'lower', title='cycle error, mean', decided_by=LABEL_FREE),
        Figure('consistent', '%', 'higher', table='main', decided_by=LABEL_FREE),
        Figure('inside', '%', title='lands in frame', decided_by=LABEL_FREE),
        Figure('color_residual', 'grey levels', 'lower', title='colour residual', table='main', decided_by=LABEL_FREE),
        Figure('motion', 'px', title='mean motion', decided_by=LABEL_FREE),
    )
    pairs: int = 0
    judged: int = 0
    pixels: int = 0
    inside: int = 0
    consistent: int = 0
    cycle_sum: float = 0.
    cycle_medians: float = 0.
    color_sum: float = 0.
    motion_sum: float = 0.

    @property
    def size(self) -> int:
        """Pairs in which any pixel lands in the frame; the headline is a mean over them."""
        return self.judged

    def scores(self) -> Dict[str, float]:
        """The scores by name; nan where nothing lands in the frame.

        ``cycle_median`` (px, mean over the pairs of their medians), ``cycle_mean`` (px), ``color_residual`` (grey
        levels of 255) and ``motion`` (px) run over the pixels that land in the frame; ``consistent`` and ``inside`` are
        % of all pixels.
        """
        none = float('nan')
        return {
            'cycle_median': self.cycle_medians / self.judged if self.judged else none,
            'cycle_mean': self.cycle_sum / self.inside if self.inside else none,
            'consistent': 100 * self.consistent / self.pixels if self.pixels else none,
            'inside': 100 * self.inside / self.pixels if self.pixels else none,
            'color_residual': self.color_sum / self.inside if self.inside else none,
            'motion': self.motion_sum / self.inside if self.inside else none,
        }


def exposure_gain(frames1: Tensor, warped2: Tensor, inside: Tensor) -> Tensor:
    """How much brighter frame 2 is, per channel: the median of the pixels' ratios, over those that land in the frame.

    Pixels that are almost black or almost saturated in either frame say nothing about exposure and are left out. Wrong
    motion in less than half of the others hardly moves the median.

    Args:
        frames1: ``(3, H, W)`` in [0, 1].
        warped2: ``(3, H, W)``, frame 2 seen from frame 1.
        inside: bool ``(H, W)``, at least one true.

    Returns:
        ``(3, 1, 1)`` in [1/2, 2]; 1 for a channel without a pixel to measure.
    """
    gain = frames1.new_ones(3, 1, 1)
    for c, (one, two) in enumerate(zip(frames1[:, inside], warped2[:, inside])):
        ratios = (two / one)[(torch.minimum(one, two) > DARKEST) & (torch.maximum(one, two) < BRIGHTEST)]
        if ratios.numel():
            gain[c] = ratios.median().clamp(1 / GAIN_LIMIT, GAIN_LIMIT)
    return gain


def label_free_tallies(frames1: Tensor, frames2: Tensor, flow_fw: Tensor, flow_bw: Tensor) -> List[LabelFreeTally]:
    """Score a batch of pairs without their truth.

    Consistent means UnFlow's own check, ``e^2 <= 0.01 (|f|^2 + |b(p + f(p))|^2) + 0.5``. It is not the check that
    the labels have passed, so that a network is not judged by the filter that chose what it learned.

    Args:
        frames1: ``(B, 3, H, W)`` RGB in [0, 1].
        frames2: the same shape.
        flow_fw: ``(B, 2, H, W)`` px, frame 1 -> frame 2.
        flow_bw: ``(B, 2, H, W)`` px, frame 2 -> frame 1.

    Returns:
        one tally for each pair; pixels whose motion is nan land nowhere.
    """
    error, inside = cycle_error(flow_fw, flow_bw), lands_inside(flow_fw)
    inside = inside & error.isfinite()
    consistent = cycle_consistent(flow_fw, flow_bw, UNFLOW_ALPHA, UNFLOW_BETA, form='squared', magnitude='warped')
    warped = backwarp(frames2, flow_fw)
    return [
        _tally(frames1[b], warped[b], flow_fw[b], error[b, 0], inside[b, 0], int(consistent[b].sum()))
        for b in range(frames1.shape[0])
    ]


def _tally(frame1: Tensor, warped2: Tensor, flow: Tensor, error: Tensor, inside: Tensor,
           consistent: int) -> LabelFreeTally:
    if not bool(inside.any()):
        return LabelFreeTally(pairs=1, pixels=inside.numel(), consistent=consistent)
    gain = exposure_gain(frame1, warped2, inside)
    residual = 255 * (warped2 / gain - frame1).abs().mean(dim=0)[inside]
    return LabelFreeTally(
        pairs=1,
        judged=1,
        pixels=inside.numel(),
        inside=int(inside.sum()),
        consistent=consistent,
        cycle_sum=float(error[inside].double().sum()),
        cycle_medians=float(error[inside].median()),
        color_sum=float(residual.double().sum()),
        motion_sum=float(flow.norm(dim=0)[inside].double().sum()))
