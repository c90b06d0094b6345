"""What every flow loss asks of its arguments."""
from __future__ import annotations

from typing import Sequence

from torch import Tensor


def check_flows_and_label(flows: Sequence[Tensor], target: Tensor, weight: Tensor) -> None:
    """Refuse flows and labels that do not lie on the same pixels.

    Args:
        flows: ``(B, 2, H, W)`` px each, at least one.
        target: ``(B, 2, H, W)`` px.
        weight: ``(B, 1, H, W)``.

    Raises:
        ValueError: naming the shape found and the shape wanted.
    """
    if len(flows) == 0:
        raise ValueError('a flow loss needs at least one flow, got an empty list')
    wanted = tuple(flows[-1].shape)
    for name, tensor, shape in (('target', target, wanted),
                                ('weight', weight, (wanted[0], 1) + wanted[2:])):
        if tuple(tensor.shape) != shape:
            raise ValueError(f'{name} must be {shape} for flows {wanted}, got {tuple(tensor.shape)}')
    for flow in flows:
        if tuple(flow.shape) != wanted:
            raise ValueError(f'all flows must be {wanted} as the last one, got {tuple(flow.shape)}')
