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
        low, high = torch.aminmax(weight) if weight.numel() else (0., 1.)
        if not (low >= 0 and high <= 1):  # so written, nan is refused
            raise ValueError(f'weights must lie in [0, 1], got {low:g} to {high:g}')
        # a finite sum has no term that is not; millions of labels are read, and nearly all are whole
        if not bool(torch.isfinite(flow.sum())):
            flow = _finite_where_believed(flow, weight)
        object.__setattr__(self, 'flow', flow)
        object.__setattr__(self, 'weight', weight)

    @property
    def kept(self) -> float:
        """Mean weight, in [0, 1]: the share of the frame that became a label."""
        return float(self.weight.mean())


def _finite_where_believed(flow: Tensor, weight: Tensor) -> Tensor:
    """The flow with 0 for what is not finite and has no weight."""
    finite = torch.isfinite(flow).all(dim=0, keepdim=True)
    if bool((~finite & (weight > 0)).any()):
        lost = int((~finite & (weight > 0)).sum())
        raise ValueError(f'{lost} pixels have weight but no finite motion')
    return torch.where(finite, flow, torch.zeros_like(flow))
