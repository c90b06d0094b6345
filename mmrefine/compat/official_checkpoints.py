"""The names of RAFT's parameters in three code bases, and the way from each to each.

======================  =============================================================================================
``mmrefine``            mmflow's ``RAFT`` with ``OfficialRAFTEncoder`` (configs ``raft_official.py``, ``raft_small.py``)
``princeton``           the authors' code (``fnet``, ``cnet``, ``update_block``)
``torchvision``         ``raft_large`` and ``raft_small`` (``feature_encoder``, ``context_encoder``, ...)
======================  =============================================================================================

The three compute the same: frames as RGB in [-1, 1], padding, correlation window (its first axis is added to x), mask
and gate order agree, so only names differ and no tensor is permuted.  Checkpoints of mmflow's own ``RAFTEncoder`` have
the ``mmrefine`` names too, but were trained on BGR frames, and the small network without a ReLU (F13): renamed, they
would run and be wrong, so they are refused where the config inside the checkpoint tells.
"""
from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Dict, Iterable, List, Mapping, NamedTuple, Tuple

import torch
from torch import Tensor

from mmrefine.compat.checkpoints import errors_name, state_dict_of
from mmrefine.errors import CheckpointError

LAYOUTS = ('mmrefine', 'princeton', 'torchvision')
NET_TYPES = ('Basic', 'Small')

_CONV = ('weight', 'bias')
_NORM = ('weight', 'bias', 'running_mean', 'running_var', 'num_batches_tracked')
# mmflow's own encoder in the config text of a checkpoint (F13); ours ends in "OfficialRAFTEncoder"
_STOCK_ENCODER = re.compile(r'''['"](mmflow\.)?RAFTEncoder['"]''')
# what training tools put in front of each name
_PREFIXES = ('module.', 'model.', 'estimator.')


class Layout(NamedTuple):
    """Which code base a state dict comes from, and which of RAFT's two networks it holds."""
    name: str
    net_type: str


# one module under its three names, in the order of LAYOUTS
_Row = Tuple[str, str, str]


def _encoder_rows(ours: str, princeton: str, torchvision: str, net_type: str,
                  batch_norm: bool) -> List[Tuple[_Row, Tuple[str, ...]]]:
    """The modules of one encoder; instance norms have no parameters, so only batch norms appear."""
    rows: List[Tuple[_Row, Tuple[str, ...]]] = []

    def add(a: str, b: str, c: str, tensors: Tuple[str, ...] = _CONV) -> None:
        rows.append(((f'{ours}.{a}', f'{princeton}.{b}', f'{torchvision}.{c}'), tensors))

    add('conv1', 'conv1', 'convnormrelu.0')
    if batch_norm:
        add('bn1', 'norm1', 'convnormrelu.1', _NORM)
    for stage in (1, 2, 3):
        for block in (0, 1):
            a, b = f'res_layer{stage}.{block}', f'layer{stage}.{block}'
            for i in range(1, 3 if net_type == 'Basic' else 4):
                add(f'{a}.conv{i}', f'{b}.conv{i}', f'{b}.convnormrelu{i}.0')
                if batch_norm:
                    add(f'{a}.bn{i}', f'{b}.norm{i}', f'{b}.convnormrelu{i}.1', _NORM)
            if stage > 1 and block == 0:
                add(f'{a}.downsample.0', f'{b}.downsample.0', f'{b}.downsample.0')
                if batch_norm:
                    add(f'{a}.downsample.1', f'{b}.downsample.1', f'{b}.downsample.1', _NORM)
    add('conv2', 'conv2', 'conv')
    return rows


