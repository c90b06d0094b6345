"""The names of the parameters of CorrFlow's encoder in the authors' code and in mmrefine, and the way from each to the
other.

All weights of CorrFlow are in the encoder. Both compute the same, so only names differ and no tensor is permuted.
"""
from __future__ import annotations

from pathlib import Path
from typing import Any, Dict, List, Mapping, Optional, Tuple

from torch import Tensor

from mmrefine.compat.checkpoints import errors_name, state_dict_of
from mmrefine.compat.official_checkpoints import shared_prefix, some_names
from mmrefine.errors import CheckpointError

CORRFLOW_LAYOUTS = ('mmrefine', 'official')

_NORM = ('weight', 'bias', 'running_mean', 'running_var', 'num_batches_tracked')
# (ours, theirs, tensors) of the modules of a residual block
_BLOCK = (('conv1', 'left.0', _NORM[:1]), ('bn1', 'left.1', _NORM), ('conv2', 'left.3', _NORM[:1]),
          ('bn2', 'left.4', _NORM))
_SHORTCUT = (('downsample.0', 'shortcut.0', _NORM[:1]), ('downsample.1', 'shortcut.1', _NORM))
_FEATURES = 64
# names that tell a CorrFlow from other networks
_TELLING = ('layers.3.1.bn2.running_mean', 'feature_extraction.layer4.1.left.4.running_mean')


def corrflow_names() -> List[Tuple[str, str]]:
    """All tensors of the encoder, each under its names in the order of :data:`CORRFLOW_LAYOUTS`."""
    modules = [('conv1', 'feature_extraction.conv1.0', _NORM[:1]), ('bn1', 'feature_extraction.conv1.1', _NORM),
               ('head', 'post_convolution', _NORM[:2])]
    for stage in range(4):
        for block in range(2):
            parts = _BLOCK + _SHORTCUT if stage in (1, 2) and block == 0 else _BLOCK
            modules += [(f'layers.{stage}.{block}.{ours}', f'feature_extraction.layer{stage + 1}.{block}.{theirs}',
                         tensors) for ours, theirs, tensors in parts]
    return [(f'{ours}.{tensor}', f'{theirs}.{tensor}') for ours, theirs, tensors in modules for tensor in tensors]


def corrflow_layout(state: Mapping[str, Any]) -> Optional[str]:
    """Which of :data:`CORRFLOW_LAYOUTS` the names of a state dict are, behind any prefix; None: they are no
    CorrFlow's."""
    return next((layout for layout, telling in zip(CORRFLOW_LAYOUTS, _TELLING)
                 if any(str(name).endswith(telling) for name in state)), None)


def is_corrflow_checkpoint(checkpoint: Mapping[str, Any]) -> bool:
    """Whether a checkpoint, of the authors' code, of ours, or bare weights, holds the encoder of CorrFlow."""
    inner = checkpoint.get('state_dict')
    return any(isinstance(state, Mapping) and corrflow_layout(state) is not None for state in (inner, checkpoint))


def convert_corrflow(state: Mapping[str, Tensor], to: str = 'mmrefine') -> Dict[str, Tensor]:
    """The weights of the encoder under the names of the other code base, or of the same.

    Args:
        state: the state dict, with or without a prefix before all names.
        to: one of :data:`CORRFLOW_LAYOUTS`.

    Raises:
        CheckpointError: not the encoder of CorrFlow, one with tensors missing or left over, or, for ``'official'``, one
            with another number of features than theirs, which is fixed.
    """
    if to not in CORRFLOW_LAYOUTS:
        raise CheckpointError(f'CorrFlow has the layouts {" and ".join(CORRFLOW_LAYOUTS)}, not {to!r}')
    source = corrflow_layout(state)
    if source is None:
        raise CheckpointError('holds no encoder of CorrFlow: it has no fourth stage of two residual blocks')
    prefix = shared_prefix(state)
    plain = {name[len(prefix):]: tensor for name, tensor in state.items()}
    old, new = (CORRFLOW_LAYOUTS.index(layout) for layout in (source, to))
    names = {row[old]: row[new] for row in corrflow_names()}
    # old PyTorch did not count batches
    missing = {name for name in names.keys() - plain.keys() if not name.endswith('.num_batches_tracked')}
    unknown = plain.keys() - names.keys()
    if missing or unknown:
        raise CheckpointError(
            f'these are nearly weights of CorrFlow in {source} layout, but {some_names(missing, 6) or "nothing"} is '
            f'missing and {some_names(unknown) or "nothing"} is left over; take a checkpoint of the unchanged network')
    converted = {names[name]: tensor for name, tensor in plain.items()}
    features = len(plain['head.bias' if source == 'mmrefine' else 'post_convolution.bias'])
    if to == 'official' and features != _FEATURES:
        raise CheckpointError(f'gives {features} features, and the CorrFlow of its authors gives {_FEATURES}; train '
                              f'with out_channels={_FEATURES} for their code')
    return converted


def convert_corrflow_checkpoint(checkpoint: Mapping[str, Any], to: str = 'mmrefine',
                                source: str = 'checkpoint') -> Dict[str, Any]:
    """A checkpoint of CorrFlow in the form that the other code base loads.

    Both keep the weights under ``state_dict``; the authors' code has ``module.`` before each name, ours a ``meta``
    beside the weights.

    Args:
        checkpoint: of the authors' code, of ours, or bare weights.
        to: one of :data:`CORRFLOW_LAYOUTS`.
        source: file name, for error messages and ``meta``.

    Raises:
        CheckpointError: not the complete encoder of CorrFlow.
    """
    with errors_name(source):
        state = convert_corrflow(state_dict_of(dict(checkpoint), source), to)
    if to == 'mmrefine':
        return dict(state_dict=state, meta=dict(layout=to, network='CorrFlow', source=Path(source).name))
    return dict(state_dict={f'module.{name}': tensor for name, tensor in state.items()})
