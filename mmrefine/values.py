"""Checks of the values of a config, made when a part is built and not in the middle of a run."""
from __future__ import annotations

import functools
import inspect
import types
from collections import abc
from numbers import Integral, Real
from pathlib import Path
from typing import Any, Dict, Iterator, Mapping, Sequence, Tuple, Union, get_args, get_origin, get_type_hints

from mmrefine.errors import ConfigError

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
MOST = 2**31 - 1  # steps, frames, threads, …
# of a picture: the longest side that a JPEG can have, px, and its pixels
MAX_SIDE, MAX_PIXELS = 2**16 - 1, 2**28
_UNIONS = (Union, getattr(types, 'UnionType', Union))  # the latter, `int | None`, from Python 3.10 on


def check_values(name: str, owner: Any, values: Mapping[str, Any]) -> None:
    """Refuse values whose type is not that of the annotation of their parameter.

    Args:
        name: of the owner, for the message.
        owner: the class or function that takes the values.
        values: by parameter; keys that are not parameters are ignored here.

    Raises:
        ConfigError: all such values, as ``<name>.<parameter>``.
    """
    problems = [f'{name}.{key} must be {wanted}, got '
                f'{brief(values[key])}' for key, wanted in misfits(owner, values).items()]
    if problems:
        raise ConfigError('; '.join(problems))


def misfits(owner: Any, values: Mapping[str, Any]) -> Dict[str, str]:
    """The values that are not of the type in the annotation of their parameter: parameter -> what it must be, in words.

    Numbers, truth values, strings, dicts and lists are judged; where the annotation says another class, any dict, list
    or object will do, since it may be built from it. A whole number is a number; True and False are not.
    """
    found: Dict[str, str] = {}
    seen = set()
    for function in functions_of(owner):
        hints = _hints(function)
        for key, parameter in inspect.signature(function).parameters.items():
            if key not in values or key not in hints or key in seen or parameter.kind in (parameter.VAR_KEYWORD,
                                                                                          parameter.VAR_POSITIONAL):
                continue
            seen.add(key)
            if values[key] is not parameter.default and not _fits(hints[key], values[key]):
                found[key] = _words(hints[key]) + _example(parameter.default)
    return found


@functools.lru_cache(maxsize=1024)
def _hints(function: Any) -> Dict[str, Any]:
    """The annotations of a function that can be read; one by one, as some are written for a type checker only. Kept, as
    a config is checked several times in a run; only read."""
    found: Dict[str, Any] = {}
    for key, hint in getattr(function, '__annotations__', {}).items():
        try:
            found.update(get_type_hints(types.SimpleNamespace(__annotations__={key: hint}),
                                        getattr(function, '__globals__', None)))
        except (AttributeError, NameError, SyntaxError, TypeError):
            continue
    return found


def _example(default: Any) -> str:
    """The default of a parameter as an example, if it says more than the type."""
    helpful = isinstance(default, (str, Real, list, tuple)) and not isinstance(default, bool) and default not in ('',
                                                                                                                  [],
                                                                                                                  ())
    return f', such as {brief(default)}' if helpful else ''


def functions_of(owner: Any) -> Iterator[Any]:
    """The functions that take the keys of a config: a constructor and, behind ``**kwargs``, those of its bases."""
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
    if kind in _WORDS:  # dicts, True and False, None
        return isinstance(value, kind)
    # of another class a config gives the config, never a number or a string
    return not isinstance(value, (str, Real, type(None))) or not _is_class(kind) or isinstance(value, kind)


def _is_class(kind: Any) -> bool:
    """Whether ``isinstance`` can tell; typing.Any is a class, too, from Python 3.11 on, and so are protocols."""
    return isinstance(kind, type) and kind is not Any and not getattr(kind, '_is_protocol', False)


def _is_list(kind: Any) -> bool:
    return kind in (list, tuple, abc.Sequence)


