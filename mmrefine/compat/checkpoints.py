"""Checkpoints under PyTorch's safe loading: what may be in one, and clear words when a file cannot be one (F8)."""
from __future__ import annotations

import contextlib
import itertools
import os
import pickle
import pickletools
import re
import warnings
import zipfile
import zlib
from pathlib import Path
from typing import IO, Any, Callable, Dict, Iterator, List, Mapping, Optional, Set, Tuple, Union

import numpy as np
import torch
from mmengine.logging import HistoryBuffer
from mmengine.optim.scheduler.param_scheduler import OneCycleParamScheduler
from torch import Tensor

from mmrefine.errors import CheckpointError
from mmrefine.values import brief

# A class or function, and the name that files know it by.
_Allowed = Union[Callable, Tuple[Callable, str]]
# Functions that mmengine stores by name: the statistics of a log buffer, the annealing of a one-cycle schedule.
_NAMED_FUNCTIONS = {
    HistoryBuffer: ('min', 'max', 'mean', 'current'),
    OneCycleParamScheduler: ('_annealing_cos', '_annealing_linear'),
}
# Numbers that logs hold: a buffer is float64 or int64, the rest comes with bfloat16 and boolean log values.
_LOG_DTYPES = ('float64', 'float32', 'float16', 'int64', 'int32', 'bool')
# what weights, and counters beside them, are kept in
_WEIGHT_DTYPES = (torch.float32, torch.float16, torch.bfloat16, torch.float64, torch.int64)
# what training tools put in front of each name
_WEIGHT_PREFIXES = ('module.', 'model.')
_DEEPEST = 50  # objects in objects; a training checkpoint has about ten
_MOST_UNPACKED = 20  # times the size of the file; PyTorch packs nothing, other tools little
# how other files begin that are found under the name of a checkpoint; the pickles of PyTorch before 1.6 begin with 80
_OTHER_FILES = (
    (re.compile(rb'version https://git-lfs'), 'is a Git LFS pointer and not the file that it points to; run "git lfs '
                                              'pull" where it came from, or download the file itself'),
    (re.compile(rb'\s*<(!doctype|html|\?xml|head)', re.IGNORECASE),
     'is a web page and not a checkpoint; download the file itself, not the page that shows it'),
    (re.compile(rb'.{8}\{"', re.DOTALL), 'is a safetensors file, which is not read here; load it with the safetensors '
                                         "package and save {'state_dict': weights} with torch.save"),
    (re.compile(rb'\x1f\x8b|BZh|7z\xbc|Rar!'), 'is an archive; unpack it and name the checkpoint in it'),
)
_LONGEST_NAME = 300  # of a class, with its module
_OLD_PICKLES = 5  # that a file of PyTorch before 1.6 begins with
_OLD_PYTORCH = b'\x80\x02\x8a\nl\xfc\x9cF\xf9'
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
        fault = _file_fault(path, size)
        if fault:
            raise CheckpointError(f'{path}: {fault}')
        with warnings.catch_warnings():
            # About the pickle protocol of files that turn out to be no checkpoint: our own sentence follows.
            warnings.simplefilter('ignore')
            checkpoint = torch.load(path, map_location='cpu', weights_only=True)
    except CheckpointError:
        raise
    except PermissionError as error:
        raise CheckpointError(f'{path}: may not be read ({error.strerror}); change its rights') from error
    except Exception as error:  # torch.load raises nearly everything on foreign bytes
        raise CheckpointError(_why_not_loaded(path, size, error)) from error
    if not isinstance(checkpoint, dict):
        raise CheckpointError(f'{path}: holds a {type(checkpoint).__name__}, wanted a dict of weights '
                              'or a training checkpoint; save model.state_dict() instead')
    _check_tensors(checkpoint, path)
    return checkpoint


def _file_fault(path: Path, size: int) -> Optional[str]:
    """What shows without unpickling anything that a file is no checkpoint, or a damaged one."""
    with path.open('rb') as file:
        head = file.read(64)
    for begin, fault in _OTHER_FILES:
        if begin.match(head):
            return fault
    damaged = f'the checkpoint is cut off or damaged ({size} bytes are here); copy or download it again'
    is_zip = _is_zip(path)
    if is_zip != head.startswith(b'PK\x03\x04') or not head.strip(b'\0'):
        return damaged  # a zip archive ends with its table of contents
    if not is_zip:
        with path.open('rb') as file:
            return damaged if head.startswith(_OLD_PYTORCH) and _has_endless_name(file, _OLD_PICKLES) else None
    with zipfile.ZipFile(path) as archive:
        parts = archive.infolist()
        unpacked = sum(part.file_size for part in parts)
        if unpacked > _MOST_UNPACKED * size:
            return f'refused, because {size} bytes would become {unpacked} when it is read; save it with torch.save'
        if any(part.filename.endswith('/constants.pkl') for part in parts):
            return ('is a TorchScript archive, which holds code; load it where you trust it and save '
                    "{'state_dict': model.state_dict()} again")
        for part in parts:
            if part.CRC == 0:  # PyTorch can be told to write none; then nothing is compared
                del part.CRC
            try:
                with archive.open(part) as stream:
                    while stream.read(1 << 20):
                        pass
                with archive.open(part) as stream:
                    if part.filename.endswith('/data.pkl') and _has_endless_name(stream):
                        return damaged
            except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError):
                return damaged
    return None


