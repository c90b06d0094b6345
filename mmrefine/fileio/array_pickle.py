"""Arrays and plain data out of a pickle, without running it.

A pickle is a program: it may call any function there is. Here its steps are read one by one, and only those are
understood that build dicts, lists, tuples, texts, bytes, numbers and arrays of numbers. Whatever else it names is
refused by that name; nothing is imported or called.
"""
from __future__ import annotations

import io
import math
import pickletools
import re
from dataclasses import dataclass
from typing import Any, BinaryIO, Callable, Dict, List, Optional, Tuple, Union

import numpy as np

MOST_STEPS = 10**6  # each may make a small object
MOST_SIDE = 2**24  # of an array
_MOST_LINE = 256  # bytes of a name
_NUMBERS = re.compile(r'[<>|=]?([iuf][1248]|b1)')


@dataclass
class PickledArray:
    """An array as a pickle holds it: what it says of itself, and bytes that no one else made room for."""
    dtype: Optional[np.dtype] = None
    shape: Tuple[int, ...] = ()
    by_columns: bool = False
    data: Union[bytes, bytearray] = b''

    def read(self) -> np.ndarray:
        """The numbers, in place where the pickle has them, so perhaps read-only; bools are a copy."""
        array: np.ndarray = np.ndarray(self.shape, self.dtype, self.data, order='F' if self.by_columns else 'C')
        if array.dtype == bool:
            array = array.view(np.uint8) != 0  # other bytes than 0 and 1 are no bools
        return array

    def __str__(self) -> str:
        return f'{self.dtype} {self.shape}'


def load_pickle(stream: BinaryIO, most_steps: int = MOST_STEPS) -> Any:
    """What a pickle of protocol 2 or later holds: dicts, lists, tuples, texts, bytes, numbers, None and
    :class:`PickledArray`.

    Args:
        stream: that can be sought.
        most_steps: that are followed.

    Raises:
        ValueError: it is cut off, damaged, too long, or names anything else; says what.
    """
    try:
        return _Steps(stream).run(most_steps)
    except (IndexError, KeyError, TypeError) as error:
        raise ValueError('its steps do not fit together, so it is damaged') from error
    except (MemoryError, OverflowError) as error:
        raise ValueError(f'it promises more than its bytes can hold ({type(error).__name__})') from error


@dataclass(frozen=True)
class _Named:
    """A function or class that a pickle names; it is never looked up."""
    name: str


@dataclass
class _Type:
    """The dtype of an array; its byte order comes in a step of its own."""
    code: str
    order: str = '='

    def dtype(self) -> np.dtype:
        return np.dtype(self.order + self.code)


class _Bounded:
    """A stream that refuses to read more than it has, before room is made for it."""

    def __init__(self, stream: BinaryIO) -> None:
        self.left = stream.seek(0, io.SEEK_END)
        stream.seek(0)
        self._stream = stream

    def read(self, size: int) -> bytes:
        if size > self.left:
            raise ValueError(f'it is cut off: {size} bytes should follow where it has {self.left}')
        self.left -= size
        return self._stream.read(size)

    def readline(self) -> bytes:
        line = self._stream.readline(_MOST_LINE)
        self.left -= len(line)
        if b'\\' in line:  # pickletools would warn of some
            raise ValueError('it has a name with a backslash, so it is damaged')
        return line


