"""The mean of several networks that were refined from the same one."""
from __future__ import annotations

from pathlib import Path
from typing import Any, Dict, Optional, Sequence, Union

from torch import Tensor

import mmrefine
from mmrefine.compat.checkpoints import learned_with, load_checkpoint_file, state_dict_of
from mmrefine.errors import CheckpointError
from mmrefine.fileio.atomic import save_checkpoint


def average_checkpoints(paths: Sequence[Union[str, Path]], out: Union[str, Path]) -> Path:
    """Write the mean of the weights of several networks that were refined from the same one.

    Students of one teacher that learned with other seeds or other augmentations lie close enough together that the mean
    of their weights is a network too, and errors that only one of them has fade in it (Wortsman et al., ICML 2022).
    Whole numbers, such as counters, are those of the first. No guard has judged it: judge it with ``tools/test.py``.

    Args:
        paths: two or more checkpoints of one network, such as the ``refined.pth`` of several runs.
        out: the checkpoint to write, in the form of ``refined.pth``.

    Raises:
        CheckpointError: fewer than two files, one that cannot be read, or one of another network.
    """
    if len(paths) < 2:
        raise CheckpointError(f'a mean needs two or more checkpoints, got {len(paths)}; name the refined.pth of '
                              'several runs')
    total: Dict[str, Tensor] = {}
    use: Optional[Dict[str, Any]] = None
    for path in paths:
        checkpoint = load_checkpoint_file(path)
        state, one = state_dict_of(checkpoint, str(path)), learned_with(checkpoint)
        use = one if use is None else use
        if one != use:
            raise CheckpointError(f'{path}: was trained with {one}, and {paths[0]} with {use}; average checkpoints of '
                                  'one config')
        if not total:
            total, first = {key: value.double() if value.is_floating_point() else value for key,
                            value in state.items()}, state
            continue
        other = sorted(key for key in {*state, *first} if key not in state or key not in first
                       or state[key].shape != first[key].shape)
        if other:
            raise CheckpointError(f'{path}: its network is not that of {paths[0]} ({len(other)} tensors differ in name '
                                  f'or shape, such as {other[0]}); average checkpoints of one config')
        for key, value in state.items():
            if value.is_floating_point():
                total[key] += value.double()
    mean = {key: (value / len(paths)).to(first[key].dtype) if first[key].is_floating_point() else value for key,
            value in total.items()}
    meta: Dict[str, Any] = dict(mmrefine=mmrefine.__version__, mean_of=[str(path) for path in paths])
    save_checkpoint(out, dict(state_dict=mean, meta=dict(meta, learned_with=use) if use else meta))
    return Path(out)