def _update_rows(net_type: str) -> List[_Row]:
    """The modules of the recurrent update; all are convolutions."""
    ours, princeton, torchvision = 'decoder.encoder', 'update_block.encoder', 'update_block.motion_encoder'
    rows = [(f'{ours}.corr_net.{i}.conv', f'{princeton}.convc{i + 1}', f'{torchvision}.convcorr{i + 1}.0')
            for i in range(2 if net_type == 'Basic' else 1)]
    rows += [(f'{ours}.flow_net.{i}.conv', f'{princeton}.convf{i + 1}', f'{torchvision}.convflow{i + 1}.0')
             for i in range(2)]
    rows.append((f'{ours}.out_net.0.conv', f'{princeton}.conv', f'{torchvision}.conv.0'))
    # the basic network has a horizontal and a vertical gate each, the small one a square one without a number
    for i, number in enumerate(('1', '2') if net_type == 'Basic' else ('', )):
        rows += [(f'decoder.gru.conv_{gate}.{i}.conv', f'update_block.gru.conv{gate}{number}',
                  f'update_block.recurrent_block.convgru{i + 1}.conv{gate}') for gate in 'zrq']
    head = 'update_block.flow_head'
    rows.append(('decoder.flow_pred.layers.0.conv', f'{head}.conv1', f'{head}.conv1'))
    rows.append(('decoder.flow_pred.predict_layer', f'{head}.conv2', f'{head}.conv2'))
    if net_type == 'Basic':
        rows.append(('decoder.mask_pred.layers.0.conv', 'update_block.mask.0', 'mask_predictor.convrelu.0'))
        rows.append(('decoder.mask_pred.predict_layer', 'update_block.mask.2', 'mask_predictor.conv'))
    return rows


def raft_names(net_type: str) -> List[_Row]:
    """All tensors of one of RAFT's networks, each under its three names in the order of ``LAYOUTS``.

    Args:
        net_type: ``'Basic'`` or ``'Small'``.
    """
    rows = _encoder_rows('encoder', 'fnet', 'feature_encoder', net_type, batch_norm=False)
    rows += _encoder_rows('context', 'cnet', 'context_encoder', net_type, net_type == 'Basic')
    rows += [(row, _CONV) for row in _update_rows(net_type)]
    return [(f'{a}.{t}', f'{b}.{t}', f'{c}.{t}') for (a, b, c), tensors in rows for t in tensors]


def princeton_twin(name: str) -> str:
    """The authors register the shortcut's batch norm twice; its second name, or '' for any other tensor."""
    block, found, tensor = name.partition('.downsample.1.')
    return f'{block}.norm3.{tensor}' if found else ''


def shared_prefix(names: Iterable[str]) -> str:
    """The prefix that all names share, made of those that training tools put there."""
    names, prefix = list(names), ''
    while True:
        for word in _PREFIXES:
            if names and all(name.startswith(prefix + word) for name in names):
                prefix += word
                break
        else:
            return prefix


def some_names(names: Iterable[str], count: int = 3) -> str:
    names = sorted(names)
    more = f' and {len(names) - count} more' if len(names) > count else ''
    return ', '.join(names[:count]) + more


class NearlyRAFT(CheckpointError):
    """Names of a RAFT with tensors missing or left over."""

    def __init__(self, layout: Layout, missing: Iterable[str], unknown: Iterable[str]) -> None:
        super().__init__(
            f'these are nearly weights of the {layout.net_type} RAFT in {layout.name} layout, but '
            f'{some_names(missing, 6) or "nothing"} is missing and {some_names(unknown) or "nothing"} is left over; '
            'take a checkpoint of the unchanged network')
        self.layout = layout


def detect_raft(names: Iterable[str]) -> Layout:
    """Which layout and network these parameter names (without any prefix) belong to.

    Raises:
        CheckpointError: they are no RAFT's, or of one with tensors missing or left over.
    """
    found = set(names)
    tables = {
        Layout(layout, net_type): {row[i] for row in raft_names(net_type)}
        for net_type in NET_TYPES for i, layout in enumerate(LAYOUTS)
    }
    layout = max(tables, key=lambda key: len(tables[key] & found) / len(tables[key]))
    wanted = tables[layout]
    if 2 * len(wanted & found) < len(wanted):
        raise CheckpointError(
            f'these are no RAFT weights of {", ".join(LAYOUTS)}: found '
            f'{some_names(found) or "no tensors"}, wanted names such as encoder.conv1.weight, '
            'fnet.conv1.weight or feature_encoder.convnormrelu.0.weight')
    twins = {princeton_twin(name) for name in wanted} if layout.name == 'princeton' else set()
    # old PyTorch did not count batches, and frozen statistics do not need it
    missing = {name for name in wanted - found if not name.endswith('.num_batches_tracked')}
    unknown = found - wanted - twins
    if missing or unknown:
        raise NearlyRAFT(layout, missing, unknown)
    return layout


