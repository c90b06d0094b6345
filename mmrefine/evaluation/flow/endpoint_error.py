"""How far a flow lies from the truth, as sums and counts that can be pooled.

A mean of means depends on how the pairs were batched, so nothing is divided before the last line.
"""
from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Dict, Optional, Tuple

import torch
from torch import Tensor

from mmrefine.errors import MMRefineError
from mmrefine.evaluation.tallies import Sums
from mmrefine.structures.figures import Figure

OUTLIER_PX = 3.0
OUTLIER_SHARE = 0.05
# WAUC: a hundred thresholds, 0.05 to 5 px, the i-th weighs 101 - i
CURVE_STEPS = 100
CURVE_STEPS_PER_PX = 20
CURVE_WEIGHT = CURVE_STEPS * (CURVE_STEPS + 1) // 2


def flow_errors(pred: Tensor, target: Tensor) -> Tensor:
    """End-point error ``|pred - target|`` per pixel.

    Args:
        pred: ``(..., 2, H, W)`` px, (x, y).
        target: the same shape.

    Returns:
        ``(..., H, W)`` px.

    Raises:
        ValueError: the shapes differ.
    """
    if pred.shape != target.shape or pred.shape[-3] != 2:
        raise ValueError(f'the flow and its truth must both be (..., 2, H, W), got {tuple(pred.shape)} and '
                         f'{tuple(target.shape)}')
    return (pred - target).norm(dim=-3)


def check_finite(pred: Tensor, key: str = '') -> None:
    """Refuse a flow ``(2, H, W)`` with nan or inf: a comparison with nan is false, so it would count as no outlier.

    Raises:
        MMRefineError: names the pair and the share of the frame.
    """
    finite = pred.isfinite().all(dim=0)
    if not bool(finite.all()):
        lost = 1 - float(finite.float().mean())
        raise MMRefineError(f'{f"pair {key}: " if key else ""}{lost:.1%} of the network\'s flow is not finite, so it '
                            'cannot be judged; the weights have diverged, lower the learning rate or clip the gradient')


@dataclass(frozen=True)
class FlowTally(Sums):
    """What one or many pairs add to the flow scores; tallies are added, never averaged.

    ``pixels`` counts the pixels with truth, ``epe_sum`` is in px, ``pair_epe_sum`` adds each pair's own mean,
    ``angle_sum`` is in degrees, ``curve_sum`` adds the weights of the thresholds that a pixel meets (WAUC, at most
    :data:`CURVE_WEIGHT` each). The others count pixels: closer than 1, 3 and 5 px, Fl outliers, and farther than 1, 3
    and 5 px.
    """
    figures: ClassVar[Tuple[Figure, ...]] = (
        Figure('EPE', 'px', 'lower', headline=True, table='main'),
        Figure('EPE_per_pair', 'px', 'lower', title='EPE per pair'),
        Figure('Fl', '%', 'lower', table='main'),
        Figure('1px', '%', 'higher', title='within 1 px', table='main'),
        Figure('3px', '%', 'higher', title='within 3 px'),
        Figure('5px', '%', 'higher', title='within 5 px'),
    )
    pairs: int = 0
    pixels: int = 0
    epe_sum: float = 0.
    pair_epe_sum: float = 0.
    within_1px: int = 0
    within_3px: int = 0
    within_5px: int = 0
    outliers: int = 0
    beyond_1px: int = 0
    beyond_3px: int = 0
    beyond_5px: int = 0
    angle_sum: float = 0.
    curve_sum: int = 0

    @property
    def size(self) -> int:
        """Pixels with truth."""
        return self.pixels

    def scores(self) -> Dict[str, float]:
        """The scores by name; empty where no pixel has truth.

        ``EPE`` (px, over pixels), ``EPE_per_pair`` (px, mean of the pairs' means), ``1px``, ``3px``, ``5px`` (% closer
        than that) and ``Fl`` (% outliers).
        """
        if self.pixels == 0:
            return {}
        return {
            'EPE': self.epe_sum / self.pixels,
            'EPE_per_pair': self.pair_epe_sum / self.pairs,
            '1px': 100 * self.within_1px / self.pixels,
            '3px': 100 * self.within_3px / self.pixels,
            '5px': 100 * self.within_5px / self.pixels,
            'Fl': 100 * self.outliers / self.pixels,
        }

    def more_scores(self) -> Dict[str, float]:
        """The scores of the benchmarks that :meth:`scores` leaves out; empty where no pixel has truth.

        ``1px_out``, ``3px_out``, ``5px_out`` (% farther than that; a pixel exactly that far counts neither here nor
        there), ``AAE`` (degrees) and ``WAUC`` (%).
        """
        if self.pixels == 0:
            return {}
        return {
            '1px_out': 100 * self.beyond_1px / self.pixels,
            '3px_out': 100 * self.beyond_3px / self.pixels,
            '5px_out': 100 * self.beyond_5px / self.pixels,
            'AAE': self.angle_sum / self.pixels,
            'WAUC': 100 * self.curve_sum / (self.pixels * CURVE_WEIGHT),
        }


