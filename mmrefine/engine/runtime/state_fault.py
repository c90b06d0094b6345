"""Does what was read from a checkpoint look like what a run would write there?"""
from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any, Callable, Iterator, Mapping, Optional, Tuple

import numpy as np
import torch
from mmengine.logging import HistoryBuffer
from torch import Tensor

from mmrefine.values import brief, is_number


@dataclass(frozen=True)
class Entries:
    """Stands for a dict that may have other entries beside these.

    Args:
        known: examples of the entries.
        needed: keys of those that must be there.
    """
    known: Mapping[Any, Any]
    needed: Tuple[Any, ...] = ()


@dataclass(frozen=True)
class Each:
    """Stands for a list of any length or, if ``kind`` says so, for a dict of any keys.

    Args:
        example: what each value looks like.
        kind: ``list`` or ``dict``.
    """
    example: Any
    kind: type = list


@dataclass(frozen=True)
class Tried:
    """Stands for a state that also has to work.

    Args:
        example: what it looks like.
        use: is given a state that looks like it, and raises whatever one leads to that cannot be used.
    """
    example: Any
    use: Callable[[Any], None]


def state_fault(found: Any, example: Any, name: str) -> Optional[str]:
    """The first difference in structure between a state and an example of it; None if there is none.

    Dicts must have the same keys, lists the same length, tensors the same shape, numbers must be finite, and texts the
    same unless that of the example is empty; a number and a tensor of one value are the same kind of thing. A type
    stands for any object of that type.

    Args:
        found: in a file.
        example: a state of the same kind, in which :class:`Entries`, :class:`Each` and :class:`Tried` may stand for
            parts of it.
        name: of the state, for the sentence.
    """
    if isinstance(example, Tried):
        return state_fault(found, example.example, name) or _trial_fault(found, example, name)
    wanted = _difference(found, example)
    if wanted:
        return f'its {name!r} must be {wanted}, got {brief(found)}'
    return next((fault for key, inner, wanted in _parts(found, example)
                 for fault in [state_fault(inner, wanted, f'{name}.{key}')] if fault), None)


def _difference(found: Any, example: Any) -> Optional[str]:
    """What the state itself, whatever its parts are, should be instead; None if it is that."""
    if isinstance(example, type):
        return None if isinstance(found, example) else f'a {example.__name__}'
    if isinstance(example, Each):
        return None if isinstance(found, example.kind) else f'a {example.kind.__name__}'
    if isinstance(example, (Entries, Mapping)):
        needed = example.needed if isinstance(example, Entries) else example
        keys = found if isinstance(found, dict) else {}
        wrong = [f' with {key!r}' for key in needed if key not in keys]
        wrong += [f' without {key!r}' for key in keys if isinstance(example, Mapping) and key not in example]
        return f'a dict{wrong[0]}' if wrong else _difference(found, dict)
    if isinstance(example, (list, tuple)):
        same = isinstance(found, (list, tuple)) and len(found) == len(example)
        return None if same else f'a list of {len(example)} values'
    if isinstance(example, HistoryBuffer):
        return None if isinstance(found, HistoryBuffer) and _is_history(found) else 'a log of numbers'
    if isinstance(example, Tensor):
        kind = f'finite numbers of the shape {tuple(example.shape)}' if example.shape else 'a finite number'
        return None if _is_finite(found, example.shape) else kind
    if is_number(example):
        kind = 'a whole number' if isinstance(example, int) else 'a finite number'
        return None if _is_finite(found) and (kind == 'a finite number' or float(found).is_integer()) else kind
    if isinstance(example, str) and example:
        return None if found == example else repr(example)
    if callable(example):
        return None if found == example else f'the function {getattr(example, "__name__", example)}'
    return None if type(found) is type(example) else f'of the type {type(example).__name__}'


def _trial_fault(found: Any, example: Tried, name: str) -> Optional[str]:
    """What a state that looks right leads to; None if it works."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('error')
            example.use(found)
    except Exception as error:  # whatever is wrong with it, of whatever optimiser
        return f'its {name!r} cannot be used ({type(error).__name__}: {brief(str(error))})'
    return None


def _is_history(found: HistoryBuffer) -> bool:
    """Whether its values and their counts are numbers, as many of both."""
    parts = vars(found)
    values, counts = parts.get('_log_history'), parts.get('_count_history')
    arrays = all(isinstance(part, np.ndarray) and part.ndim == 1 and part.dtype.kind in 'biuf'
                 for part in (values, counts))
    return arrays and len(values) == len(counts) and isinstance(parts.get('max_length'), int)


def _is_finite(found: Any, shape: Tuple[int, ...] = ()) -> bool:
    if isinstance(found, Tensor):
        same = tuple(found.shape) == tuple(shape) and found.dtype is not torch.bool
        return same and bool(torch.isfinite(found).all())
    return not shape and is_number(found) and abs(found) < float('inf')


def _parts(found: Any, example: Any) -> Iterator[Tuple[Any, Any, Any]]:
    """Key, state and example of each part that has an example."""
    if isinstance(example, Each):
        for key, value in found.items() if isinstance(found, dict) else enumerate(found):
            yield key, value, example.example
    elif isinstance(example, (Entries, Mapping)):
        known = example.known if isinstance(example, Entries) else example
        for key in known:
            if key in found:
                yield key, found[key], known[key]
    elif isinstance(example, (list, tuple)):
        for key, (value, wanted) in enumerate(zip(found, example)):
            yield key, value, wanted
