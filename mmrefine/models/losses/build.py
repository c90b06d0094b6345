"""The losses of a model, by name."""
from __future__ import annotations

import re
from typing import AbstractSet, Any, Mapping, Sequence, Tuple

from torch import nn

from mmrefine.errors import ConfigError
from mmrefine.registry import MODELS


def build_losses(configs: Sequence[Mapping[str, Any]],
                 provided: AbstractSet[str]) -> Tuple[nn.ModuleDict, AbstractSet[str]]:
    """The losses of their configs by the names under which they are logged, and what they need of the model together.

    Args:
        configs: with their ``type``; one of another scope than mmrefine's is named in full.
        provided: what the model can give to its losses beside flows and frames.

    Raises:
        ConfigError: a loss that needs something else, or does not say what it needs.
    """
    losses = nn.ModuleDict()
    needs: AbstractSet[str] = frozenset()
    for config in configs:
        loss = MODELS.build({'_scope_': 'mmrefine', **config})
        kind = type(loss).__name__
        wanted = getattr(loss, 'needs', None)
        if wanted is None:
            raise ConfigError(f'model.losses: {kind} lacks `needs`, so it is not a loss(outputs, sample); add '
                              'the set of what it needs beside flows and frames, such as frozenset({"labels"})')
        if not wanted <= provided:
            lacking, there = (", ".join(sorted(names)) for names in (wanted - provided, provided))
            raise ConfigError(f'model.losses: {kind} needs {lacking}, and this network provides {there}; leave it out')
        needs |= wanted
        losses[_log_name(kind, taken=losses)] = loss
    return losses, needs


def _log_name(kind: str, taken: nn.ModuleDict) -> str:
    """``MaskedSequenceLoss`` -> ``loss_masked_sequence``; a second one of its kind gets a number."""
    words = re.sub(r'(?<=[a-z0-9])(?=[A-Z])', '_', kind).lower()
    first = 'loss_' + (words[:-len('_loss')] if words.endswith('_loss') else words)
    name, number = first, 1
    while name in taken:
        number += 1
        name = f'{first}_{number}'
    return name
