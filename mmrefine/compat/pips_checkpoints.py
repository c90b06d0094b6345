"""The names of PIPs' parameters in the authors' code and in mmrefine, and the way from each to the other.

Both compute the same, so only names differ and no tensor is permuted.
"""
from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Dict, Mapping

from torch import Tensor

from mmrefine.compat.checkpoints import errors_name, state_dict_of
from mmrefine.errors import CheckpointError

PIPS_LAYOUTS = ('mmrefine', 'official')

# (ours, theirs) of modules; {k} is a number that stays
_MODULES = (
    ('encoder.conv{k}', 'fnet.conv{k}'),
    ('encoder.res_layer{k}.{k}.conv{k}', 'fnet.layer{k}.{k}.conv{k}'),
    ('encoder.res_layer{k}.0.downsample.0', 'fnet.layer{k}.0.downsample.0'),
    ('mixer.enter', 'delta_block.to_delta.0'),
    ('feature_norm', 'norm'), ('feature_update.0', 'ffeat_updater.0'), ('visibility', 'vis_predictor.0'),
)
# of a layer of the mixer; those of the authors begin with 'delta_block.to_delta.<layer + 1>.'
_MIXER = (('norm_tokens', '0.norm'), ('tokens.0', '0.fn.0'), ('tokens.2', '0.fn.3'),
          ('norm_channels', '1.norm'), ('channels.0', '1.fn.0'), ('channels.2', '1.fn.3'))
_PREFIXES = ('module.', 'model.', 'tracker.')
_LAYER = re.compile(r'(?:delta_block\.to_delta|mixer\.blocks)\.(\d+)\.')


def is_pips(state: Mapping[str, Any]) -> bool:
    """Whether a state dict has the names of a PIPs network, ours or the authors'."""
    names = {_stripped(name) for name in state if isinstance(name, str)}
    return any({f'{update}.0.weight', f'{visible}.weight'} <= names
               for update, visible in (('ffeat_updater', 'vis_predictor.0'), ('feature_update', 'visibility')))


def is_pips_checkpoint(checkpoint: Mapping[str, Any]) -> bool:
    """Whether a checkpoint, of the authors' code, of ours, or bare weights, holds a PIPs network."""
    found = (checkpoint.get(key, {}) for key in ('model_state_dict', 'state_dict'))
    return any(isinstance(state, Mapping) and is_pips(state) for state in (*found, checkpoint))


def convert_pips(state: Mapping[str, Tensor], to: str = 'mmrefine') -> Dict[str, Tensor]:
    """The weights of a PIPs network under the names of the other code base, or of the same.

    Args:
        state: the state dict, with or without ``module.`` before each name.
        to: one of :data:`PIPS_LAYOUTS`.

    Raises:
        CheckpointError: not a PIPs network, or a name that none has.
    """
    if to not in PIPS_LAYOUTS:
        raise CheckpointError(f'PIPs has the layouts {" and ".join(PIPS_LAYOUTS)}, not {to!r}')
    if not is_pips(state):
        raise CheckpointError('holds no PIPs network: it has no feature update and no visibility')
    plain = {_stripped(name): tensor for name, tensor in state.items()}
    source = 'official' if any(name.startswith('fnet.') for name in plain) else 'mmrefine'
    depth = 1 + max((int(found.group(1)) for found in map(_LAYER.match, plain) if found and (
        source == 'mmrefine' or '.fn.' in found.string)), default=-1) - (source == 'official')
    old, new = (PIPS_LAYOUTS.index(layout) for layout in (source, to))
    rows = [*_MODULES, ('mixer.norm', f'delta_block.to_delta.{depth + 1}'),
            ('mixer.leave', f'delta_block.to_delta.{depth + 3}')]
    rows += [(f'mixer.blocks.{layer}.{ours}', f'delta_block.to_delta.{layer + 1}.{theirs}')
             for layer in range(depth) for ours, theirs in _MIXER]
    converted: Dict[str, Tensor] = {}
    for name, tensor in plain.items():
        module, _, kind = name.rpartition('.')
        for row in rows:
            numbers = re.fullmatch(re.escape(row[old]).replace(r'\{k\}', r'(\d+)'), module)
            if numbers:
                parts = row[new].split('{k}')
                renamed = ''.join(part + number for part, number in zip(parts, [*numbers.groups(), '']))
                converted[f'{renamed}.{kind}'] = tensor
                break
        else:
            raise CheckpointError(f'has {name}, which no PIPs network has; take the original checkpoint')
    return converted


def convert_pips_checkpoint(checkpoint: Mapping[str, Any], to: str = 'mmrefine',
                            source: str = 'checkpoint') -> Dict[str, Any]:
    """A PIPs checkpoint in the form that the other code base loads.

    The authors' code keeps the weights under ``model_state_dict``; ours are under ``state_dict``, with a ``meta``.

    Args:
        checkpoint: of the authors' code, of ours, or bare weights.
        to: one of :data:`PIPS_LAYOUTS`.
        source: file name, for error messages and ``meta``.

    Raises:
        CheckpointError: not a complete PIPs network.
    """
    given = checkpoint.get('model_state_dict', checkpoint)
    with errors_name(source):
        state = convert_pips(state_dict_of(dict(given), source), to)
    if to == 'mmrefine':
        return dict(state_dict=state, meta=dict(layout=to, network='PIPs', source=Path(source).name))
    return dict(model_state_dict=state)


def _stripped(name: str) -> str:
    """A name without what training tools put in front."""
    while name.startswith(_PREFIXES):
        name = name[name.index('.') + 1:]
    return name