def flow_angles(pred: Tensor, target: Tensor) -> Tensor:
    """Angle between ``(u, v, 1)`` of two flows per pixel, the angular error of Barron et al.

    Args:
        pred: ``(..., 2, H, W)`` px.
        target: the same shape.

    Returns:
        ``(..., H, W)`` degrees in [0, 180).
    """
    (u1, v1), (u2, v2) = pred.unbind(dim=-3), target.unbind(dim=-3)
    # the arc cosine of the dot product would make 1e-6 degrees of nothing
    cross = torch.stack([v1 - v2, u2 - u1, u1 * v2 - v1 * u2]).norm(dim=0)
    return torch.rad2deg(torch.atan2(cross, u1 * u2 + v1 * v2 + 1))


def curve_weights(error: Tensor) -> Tensor:
    """What each pixel adds to the weighted area under the curve (WAUC), int64 of the same shape.

    The sum of ``101 - i`` over the thresholds ``i / 20`` px, i = 1 … 100, that its error does not exceed: whole
    numbers, so the order in which pixels are added does not matter.

    Args:
        error: px, at least 0; double, or thresholds are missed by rounding.
    """
    thresholds = torch.arange(1, CURVE_STEPS + 1, dtype=error.dtype, device=error.device) / CURVE_STEPS_PER_PX
    missed = torch.bucketize(error, thresholds)  # how many thresholds are smaller than the error
    left = CURVE_STEPS - missed
    return left * (left + 1) // 2


def tally_flow(pred: Tensor, target: Tensor, valid: Tensor) -> FlowTally:
    """Score one pair.

    A pixel is "within t px" iff its error is < t, and an outlier iff its error is > 3 px and > 5 % of the true motion;
    all strict, as RAFT and the KITTI devkit do.

    Args:
        pred: ``(2, H, W)`` px.
        target: ``(2, H, W)`` px; pixels that are not finite have no truth.
        valid: bool ``(1, H, W)``, true where there is truth.

    Returns:
        the tally; all zero if no pixel has truth.

    Raises:
        MMRefineError: the flow is not finite somewhere.
    """
    check_finite(pred)
    pred, target, known = comparable(pred, target, valid)
    error, motion, angle = flow_errors(pred, target), target.norm(dim=0), flow_angles(pred, target)
    return tally_pixels(error[known], motion[known], angle[known])


def comparable(pred: Tensor, target: Tensor, valid: Tensor) -> Tuple[Tensor, Tensor, Tensor]:
    """A flow and its truth, ``(2, H, W)`` each, as they are compared, and bool ``(H, W)`` where the truth is known.

    In doubles, as 5 px of 100 px must be 5 % exactly, and on the CPU, as not every device has doubles.
    """
    pred, target = pred.detach().cpu().double(), target.detach().cpu().double()
    return pred, target, valid.detach().cpu()[0] & target.isfinite().all(dim=0)


def tally_pixels(error: Tensor, motion: Tensor, angle: Optional[Tensor] = None) -> FlowTally:
    """The tally of the pixels of one pair.

    Args:
        error: ``(N,)`` px, double.
        motion: ``(N,)`` px, how far each pixel truly moved.
        angle: ``(N,)`` degrees; without it ``angle_sum`` is 0.

    Returns:
        the tally; all zero without pixels.
    """
    if error.numel() == 0:
        return FlowTally()
    total = float(error.sum())
    return FlowTally(
        pairs=1,
        pixels=error.numel(),
        epe_sum=total,
        pair_epe_sum=total / error.numel(),
        within_1px=int((error < 1).sum()),
        within_3px=int((error < 3).sum()),
        within_5px=int((error < 5).sum()),
        outliers=int(((error > OUTLIER_PX) & (error > OUTLIER_SHARE * motion)).sum()),
        beyond_1px=int((error > 1).sum()),
        beyond_3px=int((error > 3).sum()),
        beyond_5px=int((error > 5).sum()),
        angle_sum=0. if angle is None else float(angle.sum()),
        curve_sum=int(curve_weights(error).sum()))
