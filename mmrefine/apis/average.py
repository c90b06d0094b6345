"""The mean of several networks that were refined from the same one."""
from __future__ import annotations

from pathlib import Path
from typing import Dict, Sequence, Union

from torch import Tensor

import mmrefine
from mmrefine.compat.checkpoints import load_checkpoint_file, state_dict_of
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
    for path in paths:
        state = state_dict_of(load_checkpoint_file(path), str(path))
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
    save_checkpoint(out,
                    dict(state_dict=mean,
                         meta=dict(mmrefine=mmrefine.__version__, mean_of=[str(path) for path in paths])))
    return Path(out)
