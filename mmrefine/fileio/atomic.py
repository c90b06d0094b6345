"""Files that appear whole or not at all."""
from __future__ import annotations

import contextlib
import errno
import io
import json
import math
import os
import secrets
from pathlib import Path
from typing import Any, BinaryIO, Iterator, Mapping, Type, Union

from mmrefine.errors import CheckpointError, MMRefineError

PathLike = Union[str, 'os.PathLike[str]']
# Leftovers of a killed writer; hidden, and of a fixed short length so that a long file name stays possible.
TEMP_PREFIX, TEMP_SUFFIX = '.mmrefine-', '.tmp'


@contextlib.contextmanager
def atomic_write(path: PathLike) -> Iterator[BinaryIO]:
    """Open a binary file that appears at ``path`` whole, or not at all.

    Parent folders are made. The bytes go to a hidden file in the same folder, reach the disk, and take the name in one
    step; a reader, a crash or a kill at any moment sees the old file or the new one. The last of several writers wins.

    Raises:
        OSError: the disk is full, the folder cannot be written; the hidden file is removed first.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temp = path.parent / f'{TEMP_PREFIX}{secrets.token_hex(8)}{TEMP_SUFFIX}'
    # not tempfile.mkstemp: its mode 0600 would survive the rename and lock out a colleague's reader
    file = open(temp, 'xb')
    try:
        with file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temp, path)
    except BaseException:
        temp.unlink(missing_ok=True)  # an interrupt may come right after the rename
        raise


def write_bytes(path: PathLike, data: bytes) -> None:
    """Write ``data`` to ``path``, whole or not at all."""
    with atomic_write(path) as file:
        file.write(data)


def json_bytes(obj: Any) -> bytes:
    """``obj`` as JSON; the same object gives the same bytes.

    Numbers of numpy and torch become plain numbers, paths strings; nan and inf become ``null``, as JSON has neither.

    Raises:
        TypeError: a value that JSON cannot say.
    """
    return b''.join(json_chunks(obj))


def json_chunks(obj: Any) -> Iterator[bytes]:
    """``json_bytes(obj)`` in pieces, so that a long mapping is never in memory as text.

    Raises:
        TypeError: a value that JSON cannot say.
    """
    yield from (text.encode('ascii') for text in _indented(obj, 0))
    yield b'\n'


def write_json(path: PathLike, obj: Any) -> None:
    """Write ``json_bytes(obj)`` to ``path``, whole or not at all.

    Raises:
        TypeError: a value that JSON cannot say.
    """
    with atomic_write(path) as file:
        file.writelines(json_chunks(obj))


def save_checkpoint(path: PathLike, obj: Any) -> None:
    """``torch.save`` that leaves a whole checkpoint at ``path``, or what was there before.

    Raises:
        CheckpointError: the disk is full or the folder cannot be written.
    """
    import torch  # here, as most of what writes files does without it, and it takes a second to come

    # through memory: torch's own writer turns a full disk into a RuntimeError without a reason
    buffer = io.BytesIO()
    torch.save(obj, buffer)
    with write_errors(path, CheckpointError), atomic_write(path) as file:
        file.write(buffer.getbuffer())


def write_failure(path: PathLike, error: OSError) -> str:
    """The sentence for a file that could not be written: where, why, and what to do."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return (f'{path}: no room left on the disk ({error.strerror}), so nothing was written; free some space or '
                'choose another work dir, then run again: what is finished is kept')
    return (f'{path}: cannot be written ({error.strerror or error}); '
            'check the folder and its permissions, then run again')


@contextlib.contextmanager
def write_errors(path: PathLike, kind: Type[MMRefineError] = MMRefineError) -> Iterator[None]:
    """While ``path`` is written, an ``OSError`` becomes an error of ours, with the text of :func:`write_failure`."""
    try:
        yield
    except OSError as error:
        raise kind(write_failure(path, error)) from error


def remove_leftovers(folder: Path) -> None:
    """Remove what killed writers left below ``folder``; call it only when nobody writes there."""
    for temp in folder.rglob(f'{TEMP_PREFIX}*{TEMP_SUFFIX}'):
        temp.unlink(missing_ok=True)


def _indented(obj: Any, depth: int) -> Iterator[str]:
    """``obj`` as JSON inside ``depth`` others, in the layout of ``json.dumps(…, indent=1)``."""
    if depth > 1 or not isinstance(obj, Mapping):
        # JSON has no line break inside a text
        yield json.dumps(_plain(obj), indent=1, allow_nan=False).replace('\n', '\n' + depth * ' ')
        return
    yield '{'
    before = ''
    for name, value in obj.items():
        yield f'{before}\n{depth * " "} {json.dumps(str(name))}: '
        yield from _indented(value, depth + 1)
        before = ','
    yield f'\n{depth * " "}}}' if before else '}'


def _plain(obj: Any) -> Any:
    """``obj`` in JSON's own types."""
    if isinstance(obj, dict):
        return {str(key): _plain(value) for key, value in obj.items()}
    if isinstance(obj, (list, tuple)):
        return [_plain(value) for value in obj]
    if isinstance(obj, os.PathLike):
        return os.fspath(obj)
    if hasattr(obj, 'tolist'):  # numpy arrays and scalars, torch tensors
        return _plain(obj.tolist())
    if isinstance(obj, float) and not math.isfinite(obj):
        return None
    return obj