def _is_zip(path: Path) -> bool:
    try:
        return zipfile.is_zipfile(path)
    except zipfile.BadZipFile:  # its table of contents is damaged
        return False


def _has_endless_name(stream: IO[bytes], pickles: int = 1) -> bool:
    """Whether a class in the pickles that the stream begins with has a name of thousands of characters: PyTorch refuses
    it, but takes minutes to say so."""
    try:
        return any(code.name == 'GLOBAL' and len(str(name)) > _LONGEST_NAME
                   for _ in range(pickles) for code, name, _ in pickletools.genops(stream))
    except (ValueError, IndexError, OverflowError, MemoryError):  # damaged, as PyTorch will say
        return False


def _check_tensors(checkpoint: Dict[str, Any], path: Path) -> None:
    """Refuse tensors that take more memory than the file has, or that are no plain arrays, by name.

    Raises:
        CheckpointError: names the first of them.
    """
    todo: List[Tuple[Tuple[str, ...], Any]] = [((), checkpoint)]
    seen: Set[int] = set()
    while todo:
        names, value = todo.pop()
        name = brief('.'.join(names), 120)
        if len(names) > _DEEPEST:
            raise CheckpointError(f'{path}: refused, its objects lie in objects too deep ({name}); save '
                                  'model.state_dict() again')
        if isinstance(value, Tensor):
            fault = tensor_fault(value)
            if fault:
                raise CheckpointError(f'{path}: refused, {name} {fault}; save the plain weights again')
        elif isinstance(value, (dict, list, tuple)) and id(value) not in seen:
            seen.add(id(value))  # an object may hold itself
            entries = list(value.items() if isinstance(value, dict) else enumerate(value))
            for key, _ in entries:
                if isinstance(key, str) and key.encode(errors='replace').decode() != key:
                    raise CheckpointError(f'{path}: refused, the name {brief(key)} is not valid text; save the weights '
                                          'again')
            todo += [((*names, str(key)), one) for key, one in reversed(entries)]


def tensor_fault(value: Tensor) -> Optional[str]:
    """Why a tensor is not a plain array of values; None if it is one. Nothing is allocated."""
    if value.is_nested or value.layout is not torch.strided:
        return f'is a {"nested" if value.is_nested else str(value.layout).partition(".")[2]} tensor'
    if value.is_quantized:
        return 'is quantised'
    if value.device.type == 'meta':
        return 'is a tensor of the device meta, which has no values'
    if value.numel() * value.element_size() > value.untyped_storage().nbytes():
        return f'is expanded to {tuple(value.shape)}, more values than are stored'
    return None


def _why_not_loaded(path: Path, size: int, error: Exception) -> str:
    """One sentence for the many ways in which ``torch.load`` fails."""
    refused = re.search(r'GLOBAL (\S+)|call reduce for unrecognized function (\S+)', str(error))
    if refused:
        return (f'{path}: refused, because it holds Python code or objects '
                f'({refused.group(1) or refused.group(2)}) and not only weights; load it where you trust '
                "it and save {'state_dict': model.state_dict()} again")
    with path.open('rb') as file:
        old = file.read(len(_OLD_PYTORCH)) == _OLD_PYTORCH
    if old or _is_zip(path):
        return (f'{path}: the checkpoint is cut off or damaged ({size} bytes are here, {type(error).__name__} while '
                'reading); copy or download it again')
    return f'{path}: is not a PyTorch checkpoint ({type(error).__name__} while reading); check the path'


@contextlib.contextmanager
def errors_name(source: str) -> Iterator[None]:
    """Errors about a checkpoint begin with the name of its file, once."""
    try:
        yield
    except CheckpointError as error:
        message = str(error)
        raise CheckpointError(message if message.startswith(source) else f'{source}: {message}') from error


def state_dict_of(checkpoint: Dict[str, Any], source: str = 'checkpoint') -> Dict[str, Tensor]:
    """The weights inside a checkpoint, by parameter name.

    Looks into ``state_dict``, ``model_state_dict`` or ``model``, and drops the ``module.`` or ``model.`` that training
    tools put before every name.

    Args:
        checkpoint: what :func:`load_checkpoint_file` returned, or bare weights.
        source: file name for the error message.

    Raises:
        CheckpointError: there are no weights in it, or values that are no finite numbers in floating point.
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
    for key, value in weights.items():
        fault = tensor_fault(value) or (None if value.dtype in _WEIGHT_DTYPES else f'is of the type {value.dtype}')
        if fault is None and not bool(torch.isfinite(value).all()):
            fault = 'holds nan or infinite values'
        if fault:
            raise CheckpointError(f'{source}: {brief(key, 120)} {fault}, wanted weights in floating point; save the '
                                  'weights as they were trained')
    weights = dict(weights)
    for prefix in itertools.chain.from_iterable(itertools.repeat(_WEIGHT_PREFIXES, 2)):
        if all(key.startswith(prefix) for key in weights):
            weights = {key[len(prefix):]: value for key, value in weights.items()}
    return weights


def learned_with(checkpoint: Mapping[str, Any]) -> Dict[str, Any]:
    """What the weights in a checkpoint must be used with; empty if it does not say."""
    meta = checkpoint.get('meta')
    found = meta.get('learned_with') if isinstance(meta, Mapping) else None
    return dict(found) if isinstance(found, Mapping) else {}