def convert_raft(state: Mapping[str, Tensor], to: str = 'mmrefine') -> Tuple[Dict[str, Tensor], Layout]:
    """RAFT weights under the names of another code base; values stay as they are.

    Args:
        state: parameters by name, in any of ``LAYOUTS``; the prefixes of ``_PREFIXES`` are cut off.
        to: one of ``LAYOUTS``.

    Returns:
        the state dict without any prefix, and the layout that ``state`` had.

    Raises:
        CheckpointError: ``state`` is in no known layout, or incomplete.
    """
    prefix = shared_prefix(state)
    state = {name[len(prefix):]: tensor for name, tensor in state.items()}
    source = detect_raft(state)
    old, new = LAYOUTS.index(source.name), LAYOUTS.index(to)
    converted: Dict[str, Tensor] = {}
    for row in raft_names(source.net_type):
        if row[old] not in state:  # a num_batches_tracked that old PyTorch did not write
            continue
        tensor = converted[row[new]] = state[row[old]]
        twin = princeton_twin(row[LAYOUTS.index('princeton')])
        if twin and source.name == 'princeton' and not torch.equal(state.get(twin, tensor), tensor):
            raise CheckpointError(f'{row[old]} and {twin} are one tensor in the RAFT code, but differ '
                                  'here; the checkpoint was edited, take the original')
        if twin and to == 'princeton':
            converted[twin] = tensor
    return converted, source


def _refuse_stock_encoder(meta: Any, layout: Layout, source: str) -> None:
    """Raise for a checkpoint whose config names mmflow's encoder where that is another network, or fed otherwise."""
    if not isinstance(meta, dict):
        return
    config = ' '.join(str(meta.get(key, '')) for key in ('cfg', 'config'))
    if not _STOCK_ENCODER.search(config):
        return
    if layout.net_type == 'Small':
        raise CheckpointError(
            f"{source}: was trained with mmflow's RAFTEncoder, whose bottlenecks lack a ReLU of the official "
            'RAFT-small, so its weights are wrong there under any name; use it with its own config')
    if 'bgr_to_rgb=True' not in config:
        raise CheckpointError(
            f'{source}: was trained by mmflow on BGR frames (its config has no bgr_to_rgb=True), and the '
            'official networks take RGB, so its weights are wrong there under any name; use it with its own '
            'config')


def convert_raft_checkpoint(checkpoint: Mapping[str, Any],
                            to: str = 'mmrefine',
                            source: str = 'checkpoint') -> Tuple[Dict[str, Any], Layout]:
    """A RAFT checkpoint in the form that another code base loads.

    Args:
        checkpoint: bare weights, or a training checkpoint with the weights under ``state_dict`` or ``model``.
        to: one of ``LAYOUTS``.
        source: file name, for error messages and ``meta``.

    Returns:
        what to save, and the layout found. For ``mmrefine`` that is ``state_dict`` and ``meta`` (``layout``,
        ``net_type``, ``source``, ``source_layout``); the other two load bare weights, which the authors' code names
        ``module.*``.

    Raises:
        CheckpointError: no known layout, an incomplete network, or one that mmflow trained in its own way (see above).
    """
    with errors_name(source):
        state, layout = convert_raft(state_dict_of(dict(checkpoint), source), to)
    _refuse_stock_encoder(checkpoint.get('meta'), layout, source)
    if to == 'mmrefine':
        meta = dict(
            layout=to, net_type=layout.net_type, source=Path(source).name, source_layout=layout.name)
        return dict(state_dict=state, meta=meta), layout
    prefix = 'module.' if to == 'princeton' else ''
    return {prefix + name: tensor for name, tensor in state.items()}, layout
