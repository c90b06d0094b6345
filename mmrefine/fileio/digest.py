"""Short names for contents: equal contents give equal digests, on every machine and in every run."""
from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Iterable, Iterator, Mapping, Tuple

from mmrefine.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor

DIGEST_LENGTH = 16  # hex digits, 64 bits


def digest_of(obj: Any) -> str:
    """SHA-256 (first 16 hex digits) of a config; the order of dict keys does not count, that of lists does.

    Raises:
        TypeError: a value that JSON cannot hold (a tensor, a class, a set), whose text might differ from run to run.
    """
    return digest_of_chunks(text.encode('ascii') for text in _compact(obj, 2))


def digest_of_bytes(data: bytes) -> str:
    """SHA-256 (first 16 hex digits) of bytes: what ``sha256sum`` begins with."""
    return digest_of_chunks([data])


def digest_of_chunks(chunks: Iterable[bytes]) -> str:
    """``digest_of_bytes`` of all of them, one after the other."""
    total = hashlib.sha256()
    for chunk in chunks:
        total.update(chunk)
    return total.hexdigest()[:DIGEST_LENGTH]


def digest_of_state(state: Mapping[str, Tensor]) -> str:
    """SHA-256 (first 16 hex digits) of names, types, shapes and bytes of a state dict, whatever order and device."""
    import torch  # here, as digests of bytes and words do without it

    total = hashlib.sha256()
    for name in sorted(state):
        value = state[name].detach().cpu().contiguous()
        total.update(f'{name}|{value.dtype}|{tuple(value.shape)}|'.encode('utf-8', 'surrogateescape'))
        total.update(value.reshape(-1).view(torch.uint8).numpy().data)  # bytes, as numpy has no bfloat16
    return total.hexdigest()[:DIGEST_LENGTH]


def digest_of_files(files: Iterable[Tuple[str, Path]]) -> str:
    """SHA-256 (first 16 hex digits) of the names and bytes of files, in the order given.

    Args:
        files: (name, path); the name counts, the path does not, so a moved folder keeps its digest.

    Raises:
        InputError: a file cannot be read.
    """
    total = hashlib.sha256()
    for name, path in files:
        one = hashlib.sha256(name.encode('utf-8', 'surrogateescape'))
        try:
            with open(path, 'rb') as file:
                for block in iter(lambda: file.read(1 << 20), b''):
                    one.update(block)
        except OSError as error:
            raise InputError(f'{path}: cannot be read ({error.strerror}); check the path') from error
        total.update(one.digest())
    return total.hexdigest()[:DIGEST_LENGTH]


def _compact(obj: Any, depth: int) -> Iterator[str]:
    """``json.dumps(obj, sort_keys=True, separators=(',', ':'))``, in pieces of values down to ``depth``."""
    if depth and isinstance(obj, list):
        yield '['
        for at, value in enumerate(obj):
            yield ',' if at else ''
            yield from _compact(value, depth - 1)
        yield ']'
    elif depth and isinstance(obj, Mapping) and all(isinstance(name, str) for name in obj):
        yield '{'
        for at, name in enumerate(sorted(obj)):
            yield f'{"," if at else ""}{json.dumps(name)}:'
            yield from _compact(obj[name], depth - 1)
        yield '}'
    else:
        yield json.dumps(obj, sort_keys=True, separators=(',', ':'))
