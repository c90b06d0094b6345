"""The loss of networks that refine one flow again and again (RAFT, GMA, CRAFT)."""
from __future__ import annotations

from typing import ClassVar, FrozenSet

import torch
from torch import Tensor, nn

from mmrefine.models.losses.arguments import checked_label
from mmrefine.registry import MODELS
from mmrefine.structures import FlowOutputs, FlowTargets


@MODELS.register_module()
class MaskedSequenceLoss(nn.Module):
    """``sum_k gamma^(K-1-k) sum_p w(p) |f_k(p) - f*(p)|_1 / max(sum_p w(p), 1)``.

    Source: Teed & Deng, RAFT, ECCV 2020, eq. 7. The mean runs over weight, not over pixels, so a sparse label is not a
    faint one (F6). As in RAFT's code, labels that move ``max_flow`` or further have no say.

    Args:
        gamma: decay per step back from the last iterate, in (0, 1].
        max_flow: longest label vector that counts, px; RAFT's 400.
        loss_weight: factor on the result.

    Raises:
        ValueError: ``gamma`` outside (0, 1], or ``max_flow`` that is not positive.
    """
    needs: ClassVar[FrozenSet[str]] = frozenset({'labels'})

    def __init__(self, gamma: float = 0.8, max_flow: float = 400., loss_weight: float = 1.) -> None:
        super().__init__()
        if not 0 < gamma <= 1:
            raise ValueError(f'gamma must lie in (0, 1], got {gamma}')
        if not max_flow > 0:
            raise ValueError(f'max_flow must be positive (px), got {max_flow}')
        self.gamma = gamma
        self.max_flow = max_flow
        self.loss_weight = loss_weight

    def forward(self, outputs: FlowOutputs, sample: FlowTargets) -> Tensor:
        """The weighted sum over all iterates, px; a label without weight gives 0 and zero gradient, never nan.

        Raises:
            ValueError: shapes that do not fit together, no flow at all, or no label.
        """
        target, weight = checked_label(outputs, sample)
        length = torch.hypot(target[:, :1], target[:, 1:])
        weight = weight * (length < self.max_flow)
        total = weight.sum().clamp(min=1.)
        target = target.masked_fill(weight == 0, 0.)  # whatever it was: nan would outlive a weight of 0
        weight = weight.expand_as(target).contiguous()  # all flows are weighed by it
        loss = target.new_zeros((), dtype=torch.float32)
        for back, flow in enumerate(reversed(outputs.flows)):
            loss = loss + self.gamma**back * ((flow.float() - target).abs() * weight).sum() / total
        return self.loss_weight * loss

    def extra_repr(self) -> str:
        """The constructor's arguments."""
        return f'gamma={self.gamma}, max_flow={self.max_flow}, loss_weight={self.loss_weight}'
