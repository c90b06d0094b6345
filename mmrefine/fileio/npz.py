"""Arrays in one ``.npz`` file: equal arrays give equal bytes, and a crafted file costs no more memory than it should.

``numpy.load`` allocates what the header of an array promises before it looks at the bytes, takes any number of members,
and knows object arrays. Here the headers are read first, and checked against the sizes in the zip and a bound.
"""
from __future__ import annotations

import contextlib
import io
import math
import re
import struct
import zipfile
import zlib
from dataclasses import dataclass
from typing import BinaryIO, Dict, Iterator, Mapping, Tuple

import numpy as np

MOST_BYTES = 2**32  # of all arrays of a file together
MOST_MEMBERS = 32
MOST_SIDE = 2**24  # of an array: one without elements could promise any number of rows

_NO_TIME = (1980, 1, 1, 0, 0, 0)  # the earliest that a zip can say
_UNIX = 3  # else a zip says on which system it was written
_END, _END_64, _END_BYTES = b'PK\5\6', b'PK\6\7', 22
_MOST_DIRECTORY = 2**16  # bytes; zipfile reads the whole list of members, however long it is
_DEFLATE = 1032  # bytes that one byte may expand to, at most
# how the length of a header is written, by the version of the layout that a member begins with
_LENGTHS, _MOST_HEADER = {b'\x93NUMPY\1\0': '<H', b'\x93NUMPY\2\0': '<I'}, 4096
_START = 8
_TYPE = re.compile(r"'descr': *'([^']{1,20})'")
_ORDER = re.compile(r"'fortran_order': *(True|False)")
_SHAPE = re.compile(r"'shape': *\(([\d, ]*)\)")
_NUMBERS = re.compile(r'[<>|=]?([biuf][1248])')
_BLOCK = 1 << 20


def write_npz(stream: BinaryIO, arrays: Mapping[str, np.ndarray]) -> None:
    """Write arrays, deflated, in their order; ``numpy.load`` reads them without pickle.

    Args:
        stream: that can be sought.
        arrays: name -> array of numbers or bools.
    """
    with zipfile.ZipFile(stream, 'w') as archive:
        for name, array in arrays.items():
            buffer = io.BytesIO()
            np.lib.format.write_array(buffer, np.ascontiguousarray(array), version=(1, 0), allow_pickle=False)
            entry = zipfile.ZipInfo(f'{name}.npy', _NO_TIME)
            entry.create_system, entry.external_attr = _UNIX, 0o644 << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, buffer.getvalue())


def pack_npz(arrays: Mapping[str, np.ndarray]) -> bytes:
    """The bytes that :func:`write_npz` writes."""
    buffer = io.BytesIO()
    write_npz(buffer, arrays)
    return buffer.getvalue()


@dataclass(frozen=True)
class Header:
    """What a member says of its array: checked against the bytes that the zip has of it.

    Attributes:
        dtype: of numbers or bools.
        shape: of the array.
        by_columns: whether the first index runs fastest.
        begins: byte of the member at which the numbers begin.
    """
    dtype: np.dtype
    shape: Tuple[int, ...]
    by_columns: bool
    begins: int

    def __str__(self) -> str:
        return f'{self.dtype} {self.shape}'


