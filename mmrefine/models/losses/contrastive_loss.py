"""Contrastive flow loss: a feature should find its own end among all others."""
from __future__ import annotations

from typing import ClassVar, FrozenSet

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmrefine.registry import MODELS
from mmrefine.structures import FlowOutputs, FlowTargets


@MODELS.register_module()
class ContrastiveFlowLoss(nn.Module):
    """``-sum_i w_i log softmax_j(a_i . b_j / (sqrt(C) tau))[p_i + f(p_i)] / sum_i w_i`` over all cells of the feature
    grid.

    Source: the contrastive flow loss of CLIP-FLow (2022, abstract), whose formula was never published; this is its
    dense form, with the scores that RAFT's correlation volume has. ``a_i`` is the feature of cell ``i`` of frame 1,
    ``b_j`` run over all cells of frame 2, and the right answer, the cell where the label says ``i`` ends, is spread
    bilinearly over its four neighbours. A label acts on the encoder directly, not only through the iterations, so a
    network from random weights learns to match within hundreds of steps.

    Args:
        temperature: tau; below 1 smaller scores decide, so the correlation volume keeps smaller values.
        loss_weight: the loss is multiplied with it.

    Raises:
        ValueError: ``temperature`` that is not positive.
    """
    needs: ClassVar[FrozenSet[str]] = frozenset({'labels', 'features'})

    def __init__(self, temperature: float = 1., loss_weight: float = 1.) -> None:
        super().__init__()
        if not temperature > 0:
            raise ValueError(f'temperature must be positive, got {temperature}')
        self.temperature = temperature
        self.loss_weight = loss_weight

    def forward(self, outputs: FlowOutputs, sample: FlowTargets) -> Tensor:
        """The loss; 0 with zero gradient where nothing has weight or everything ends outside.

        Raises:
            ValueError: no label, or outputs without features.
        """
        if outputs.features is None:
            raise ValueError('ContrastiveFlowLoss needs features, got outputs with features=None')
        feat1, feat2 = outputs.features
        target, weight = (F.pad(part, outputs.padding) for part in sample.label())  # what was added has no weight
        target = target.masked_fill(weight == 0, 0.)
        _, channels, height, width = feat1.shape
        cell = (target.shape[-2] // height, target.shape[-1] // width)
        share = F.avg_pool2d(weight, cell)
        flow = F.avg_pool2d(weight * target, cell) / share.clamp(min=1e-6)
        y, x = torch.meshgrid(
            torch.arange(height, device=target.device), torch.arange(width, device=target.device), indexing='ij')
        end_x, end_y = x + flow[:, 0] / cell[1], y + flow[:, 1] / cell[0]
        inside = (end_x >= 0) & (end_x <= width - 1) & (end_y >= 0) & (end_y <= height - 1)
        share = (share[:, 0] * inside).flatten(1)
        scores = torch.einsum('bci,bcj->bij', feat1.float().flatten(2), feat2.float().flatten(2))
        scores = scores / (channels**0.5 * self.temperature)
        log_p = scores.log_softmax(dim=2)
        left, top = end_x.floor(), end_y.floor()
        total = torch.zeros_like(share)
        for column, in_x in ((left, 1 - (end_x - left)), (left + 1, end_x - left)):
            for row, in_y in ((top, 1 - (end_y - top)), (top + 1, end_y - top)):
                index = row.clamp(0, height - 1) * width + column.clamp(0, width - 1)
                found = log_p.gather(2, index.long().flatten(1)[..., None])[..., 0]
                total = total - (in_x * in_y).flatten(1) * found
        return self.loss_weight * (share * total).sum() / share.sum().clamp(min=1.)
