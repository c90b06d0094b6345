"""A label: motion, and how much of it to believe."""
from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class FlowLabel:
    """A flow field and its weights, checked at birth.

    Args:
        flow: ``(2, H, W)`` float32 px, (x, y), finite wherever ``weight > 0``; set to 0
            elsewhere if it is not.
        weight: ``(1, H, W)`` float32 in [0, 1]; 0 is "not labelled".

    Raises:
        ValueError: wrong shapes, weights outside [0, 1], or motion that is not finite where it has
            weight.
    """
    flow: Tensor
    weight: Tensor

    def __post_init__(self) -> None:
        flow, weight = self.flow, self.weight
        if flow.dim() != 3 or flow.shape[0] != 2 or weight.shape != (1, *flow.shape[1:]):
            raise ValueError('a flow label needs flow (2, H, W) and weight (1, H, W), '
                             f'got {tuple(flow.shape)} and {tuple(weight.shape)}')
        flow, weight = flow.detach().float(), weight.detach().float()
        if not bool(((weight >= 0) & (weight <= 1)).all()):
            raise ValueError(
                f'weights must lie in [0, 1], got {weight.min():g} to {weight.max():g}')
        finite = torch.isfinite(flow).all(dim=0, keepdim=True)
        if bool((~finite & (weight > 0)).any()):
            lost = int((~finite & (weight > 0)).sum())
            raise ValueError(f'{lost} pixels have weight but no finite motion')
        if not bool(finite.all()):
            flow = torch.where(finite, flow, torch.zeros_like(flow))
        object.__setattr__(self, 'flow', flow)
        object.__setattr__(self, 'weight', weight)

    @property
    def kept(self) -> float:
        """Mean weight, in [0, 1]: the share of the frame that became a label."""
        return float(self.weight.mean())