def _words(hint: Any, several: bool = False) -> str:
    kind, inner = get_origin(hint) or hint, get_args(hint)
    if kind in _UNIONS:
        kinds = [get_origin(one) or one for one in inner]
        plain = [one for one, one_kind in zip(inner, kinds) if one_kind in _WORDS or _is_list(one_kind)]
        # a config cannot hold what is none of these, but it can hold None
        shown = plain if any(one is not type(None) for one in plain) else inner
        return ' or '.join(dict.fromkeys(_words(one, several) for one in shown))
    if _is_list(kind):
        count = f'{len(inner)} ' if kind is tuple and inner and inner[-1] is not Ellipsis else ''
        return ('lists' if several else 'a list') + (f' of {count}{_words(inner[0], True)}' if inner else '')
    return _WORDS[kind][several] if kind in _WORDS else getattr(kind, '__name__', str(kind))


def brief(value: Any, most: int = 60) -> str:
    """A value in one short line."""
    text = ' '.join(repr(value).split())
    return text if len(text) <= most else text[:most - 3] + '…'


def is_number(value: Any) -> bool:
    """Whether a value is a real number; True and False are not."""
    return isinstance(value, Real) and not isinstance(value, bool)


def as_count(name: str, value: Any, least: int = 1) -> int:
    """A whole number; ``name`` is the config key for the message, here and below."""
    if not isinstance(value, Integral) or isinstance(value, bool) or value < least:
        raise ConfigError(f'{name} must be a whole number, at least {least}, got {brief(value)}')
    if int(value) > MOST:
        raise ConfigError(f'{name} must be a whole number, at most {MOST}, got {brief(value)}')
    return int(value)


def as_number(name: str, value: Any, allowed: str = '[0, inf)', why: str = '') -> float:
    """A number in an interval.

    Args:
        name: see above.
        value: of the config.
        allowed: the interval, such as ``'(0, 1]'``: square brackets for an end that is allowed, round ones for one that
            is not.
        why: what follows in the message, such as a reason.
    """
    low, high = (float(end) for end in allowed[1:-1].split(','))
    if (is_number(value) and (low <= value if allowed[0] == '[' else low < value)
            and (value <= high if allowed[-1] == ']' else value < high)):
        return float(value)
    least = 'not negative' if allowed[
        0] == '[' and low == 0 else f'{"at least" if allowed[0] == "[" else "above"} {low:g}'
    wanted = f'be finite and {least}' if high == float('inf') else f'lie in {allowed}'
    raise ConfigError(f'{name} must {wanted}, got {brief(value)}{why}')


def as_choice(name: str, value: Any, choices: Sequence[str]) -> str:
    """One of some words."""
    if value not in choices:
        raise ConfigError(f'{name} must be {" or ".join(map(repr, choices))}, got {value!r}')
    return str(value)


def as_share(name: str, value: Any) -> float:
    """A share or a chance, in [0, 1]."""
    return as_number(name, value, '[0, 1]')


def as_range(name: str, value: Any) -> Tuple[float, float]:
    """(lowest, highest) of a uniform draw."""
    try:
        lowest, highest = (float(end) for end in value)
    except (TypeError, ValueError):
        lowest = highest = float('nan')
    if not lowest <= highest:
        raise ConfigError(f'{name} must be (lowest, highest), got {value!r}')
    return lowest, highest


def as_size(name: str, value: Any, least: int = 2) -> Tuple[int, int]:
    """``(height, width)`` px of a picture, each at least ``least``: 2, so that a corner-to-corner distance exists."""
    if (isinstance(value, str) or not hasattr(value, '__len__') or len(value) != 2
            or not all(isinstance(side, int) and least <= side <= MAX_SIDE for side in value)
            or value[0] * value[1] > MAX_PIXELS):
        raise ConfigError(f'{name} must be (height, width) in px, each from {least} to {MAX_SIDE}, and at most '
                          f'{MAX_PIXELS} pixels in all, got {brief(value)}')
    return value[0], value[1]
