"""A pixel should look the same where its motion ends."""
from __future__ import annotations

from typing import Iterator

import torch.nn.functional as F
from torch import Tensor

from mmrefine.geometry import backwarp, lands_inside, luma
from mmrefine.models.losses.iterate_loss import IterateLoss, charbonnier, mean_where
from mmrefine.registry import MODELS
from mmrefine.structures import FlowOutputs

RADIUS = 3  # px, of the census window


@MODELS.register_module()
class PhotometricLoss(IterateLoss):
    """``sum_k gamma^(K-1-k) mean_p r_k(p)`` over the pixels whose motion lands in frame 2; needs no labels.

    ``residual='color'``: ``r = mean_RGB (d^2 + 0.001^2)^0.45`` with ``d = I2(p + f(p)) - I1(p)``, the generalised
    Charbonnier penalty of Meister et al., UnFlow, AAAI 2018.

    ``residual='census'``: ``r = (h + 0.01)^0.4``, where ``h`` counts the comparisons in a window of 7 px that turn out
    differently in the two frames, softly: each neighbour's grey level (0 to 255) minus the centre's is ``d``,
    ``c = d / sqrt(0.81 + d^2)``, ``s = (c1 - c2)^2``, ``h = sum s / (0.1 + s)``. Pixels whose window leaves the frame
    are left out. After UnFlow, with the penalty of Jonschkowski et al., What Matters in Unsupervised Optical Flow,
    ECCV 2020. A change of brightness changes little.

    Only one direction is compared; a data set with ``directions='both'`` brings the other. We depart from both papers
    in that occluded pixels count: beside what leaves the frame nothing is masked.

    Args:
        residual: ``'census'`` or ``'color'``.
        gamma: decay per step back from the last iterate, in (0, 1].
        loss_weight: factor on the result.

    Raises:
        ValueError: ``gamma`` outside (0, 1], or another ``residual``.
    """

    def __init__(self, residual: str = 'census', gamma: float = 0.8, loss_weight: float = 1.) -> None:
        super().__init__(gamma, loss_weight)
        if residual not in ('census', 'color'):
            raise ValueError(f"residual must be 'census' or 'color', got {residual!r}")
        self.residual = residual

    def errors(self, outputs: FlowOutputs) -> Iterator[Tensor]:
        """The mean residual of each iterate; 0 with zero gradient where all motion leaves the frame."""
        census = self.residual == 'census'
        wanted = _census(outputs.frames1) if census else outputs.frames1
        for flow in reversed(outputs.flows):
            inside = lands_inside(flow)
            warped = backwarp(outputs.frames2, flow, padding='border')
            if census:
                change = (_census(warped) - wanted)**2
                residual = ((change / (0.1 + change)).sum(dim=1, keepdim=True) + 0.01)**0.4
                inside = inside[..., RADIUS:-RADIUS, RADIUS:-RADIUS]
            else:
                residual = charbonnier(warped - wanted, power=0.45).mean(dim=1, keepdim=True)
            yield mean_where(residual, inside)


def _census(frames: Tensor) -> Tensor:
    """How each neighbour compares with the centre, in (-1, 1): ``(B, 3, H, W)`` -> ``(B, 49, H - 6, W - 6)``."""
    side = 2 * RADIUS + 1
    height, width = (length - 2 * RADIUS for length in frames.shape[-2:])
    around = F.unfold(luma(frames), side).view(len(frames), side**2, height, width)
    difference = around - around[:, side**2 // 2:side**2 // 2 + 1]
    return difference / (0.81 + difference**2).sqrt()
