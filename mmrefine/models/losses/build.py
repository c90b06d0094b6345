"""The losses of a model, by name."""
from __future__ import annotations

import re
from types import MappingProxyType
from typing import AbstractSet, Any, Callable, Dict, Mapping, Sequence, Tuple, TypeVar

import torch
from torch import Tensor, nn

from mmrefine.errors import ConfigError, MMRefineError
from mmrefine.registry import MODELS

Result = TypeVar('Result')


def build_losses(configs: Sequence[Mapping[str, Any]],
                 provided: AbstractSet[str],
                 elsewhere: Mapping[str, str] = MappingProxyType({})) -> Tuple[nn.ModuleDict, AbstractSet[str]]:
    """The losses of their configs by the names under which they are logged, and what they need of the model together.

    Args:
        configs: with their ``type``; one of another scope than mmrefine's is named in full.
        provided: what the model can give to its losses beside flows and frames.
        elsewhere: for the message, by what is needed: which networks provide it.

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
            others = ''.join(f' ({elsewhere[name]})' for name in sorted(wanted - provided) if name in elsewhere)
            raise ConfigError(f'model.losses: {kind} needs {lacking}, and this network provides {there}; '
                              f'leave it out{others}')
        needs |= wanted
        losses[_log_name(kind, taken=losses)] = loss
    return losses, needs


def checked_losses(losses: nn.ModuleDict, outputs: Any, sample: Any) -> Dict[str, Tensor]:
    """What each loss says, by name.

    Args:
        losses: of :func:`build_losses`.
        outputs: of the network, with ``frames`` or ``frames1``.
        sample: the labels of the batch.

    Raises:
        ConfigError: a loss that returns no scalar.
        MMRefineError: a flow or a loss that is nan or infinite.
    """
    frames = outputs.frames if hasattr(outputs, 'frames') else outputs.frames1
    # a loss without labels leaves out what moves out of the frame, and nan does
    flows = [*getattr(outputs, 'flows', ()), *(getattr(outputs, 'flows_bw', None) or ())]
    if flows and not bool(torch.stack([flow.isfinite().all() for flow in flows]).all()):  # a GPU is asked once
        raise _diverged('the flow of the network has values that are nan or infinite')
    # autocast must not touch sums over all pixels
    with torch.autocast(frames.device.type, enabled=False):
        results = {name: loss(outputs, sample) for name, loss in losses.items()}
    for name, value in results.items():
        if not isinstance(value, Tensor) or value.numel() != 1:
            found = f'shape {tuple(value.shape)}' if isinstance(value, Tensor) else type(value).__name__
            raise ConfigError(f'model.losses: {type(losses[name]).__name__} must return a tensor of one '
                              f'number, got {found}; let it return the mean over what it compares')
        if not bool(torch.isfinite(value)):
            raise _diverged(f'{name} is {value.item():g}')
    return results


def _diverged(found: str) -> MMRefineError:
    return MMRefineError(f'{found}: training has diverged or started from broken weights; lower '
                         'optim_wrapper.optimizer.lr, set optim_wrapper.clip_grad=dict(max_norm=1.0), and check the '
                         'checkpoint it started from')


def in_present_precision(function: Callable[..., Result], device: str) -> Callable[..., Result]:
    """A function that runs under the autocast of now whenever it is called; losses themselves are computed without.

    Args:
        function: of any arguments.
        device: type of the device, such as ``'cpu'``.
    """
    enabled, dtype = torch.is_autocast_enabled(device), torch.get_autocast_dtype(device)

    def wrapped(*args: Any) -> Result:
        with torch.autocast(device, dtype=dtype, enabled=enabled):
            return function(*args)

    return wrapped


def _log_name(kind: str, taken: nn.ModuleDict) -> str:
    """``MaskedSequenceLoss`` -> ``loss_masked_sequence``; a second one of its kind gets a number."""
    words = re.sub(r'(?<=[a-z0-9])(?=[A-Z])', '_', kind).lower()
    first = 'loss_' + (words[:-len('_loss')] if words.endswith('_loss') else words)
    name, number = first, 1
    while name in taken:
        number += 1
        name = f'{first}_{number}'
    return name