class Npz:
    """The arrays of an ``.npz`` file; their numbers are read only when they are asked for.

    Args:
        stream: that can be sought, open for as long as arrays are read.

    Raises:
        ValueError: not a zip, cut off, or members that are not arrays of numbers or larger than the file can hold.
    """

    def __init__(self, stream: BinaryIO) -> None:
        with _reasons():
            total = stream.seek(0, io.SEEK_END)
            _check_directory(stream, total)
            self._archive = zipfile.ZipFile(stream)
            members = self._archive.infolist()
            if len(members) > MOST_MEMBERS:
                raise ValueError(f'it has {len(members)} members, at most {MOST_MEMBERS} are read')
            self._members = {_array_name(member): member for member in members}
            if len(self._members) < len(members):
                raise ValueError('two of its members have one name')
            if sum(member.file_size for member in members) > MOST_BYTES:
                raise ValueError(f'its arrays have {sum(member.file_size for member in members)} bytes, at most '
                                 f'{MOST_BYTES} are read')
            for member in members:
                _check_member(member, total)
            self.headers: Dict[str, Header] = {name: self._header(name) for name in self._members}

    def read(self, name: str) -> np.ndarray:
        """An array, its own copy.

        Raises:
            ValueError: its bytes are damaged.
            KeyError: there is no such array.
        """
        header = self.headers[name]
        order = header.shape[::-1] if header.by_columns else header.shape
        with _reasons(), self._archive.open(self._members[name]) as file:
            array = np.empty(order, header.dtype)
            into = array.reshape(-1).view(np.uint8).data
            file.read(header.begins)
            at = 0
            while at < len(into):
                block = file.read(min(_BLOCK, len(into) - at))
                if not block:
                    raise ValueError(f'{name!r} stops after {at} of {len(into)} bytes')
                into[at:at + len(block)] = block
                at += len(block)
            file.read(1)  # beyond the end, where the checksum is compared
        if array.dtype == bool:
            array = array.view(np.uint8) != 0  # other bytes than 0 and 1 are no bools
        return array.T if header.by_columns else array

    def check_sums(self) -> None:
        """Read all members without keeping them.

        Raises:
            ValueError: one is damaged.
        """
        with _reasons():
            for member in self._members.values():
                with self._archive.open(member) as file:
                    while file.read(_BLOCK):
                        pass

    def _header(self, name: str) -> Header:
        """The header of a member, which fits the size that the zip says it has."""
        member = self._members[name]
        with self._archive.open(member) as file:
            start = file.read(_START)
            field = _LENGTHS.get(start)
            if field is None:
                raise ValueError(f'{name!r} is not an array of numpy')
            length, = struct.unpack(field, file.read(struct.calcsize(field)))
            if length > _MOST_HEADER:
                raise ValueError(f'the header of {name!r} has {length} bytes, at most {_MOST_HEADER} are read')
            text = file.read(length).decode('latin1')
        found = [pattern.search(text) for pattern in (_TYPE, _ORDER, _SHAPE)]
        kind, by_columns, sides = (match[1] if match else '' for match in found)
        numbers = _NUMBERS.fullmatch(kind)
        if numbers is None or numbers[1] in ('b2', 'b4', 'b8', 'f1'):
            raise ValueError(f'{name!r} is not an array of numbers or bools'
                             + (f', but of {kind!r}' if kind else ''))
        shape = tuple(int(side) for side in sides.replace(',', ' ').split())
        header = Header(np.dtype(kind), shape, by_columns == 'True',
                        _START + struct.calcsize(field) + length)
        wanted = math.prod(shape) * header.dtype.itemsize
        if not all(found) or max(shape, default=0) > MOST_SIDE or header.begins + wanted != member.file_size:
            raise ValueError(f'the header of {name!r} does not fit its {member.file_size} bytes')
        return header


@contextlib.contextmanager
def _reasons() -> Iterator[None]:
    """Whatever a damaged zip leads to becomes a ValueError."""
    try:
        yield
    except (zipfile.BadZipFile, zlib.error, struct.error, EOFError, MemoryError, OSError, OverflowError,
            RuntimeError) as error:  # NotImplementedError is a RuntimeError
        raise ValueError(str(error) or type(error).__name__) from error


def _check_directory(stream: BinaryIO, total: int) -> None:
    """Raise ValueError unless the stream ends as a zip of few members does."""
    stream.seek(max(total - 2 * _END_BYTES + 2, 0))  # the mark of a zip of more than 4 GiB has 20 bytes
    tail = stream.read()
    # with a comment behind it, zipfile would look for another end
    if tail[-_END_BYTES:-_END_BYTES + 4] != _END or tail[-2:] != b'\0\0':
        raise ValueError(f'its {total} bytes do not end as a zip does')
    size, = struct.unpack('<I', tail[-10:-6])
    if tail[:4] == _END_64 or size > _MOST_DIRECTORY:
        raise ValueError('it has too many members, or more than 4 GiB')


def _check_member(member: zipfile.ZipInfo, total: int) -> None:
    """Raise ValueError for a member that cannot be what the zip says of it."""
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) or member.flag_bits & 1:
        raise ValueError(f'{_array_name(member)!r} is packed in another way than by numpy')
    most = member.compress_size * (_DEFLATE if member.compress_type else 1)
    if member.file_size > most or member.compress_size > total:
        raise ValueError(f'{_array_name(member)!r} promises {member.file_size} bytes, which '
                         f'{min(member.compress_size, total)} bytes cannot hold')


def _array_name(member: zipfile.ZipInfo) -> str:
    """The name of an array; cut, as it may be put into a message."""
    return member.filename[:64].replace('.npy', '')
