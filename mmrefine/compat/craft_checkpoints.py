"""The names of CRAFT's parameters in the authors' code and in mmrefine, and the way from each to the other.

What CRAFT shares with RAFT has the names of RAFT's authors. Both compute the same, so only names differ and no tensor
is permuted; but where one tensor has two names in the authors' code (tied queries and keys, the norm of a shortcut),
ours has one.
"""
from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Dict, List, Mapping, Optional, Tuple

import torch
from torch import Tensor

from mmrefine.compat.checkpoints import errors_name, state_dict_of
from mmrefine.compat.official_checkpoints import LAYOUTS, princeton_twin, raft_names, shared_prefix, some_names
from mmrefine.errors import CheckpointError

CRAFT_LAYOUTS = ('mmrefine', 'official')

_PRINCETON = LAYOUTS.index('princeton')
_SCORE = ('mode_score.{}', 'feat_softaggr.feat2score.{}', ('weight', 'bias'))
# (ours, theirs) of a module, and of what it holds: (ours, theirs, tensors)
_ATTENTION = ('attention.{}', 'setrans.{}', ('query.weight', 'key.weight'))
_BIASES = ('attention.position.{}', 'vispos_encoder.pos_coder.{}', ('biases', ))
_COLLECTS = (('value.{}', 'first_linear.{}', ('weight', )), _SCORE, ('{}', 'input_skip_coeff', ('skip', )))
_MODULES = (
    ('f2_trans', 'f2_trans', (_ATTENTION, _BIASES)),
    ('f2_trans.aggregation', 'f2_trans.setrans.out_trans', _COLLECTS),
    ('decoder.corr_block', 'corr_fn', (('attention.{}', 'setrans.{}', ('query.weight', 'query.bias')), _BIASES)),
    ('decoder.corr_block.mean', 'corr_fn.setrans', (('mode_score.{}', 'attn_softaggr.feat2score.{}',
                                                     ('weight', 'bias')), )),
    ('decoder.attn', 'att', (_ATTENTION, _BIASES)),
    ('decoder.attn', 'att.setrans', (('mode_score.{}', 'attn_softaggr.feat2score.{}', ('weight', 'bias')), )),
    ('decoder.aggregator', 'update_block.aggregator', _COLLECTS),
)
# names that tell a CRAFT from a RAFT
_TELLING = ('decoder.corr_block.attention.query.weight', 'corr_fn.setrans.query.weight')
# scores with one mode have no mean over modes; old PyTorch counted no batches
_OPTIONAL = ('.attn_softaggr.', 'decoder.corr_block.mean.', 'decoder.attn.mode_score.', '.num_batches_tracked')
_QUERY, _KEY = 'corr_fn.setrans.query.', 'corr_fn.setrans.key.'
# tables of places that early versions of the authors' code saved, and that later ones make themselves
_TABLES = re.compile(r'.*\.pos_coder\.all_[hw][12]s')


def craft_names() -> List[Tuple[str, str]]:
    """All tensors of the official CRAFT, each under its names in the order of :data:`CRAFT_LAYOUTS`."""
    rows = [(row[0], row[_PRINCETON]) for row in raft_names('Basic')]
    for ours, theirs, parts in _MODULES:
        for our_part, their_part, tensors in parts:
            rows += [(f'{ours}.{our_part.format(tensor)}', f'{theirs}.{their_part.format(tensor)}')
                     for tensor in tensors]
    return rows


def craft_layout(state: Mapping[str, Any]) -> Optional[str]:
    """Which of :data:`CRAFT_LAYOUTS` the names of a state dict are, behind any prefix; None: they are no CRAFT's."""
    return next((layout for layout, telling in zip(CRAFT_LAYOUTS, _TELLING)
                 if any(str(name).endswith(telling) for name in state)), None)


def is_craft_checkpoint(checkpoint: Mapping[str, Any]) -> bool:
    """Whether a checkpoint, of the authors' code, of ours, or bare weights, holds a CRAFT."""
    found = (checkpoint.get(key, {}) for key in ('model', 'state_dict'))
    return any(isinstance(state, Mapping) and craft_layout(state) for state in (*found, checkpoint))


def convert_craft(state: Mapping[str, Tensor], to: str = 'mmrefine') -> Dict[str, Tensor]:
    """The weights of a CRAFT under the names of the other code base, or of the same.

    Args:
        state: the state dict, with or without a prefix before all names.
        to: one of :data:`CRAFT_LAYOUTS`.

    Raises:
        CheckpointError: not the official CRAFT, or one tensor with two values.
    """
    if to not in CRAFT_LAYOUTS:
        raise CheckpointError(f'CRAFT has the layouts {" and ".join(CRAFT_LAYOUTS)}, not {to!r}')
    source = craft_layout(state)
    if source is None:
        raise CheckpointError('holds no CRAFT: it has no attention between frames')
    prefix = shared_prefix(state)
    state = {name[len(prefix):]: tensor for name, tensor in state.items() if not _TABLES.fullmatch(name)}
    old, new = (CRAFT_LAYOUTS.index(layout) for layout in (source, to))
    rows = craft_names()
    known = {row[old] for row in rows}
    twins = {_twin(row[1]) for row in rows} if source == 'official' else set()
    missing = {name for name in known - set(state) if not any(word in name for word in _OPTIONAL)}
    unknown = set(state) - known - twins
    if missing or unknown:
        raise CheckpointError(
            f'these are nearly weights of the official CRAFT in {source} layout, but '
            f'{some_names(missing, 6) or "nothing"} is missing and {some_names(unknown) or "nothing"} is left over; '
            'take a checkpoint of the unchanged network')
    converted: Dict[str, Tensor] = {}
    for row in rows:
        if row[old] not in state:
            continue
        tensor, twin = state[row[old]], _twin(row[1])
        if source == 'official' and twin and not torch.equal(state.get(twin, tensor), tensor):
            raise CheckpointError(f'{row[1]} and {twin} are one tensor in the CRAFT code, but differ here; the '
                                  'checkpoint was edited, take the original')
        converted[row[new]] = tensor
        if twin and to == 'official':
            converted[twin] = tensor
    return converted


def convert_craft_checkpoint(checkpoint: Mapping[str, Any], to: str = 'mmrefine',
                             source: str = 'checkpoint') -> Dict[str, Any]:
    """A checkpoint of the official CRAFT in the form that the other code base loads.

    The authors' code keeps the weights under ``model``, each name behind ``module.``; ours are under ``state_dict``,
    with a ``meta``.

    Args:
        checkpoint: of the authors' code, of ours, or bare weights.
        to: one of :data:`CRAFT_LAYOUTS`.
        source: file name, for error messages and ``meta``.

    Raises:
        CheckpointError: not a complete CRAFT.
    """
    with errors_name(source):
        state = convert_craft(state_dict_of(dict(checkpoint), source), to)
    if to == 'mmrefine':
        return dict(state_dict=state, meta=dict(layout=to, network='CRAFT', source=Path(source).name))
    return dict(model={f'module.{name}': tensor for name, tensor in state.items()})


def _twin(name: str) -> str:
    """The second name of a tensor in the authors' code, or ''."""
    return _KEY + name[len(_QUERY):] if name.startswith(_QUERY) else princeton_twin(name)
