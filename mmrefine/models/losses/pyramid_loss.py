"""The loss of networks that answer once per pyramid level (PWC-Net, FlowNet, LiteFlowNet, ...)."""
from __future__ import annotations

from typing import ClassVar, FrozenSet, List, Optional, Sequence

import torch
from torch import Tensor, nn

from mmrefine.models.losses.arguments import checked_label
from mmrefine.registry import MODELS
from mmrefine.structures import FlowOutputs, FlowTargets

# PWC-Net sums over each level's own pixels with 0.32, 0.08, 0.02, 0.01, 0.005 (levels 6 to 2, of 4^6 to 4^2 px a cell).
# As weights of a MEAN over pixels that is 0.32/4^6 : 0.08/4^5 : 0.02/4^4 : 0.01/4^3 : 0.005/4^2:
PWC_WEIGHTS = (0.25, 0.25, 0.25, 0.5, 1.)


@MODELS.register_module()
class MaskedPyramidLoss(nn.Module):
    """``sum_l a_l sum_p w(p) rho(f_l(p) - f*(p)) / max(sum_p w(p), 1)``.

    ``rho(e) = |e|_2`` (PWC-Net, CVPR 2018, eq. 1), or ``rho(e) = (|e|_1 + eps)^q`` when ``q`` is given (its eq. 2, for
    finetuning: q = 0.4, eps = 0.01). We depart in two places: every level is compared at full size and in px, so that
    one sparse label serves all levels without inventing values between its pixels, and the mean runs over weight (F6).

    Args:
        weights: one per level, coarse to fine, aligned at the fine end: flows coarser than the list take its first
            entry, and entries for levels that the network lacks are not used. Default: PWC-Net's training weights,
            converted to means over pixels.
        q: exponent of the robust norm, in (0, 1]; None for the plain L2 norm.
        eps: keeps the robust norm's gradient bounded, px.
        loss_weight: factor on the result.

    Raises:
        ValueError: no weights, a negative one, ``q`` outside (0, 1], or ``eps`` that is not positive.
    """
    needs: ClassVar[FrozenSet[str]] = frozenset({'labels'})

    def __init__(self,
                 weights: Sequence[float] = PWC_WEIGHTS,
                 q: Optional[float] = None,
                 eps: float = 0.01,
                 loss_weight: float = 1.) -> None:
        super().__init__()
        if len(weights) == 0 or min(weights) < 0:
            raise ValueError(f'weights must be one non-negative number per level, got {weights!r}')
        if q is not None and not 0 < q <= 1:
            raise ValueError(f'q must lie in (0, 1] or be None, got {q}')
        if not eps > 0:
            raise ValueError(f'eps must be positive (px), got {eps}')
        self.weights = tuple(weights)
        self.q = q
        self.eps = eps
        self.loss_weight = loss_weight

    def forward(self, outputs: FlowOutputs, sample: FlowTargets) -> Tensor:
        """The weighted sum over all levels, px (px^q for the robust norm); a label without weight gives 0 and zero
        gradient.

        Raises:
            ValueError: shapes that do not fit together, no flow at all, or no label.
        """
        target, weight = checked_label(outputs, sample)
        total = weight.sum().clamp(min=1.)
        silent = weight == 0
        loss = target.new_zeros((), dtype=torch.float32)
        for level_weight, flow in zip(self.level_weights(len(outputs.flows)), outputs.flows):
            error = (flow.float() - target).masked_fill(silent, 0.)
            loss = loss + level_weight * (weight * self._norm(error)).sum() / total
        return self.loss_weight * loss

    def level_weights(self, levels: int) -> List[float]:
        """The weights of ``levels`` flows, coarse to fine."""
        coarser = [self.weights[0]] * (levels - len(self.weights))
        return coarser + list(self.weights[max(len(self.weights) - levels, 0):])

    def _norm(self, error: Tensor) -> Tensor:
        """``rho`` of ``(B, 2, H, W)``: ``(B, 1, H, W)``."""
        if self.q is None:
            # several times as fast as Tensor.norm on a CPU; below 1e-10 px the gradient is 0
            return error.square().sum(dim=1, keepdim=True).clamp(min=1e-20).sqrt()
        return (error.abs().sum(dim=1, keepdim=True) + self.eps)**self.q

    def extra_repr(self) -> str:
        """The constructor's arguments."""
        return f'weights={self.weights}, q={self.q}, eps={self.eps}, loss_weight={self.loss_weight}'
