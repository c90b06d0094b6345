"""Checkpoints under PyTorch's safe loading: what may be in one, and clear words when a file cannot be one (F8)."""
from __future__ import annotations

import os
import pickle
import re
import warnings
import zipfile
from pathlib import Path
from typing import Any, Callable, Dict, List, Tuple, Union

import numpy as np
import torch
from mmengine.logging import HistoryBuffer
from mmengine.optim.scheduler.param_scheduler import OneCycleParamScheduler
from torch import Tensor

from mmrefine.errors import CheckpointError

# A class or function, and the name that files know it by.
_Allowed = Union[Callable, Tuple[Callable, str]]
# Functions that mmengine stores by name: the statistics of a log buffer, the annealing of a one-cycle schedule.
_NAMED_FUNCTIONS = {
    HistoryBuffer: ('min', 'max', 'mean', 'current'),
    OneCycleParamScheduler: ('_annealing_cos', '_annealing_linear'),
}
# Numbers that logs hold: a buffer is float64 or int64, the rest comes with bfloat16 and boolean log values.
_LOG_DTYPES = ('float64', 'float32', 'float16', 'int64', 'int32', 'bool')
# Keys under which checkpoints keep their weights, in the order of trial.
_WEIGHT_KEYS = ('state_dict', 'model_state_dict', 'model')


def _named_function(owner: Any, name: str) -> Callable:
    """``getattr`` as far as mmengine's checkpoints use it.

    Python pickles ``HistoryBuffer.min`` as a call of ``getattr``.  The real ``getattr`` would lead a hostile file from
    any class to any function of the process, so the file gets this one instead.
    """
    for known, names in _NAMED_FUNCTIONS.items():
        if owner is known and name in names:
            return getattr(owner, name)
    raise pickle.UnpicklingError(f'GLOBAL builtins.getattr was asked for {name!r} of {owner!r}')


def _log_array_parts() -> List[_Allowed]:
    """What numpy needs to rebuild an array or a number, under the names of numpy 1 and numpy 2."""
    core = getattr(np, '_core', None) or np.core
    parts: List[_Allowed] = [(np.ndarray, 'numpy.ndarray'), (np.dtype, 'numpy.dtype')]
    for package in ('numpy._core.multiarray', 'numpy.core.multiarray'):
        parts.append((core.multiarray._reconstruct, f'{package}._reconstruct'))
        parts.append((core.multiarray.scalar, f'{package}.scalar'))
    for name in _LOG_DTYPES:
        kind = type(np.dtype(name))
        parts.append((kind, f'{kind.__module__}.{kind.__name__}'))
    return parts


def allow_checkpoint_classes() -> None:
    """Tell PyTorch's safe loading which classes a training checkpoint of mmengine 0.10.7 holds.

    Log buffers, numpy numbers and the named functions above; nothing of them runs code that a file brings along.  Below
    PyTorch 2.6 nothing is done: mmengine resumes there as it is.
    """
    if tuple(int(part) for part in re.findall(r'\d+', torch.__version__)[:2]) < (2, 6):
        return
    parts = _log_array_parts()
    parts.append((_named_function, 'builtins.getattr'))
    parts += [(owner, f'{owner.__module__}.{owner.__name__}') for owner in _NAMED_FUNCTIONS]
    torch.serialization.add_safe_globals(parts)


def load_checkpoint_file(path: Union[str, 'os.PathLike[str]']) -> Dict[str, Any]:
    """Contents of a checkpoint file, on the CPU, without running any code of the file.

    Args:
        path: a ``.pth`` file: plain weights, or a training checkpoint of mmengine.

    Raises:
        CheckpointError: the file is missing, cut off, no checkpoint, or holds anything but tensors and plain data.
    """
    path = Path(path)
    if not path.is_file():
        found = 'a folder' if path.is_dir() else 'nothing'
        raise CheckpointError(f'{path}: found {found}, wanted a checkpoint file; check the path')
    size = path.stat().st_size
    if size == 0:
        raise CheckpointError(f'{path}: the checkpoint is empty (0 bytes); copy or download it again')
    allow_checkpoint_classes()
    try:
        with warnings.catch_warnings():
            # About the pickle protocol of files that turn out to be no checkpoint: our own sentence follows.
            warnings.simplefilter('ignore')
            checkpoint = torch.load(path, map_location='cpu', weights_only=True)
    except PermissionError as error:
        raise CheckpointError(f'{path}: may not be read ({error.strerror}); change its rights') from error
    except Exception as error:  # torch.load raises nearly everything on foreign bytes
        raise CheckpointError(_why_not_loaded(path, size, error)) from error
    if not isinstance(checkpoint, dict):
        raise CheckpointError(f'{path}: holds a {type(checkpoint).__name__}, wanted a dict of weights '
                              'or a training checkpoint; save model.state_dict() instead')
    return checkpoint


def _why_not_loaded(path: Path, size: int, error: Exception) -> str:
    """One sentence for the many ways in which ``torch.load`` fails."""
    refused = re.search(r'GLOBAL (\S+)|call reduce for unrecognized function (\S+)', str(error))
    if refused:
        return (f'{path}: refused, because it holds Python code or objects '
                f'({refused.group(1) or refused.group(2)}) and not only weights; load it where you trust '
                "it and save {'state_dict': model.state_dict()} again")
    with path.open('rb') as file:
        begins_as_zip = file.read(4) == b'PK\x03\x04'
    # A zip archive ends with its table of contents, which a cut takes away first.
    if begins_as_zip and (not zipfile.is_zipfile(path) or 'failed reading' in str(error)):
        return (f'{path}: the checkpoint is cut off or damaged ({size} bytes are here); '
                'copy or download it again')
    return f'{path}: is not a PyTorch checkpoint ({type(error).__name__} while reading); check the path'


def state_dict_of(checkpoint: Dict[str, Any], source: str = 'checkpoint') -> Dict[str, Tensor]:
    """The weights inside a checkpoint, by parameter name.

    Looks into ``state_dict``, ``model_state_dict`` or ``model``, and drops the ``module.`` that distributed training
    puts before every name.

    Args:
        checkpoint: what :func:`load_checkpoint_file` returned, or bare weights.
        source: file name for the error message.

    Raises:
        CheckpointError: there are no weights in it.
    """
    weights: Any = checkpoint
    for key in _WEIGHT_KEYS:
        if isinstance(checkpoint.get(key), dict):
            weights = checkpoint[key]
            break
    foreign = [key for key, value in weights.items()
               if not isinstance(key, str) or not isinstance(value, Tensor)]
    if foreign or not weights:
        found = f'{foreign[0]!r}: {type(weights[foreign[0]]).__name__}' if foreign else 'nothing'
        raise CheckpointError(f'{source}: wanted parameter names with tensors, found {found}; weights are '
                              f'looked for under {", ".join(_WEIGHT_KEYS)} and at the top')
    prefix = 'module.'
    if all(key.startswith(prefix) for key in weights):
        return {key[len(prefix):]: value for key, value in weights.items()}
    return dict(weights)
