"""The losses of a refiner, by name."""
from __future__ import annotations

import re
from typing import Any, Mapping, Sequence

from torch import nn

from mmrefine.registry import MODELS


def built_losses(configs: Sequence[Mapping[str, Any]]) -> nn.ModuleDict:
    """The losses of their configs by the names under which they are logged; a type from another scope is named in full."""
    losses = nn.ModuleDict()
    for config in configs:
        loss = MODELS.build({'_scope_': 'mmrefine', **config})
        losses[_loss_name(loss, taken=losses)] = loss
    return losses


def _loss_name(loss: nn.Module, taken: nn.ModuleDict) -> str:
    """``MaskedSequenceLoss`` -> ``loss_masked_sequence``; a second one of its kind gets a number."""
    words = re.sub(r'(?<=[a-z0-9])(?=[A-Z])', '_', type(loss).__name__).lower()
    name = 'loss_' + (words[:-len('_loss')] if words.endswith('_loss') else words)
    if name not in taken:
        return name
    number = 2
    while f'{name}_{number}' in taken:
        number += 1
    return f'{name}_{number}'
