"""Values of a config, checked when a part is built and not in the middle of a run."""
from __future__ import annotations

import inspect
import types
from collections import abc
from numbers import Integral, Real
from pathlib import Path
from typing import Any, Dict, Iterator, Mapping, Tuple, Union, get_args, get_origin, get_type_hints

from mmrefine.errors import ConfigError

__all__ = [
    'as_count', 'as_range', 'as_share', 'as_size', 'as_strength', 'brief', 'check_values', 'functions_of', 'is_number', 'misfits'
]

# what a value must be, and several of them, by the type in the annotation
_WORDS = {
    bool: ('True or False', 'True or False'),
    int: ('a whole number', 'whole numbers'),
    float: ('a number', 'numbers'),
    str: ('a string', 'strings'),
    Path: ('a string', 'strings'),
    dict: ('a dict', 'dicts'),
    abc.Mapping: ('a dict', 'dicts'),
    type(None): ('None', 'None'),
}
_UNIONS = (Union, getattr(types, 'UnionType', Union))  # the latter, `int | None`, from Python 3.10 on


def check_values(name: str, owner: Any, values: Mapping[str, Any]) -> None:
    """Refuse values whose type is not that of the annotation of their parameter.

    Args:
        name: of the owner, for the message.
        owner: the class or function that takes the values.
        values: by parameter; what is no parameter is left to others.

    Raises:
        ConfigError: all such values, as ``<name>.<parameter>``.
    """
    problems = [f'{name}.{key} must be {wanted}, got {brief(values[key])}' for key, wanted in misfits(owner, values).items()]
    if problems:
        raise ConfigError('; '.join(problems))


def misfits(owner: Any, values: Mapping[str, Any]) -> Dict[str, str]:
    """The values that are not of the type in the annotation of their parameter: parameter -> what it must be, in words.

    Judged are numbers, truth values, strings, dicts, and lists of them; whatever else an annotation says, anything will do. A whole number
    is a number, and True is none.
    """
    found: Dict[str, str] = {}
    seen = set()
    for function in functions_of(owner):
        try:
            hints = get_type_hints(function)
        except (AttributeError, NameError, TypeError):  # written for a type checker only
            continue
        for key, parameter in inspect.signature(function).parameters.items():
            if key not in values or key not in hints or key in seen or parameter.kind in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL):
                continue
            seen.add(key)
            if values[key] is not parameter.default and not _fits(hints[key], values[key]):
                found[key] = _words(hints[key])
    return found


def functions_of(owner: Any) -> Iterator[Any]:
    """The functions that take the keys of a config: a constructor and, as long as there are ``**kwargs``, those of the bases."""
    seen = set()
    for part in inspect.getmro(owner) if inspect.isclass(owner) else (owner, ):
        function = part.__dict__.get('__init__') if inspect.isclass(part) else part
        if function is None or function is object.__init__ or function in seen:
            continue
        seen.add(function)
        yield function
        if not any(p.kind is p.VAR_KEYWORD for p in inspect.signature(function).parameters.values()):
            return


def _fits(hint: Any, value: Any) -> bool:
    kind, inner = get_origin(hint) or hint, get_args(hint)
    if kind in _UNIONS:
        return any(_fits(one, value) for one in inner)
    if kind is float:
        return is_number(value)
    if kind is int:
        return isinstance(value, Integral) and not isinstance(value, bool)
    if kind in (str, Path):
        return isinstance(value, (str, Path))
    if _is_list(kind):
        if not isinstance(value, abc.Sequence) or isinstance(value, str):
            return False
        if kind is tuple and inner and inner[-1] is not Ellipsis:
            return len(value) == len(inner) and all(map(_fits, inner, value))
        return not inner or all(_fits(inner[0], one) for one in value)
    # dicts, True and False, None
    return not isinstance(kind, type) or kind not in _WORDS or isinstance(value, kind)


def _is_list(kind: Any) -> bool:
    return kind in (list, tuple, abc.Sequence)


def _words(hint: Any, several: bool = False) -> str:
    kind, inner = get_origin(hint) or hint, get_args(hint)
    if kind in _UNIONS:
        return ' or '.join(dict.fromkeys(_words(one, several) for one in inner))
    if _is_list(kind):
        count = f'{len(inner)} ' if kind is tuple and inner and inner[-1] is not Ellipsis else ''
        return ('lists' if several else 'a list') + (f' of {count}{_words(inner[0], True)}' if inner else '')
    return _WORDS[kind][several] if kind in _WORDS else 'anything'


def brief(value: Any, most: int = 60) -> str:
    """A value in one short line."""
    text = ' '.join(repr(value).split())
    return text if len(text) <= most else text[:most - 3] + '…'


def is_number(value: Any) -> bool:
    """Whether a value is a real number; True and False are none."""
    return isinstance(value, Real) and not isinstance(value, bool)


def as_count(name: str, value: Any, least: int = 1) -> int:
    """A whole number; ``name`` is the config key for the message, here and below."""
    if not isinstance(value, Integral) or isinstance(value, bool) or value < least:
        raise ConfigError(f'{name} must be a whole number, at least {least}, got {value!r}')
    return int(value)


def as_share(name: str, value: Any) -> float:
    """A share or a chance, in [0, 1]."""
    return as_strength(name, value, 1)


def as_strength(name: str, value: Any, highest: float) -> float:
    """The half-width of a uniform range, in [0, highest]."""
    if not is_number(value) or not 0 <= value <= highest:
        raise ConfigError(f'{name} must lie in [0, {highest:g}], got {value!r}')
    return float(value)


def as_range(name: str, value: Any) -> Tuple[float, float]:
    """(lowest, highest) of a uniform draw."""
    try:
        lowest, highest = (float(end) for end in value)
    except (TypeError, ValueError):
        raise ConfigError(f'{name} must be (lowest, highest), got {value!r}') from None
    if not lowest <= highest:
        raise ConfigError(f'{name} must be (lowest, highest), got {value!r}')
    return lowest, highest


def as_size(name: str, value: Any) -> Tuple[int, int]:
    """``(height, width)`` px, each at least 2 so that a corner-to-corner distance exists."""
    if (isinstance(value, str) or not hasattr(value, '__len__') or len(value) != 2
            or not all(isinstance(side, int) and side >= 2 for side in value)):
        raise ConfigError(f'{name} must be (height, width) in px, each at least 2, got {value!r}')
    return value[0], value[1]
