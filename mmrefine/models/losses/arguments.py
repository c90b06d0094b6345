"""What every loss on labels asks of its arguments."""
from __future__ import annotations

from typing import Tuple

from torch import Tensor

from mmrefine.structures import FlowOutputs, FlowTargets


def checked_label(outputs: FlowOutputs, sample: FlowTargets) -> Tuple[Tensor, Tensor]:
    """The label that belongs to the flows: flow ``(B, 2, H, W)`` px and weight ``(B, 1, H, W)``, float.

    Raises:
        ValueError: no label, no flow at all, or flows and labels that do not lie on the same pixels; it names the shape
            found and the shape wanted.
    """
    target, weight = sample.label()
    if len(outputs.flows) == 0:
        raise ValueError('a flow loss needs at least one flow, got an empty list')
    wanted = tuple(outputs.flows[-1].shape)
    for name, tensor, shape in (('target', target, wanted),
                                ('weight', weight, (wanted[0], 1) + wanted[2:])):
        if tuple(tensor.shape) != shape:
            raise ValueError(f'{name} must be {shape} for flows {wanted}, got {tuple(tensor.shape)}')
    for flow in outputs.flows:
        if tuple(flow.shape) != wanted:
            raise ValueError(f'all flows must be {wanted} as the last one, got {tuple(flow.shape)}')
    return target, weight.float()