class _Steps:
    """A machine that knows the steps of plain data and arrays."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = _Bounded(stream)
        self._room = self._stream.left  # bytes that calls may make
        self._stack: List[Any] = []
        self._below: List[List[Any]] = []
        self._memo: Dict[int, Any] = {}

    def run(self, most_steps: int) -> Any:
        """The last value on the stack."""
        for count, (step, arg, _) in enumerate(pickletools.genops(self._stream)):  # type: ignore[arg-type]
            if count > most_steps:
                raise ValueError(f'it has more than {most_steps} steps')
            if step.name in ('PROTO', 'FRAME'):
                continue
            if step.name == 'STOP':
                return self._stack.pop()
            if step.name in _VALUES:
                self._stack.append(arg)
            elif step.name in _NEW:
                self._stack.append(_NEW[step.name]())
            elif step.name in _STEPS:
                _STEPS[step.name](self, arg)
            else:
                named = f' of {arg[:_MOST_LINE]!r}' if isinstance(arg, str) else ''
                raise ValueError(f'it has a step {step.name}{named}, which neither plain data nor arrays need')
        raise ValueError('it is cut off')

    def _since_mark(self) -> List[Any]:
        items, self._stack = self._stack, self._below.pop()
        return items

    def _mark(self, _: Any) -> None:
        self._below.append(self._stack)
        self._stack = []

    def _tuple(self, _: Any) -> None:
        items = tuple(self._since_mark())
        self._stack.append(items)

    def _short_tuple(self, count: int) -> None:
        if len(self._stack) < count:
            raise IndexError
        self._stack[-count:] = [tuple(self._stack[-count:])]

    def _append(self, _: Any) -> None:
        self._extend([self._stack.pop()])

    def _appends(self, _: Any) -> None:
        self._extend(self._since_mark())

    def _extend(self, items: List[Any]) -> None:
        if type(self._stack[-1]) is not list:
            raise TypeError
        self._stack[-1].extend(items)

    def _set_item(self, _: Any) -> None:
        value, key = self._stack.pop(), self._stack.pop()
        self._update([key, value])

    def _set_items(self, _: Any) -> None:
        self._update(self._since_mark())

    def _update(self, items: List[Any]) -> None:
        if type(self._stack[-1]) is not dict or len(items) % 2:
            raise TypeError
        for key, value in zip(items[::2], items[1::2]):
            # the hash of a tuple of tuples of … takes for ever
            if not isinstance(key, (str, bytes, int)):
                raise ValueError(f'a dict in it has a key of the type {type(key).__name__}, not a text or whole number')
            self._stack[-1][key] = value

    def _memoize(self, _: Any) -> None:
        self._memo[len(self._memo)] = self._stack[-1]

    def _put(self, at: int) -> None:
        self._memo[at] = self._stack[-1]

    def _get(self, at: int) -> None:
        self._stack.append(self._memo[at])

    def _global(self, arg: str) -> None:
        self._push_named(*arg.split(' ', 1))

    def _stack_global(self, _: Any) -> None:
        name, module = self._stack.pop(), self._stack.pop()
        if not isinstance(name, str) or not isinstance(module, str):
            raise TypeError
        self._push_named(module, name)

    def _push_named(self, module: str, name: str) -> None:
        # NumPy 2 renamed its modules
        known = f'{module}.{name}'.replace('numpy._core.', 'numpy.core.')
        if known not in (*_CALLS, _NDARRAY):
            raise ValueError(f'it names {f"{module}.{name}"[:_MOST_LINE]!r}, which neither plain data nor arrays need, '
                             'so it may do anything')
        self._stack.append(_Named(known))

    def _reduce(self, _: Any) -> None:
        args, named = self._stack.pop(), self._stack.pop()
        if type(args) is not tuple or type(named) is not _Named or named.name not in _CALLS:
            raise TypeError
        made = _CALLS[named.name](*args)
        # the same text may be encoded again and again
        self._room -= len(made) if isinstance(made, bytes) else 0
        if self._room < 0:
            raise ValueError('its steps make more bytes than it has')
        self._stack.append(made)

    def _build(self, _: Any) -> None:
        state, built = self._stack.pop(), self._stack[-1]
        if type(built) is _Type:
            _check_state(state)
            _, order, *rest = state
            if order not in ('<', '>', '|', '=') or rest[:3] != [None, None, None]:
                raise ValueError('it has an array of another type than numbers or bools')
            built.order = order
        elif type(built) is PickledArray:
            _check_state(state)
            _, shape, kind, by_columns, data = state
            _fill(built, data, kind, shape, bool(by_columns))
        else:
            raise TypeError


def _check_state(state: Any) -> None:
    """Raise TypeError for what is not the short tuple of an array or of its type."""
    if type(state) is not tuple or len(state) > 9:
        raise TypeError


def _fill(array: PickledArray, data: Any, kind: Any, shape: Any, by_columns: bool) -> None:
    """Give an array its numbers; ValueError if it says more of itself than its bytes hold."""
    if type(kind) is not _Type or type(shape) is not tuple or not isinstance(data, (bytes, bytearray)):
        raise TypeError
    dtype = kind.dtype()
    sound = len(shape) <= 8 and all(type(side) is int and 0 <= side <= MOST_SIDE for side in shape)
    if not sound or math.prod(shape) * dtype.itemsize != len(data):
        raise ValueError(f'it has an array whose shape does not fit its {len(data)} bytes')
    array.dtype, array.shape, array.by_columns, array.data = dtype, shape, by_columns, data


def _call_dtype(code: Any, align: Any = False, copy: Any = True) -> _Type:
    found = _NUMBERS.fullmatch(code) if isinstance(code, str) else None
    if found is None:
        raise ValueError(f'it has an array of {code[:20] if isinstance(code, str) else type(code).__name__!r}, not of '
                         'numbers or bools')
    return _Type(found[1])


def _call_reconstruct(kind: Any, shape: Any, code: Any) -> PickledArray:
    if kind != _Named(_NDARRAY):
        raise TypeError
    return PickledArray()


def _call_frombuffer(data: Any, kind: Any, shape: Any, order: Any) -> PickledArray:
    if order not in ('C', 'F'):
        raise TypeError
    array = PickledArray()
    _fill(array, data, kind, shape, order == 'F')
    return array


def _call_scalar(kind: Any, data: Any) -> Any:
    array = PickledArray()
    _fill(array, data, kind, (), False)
    return array.read().item()


def _call_encode(text: Any, code: Any) -> bytes:
    if not isinstance(text, str) or code != 'latin1':
        raise TypeError
    return text.encode('latin1')


_NDARRAY = 'numpy.ndarray'
_CALLS: Dict[str, Callable[..., Any]] = {
    'numpy.dtype': _call_dtype,
    'numpy.core.multiarray._reconstruct': _call_reconstruct,
    'numpy.core.multiarray.scalar': _call_scalar,
    'numpy.core.numeric._frombuffer': _call_frombuffer,  # of protocol 5
    '_codecs.encode': _call_encode,  # how protocol 2 writes bytes
}
_VALUES = frozenset(
    'BININT BININT1 BININT2 LONG1 LONG4 BINFLOAT BINUNICODE SHORT_BINUNICODE BINUNICODE8 BINBYTES SHORT_BINBYTES '
    'BINBYTES8 BYTEARRAY8'.split())
_NEW: Dict[str, Callable[[], Any]] = dict(
    NONE=lambda: None, NEWTRUE=lambda: True, NEWFALSE=lambda: False, EMPTY_DICT=dict, EMPTY_LIST=list,
    EMPTY_TUPLE=tuple)
_STEPS: Dict[str, Callable[[_Steps, Any], None]] = dict(
    MARK=_Steps._mark, TUPLE=_Steps._tuple, TUPLE1=lambda steps, _: steps._short_tuple(1),
    TUPLE2=lambda steps, _: steps._short_tuple(2), TUPLE3=lambda steps, _: steps._short_tuple(3),
    APPEND=_Steps._append, APPENDS=_Steps._appends, SETITEM=_Steps._set_item, SETITEMS=_Steps._set_items,
    MEMOIZE=_Steps._memoize, BINPUT=_Steps._put, LONG_BINPUT=_Steps._put, BINGET=_Steps._get, LONG_BINGET=_Steps._get,
    GLOBAL=_Steps._global, STACK_GLOBAL=_Steps._stack_global, REDUCE=_Steps._reduce, BUILD=_Steps._build)
