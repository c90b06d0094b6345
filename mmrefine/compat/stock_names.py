"""The weights in a checkpoint of any network of ours, those of the authors' files under our names."""
from __future__ import annotations

from typing import Any, Dict, Mapping, Optional

from torch import Tensor

from mmrefine.compat.checkpoints import state_dict_of
from mmrefine.compat.corrflow_checkpoints import convert_corrflow_checkpoint, corrflow_layout
from mmrefine.compat.craft_checkpoints import convert_craft_checkpoint, craft_layout
from mmrefine.compat.official_checkpoints import NearlyRAFT, convert_raft_checkpoint, detect_raft, shared_prefix
from mmrefine.compat.pips_checkpoints import convert_pips_checkpoint, is_pips_checkpoint
from mmrefine.errors import CheckpointError


def stock_names(checkpoint: Mapping[str, Any], net_type: Optional[str], source: str) -> Dict[str, Tensor]:
    """The weights in a checkpoint of a network of ours, those of an official RAFT, CRAFT, PIPs or CorrFlow
    file under our names.

    Args:
        checkpoint: bare weights, or a training checkpoint, of any network.
        net_type: ``'Basic'`` or ``'Small'`` if the network that wants them is one of the two official RAFTs, else None.
        source: file name, for error messages.

    Raises:
        CheckpointError: no weights, or those of an official RAFT for a network that is another.
    """
    if is_pips_checkpoint(checkpoint):
        found: Dict[str, Tensor] = convert_pips_checkpoint(checkpoint, 'mmrefine', source)['state_dict']
        return found
    state = state_dict_of(dict(checkpoint), source)
    layout_of_craft = craft_layout(state)
    if layout_of_craft == 'official':
        found = convert_craft_checkpoint(checkpoint, 'mmrefine', source)['state_dict']
        return found
    if layout_of_craft is not None:
        return state
    layout_of_corrflow = corrflow_layout(state)
    if layout_of_corrflow == 'official':
        found = convert_corrflow_checkpoint(checkpoint, 'mmrefine', source)['state_dict']
        return found
    if layout_of_corrflow is not None:
        return state
    prefix = shared_prefix(state)
    try:
        layout = detect_raft(name[len(prefix):] for name in state)
    except NearlyRAFT as error:
        if error.layout.name == 'mmrefine' or error.layout.net_type != net_type:
            return state  # which tensors are missing is for the loader to say
        raise CheckpointError(f'{source}: {error}') from error
    except CheckpointError:
        return state  # of another family, whose loader knows what is wrong with it
    if layout.name == 'mmrefine':
        return state
    if layout.net_type != net_type:
        model = 'raft_small' if layout.net_type == 'Small' else 'raft_official'
        raise CheckpointError(
            f'{source}: holds the official {layout.net_type} RAFT ({layout.name} names), and the '
            'network of the config is '
            f'another; take a config that inherits from configs/_base_/models/{model}.py, or add --model {model}')
    weights: Dict[str, Tensor] = convert_raft_checkpoint(checkpoint, 'mmrefine', source)[0]['state_dict']
    return weights
