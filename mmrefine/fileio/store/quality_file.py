"""The file of a label store that keeps what the quality of its labels is judged by."""
from __future__ import annotations

import json
from pathlib import Path
from typing import Any, BinaryIO, Dict, Iterator, Mapping

from mmrefine.errors import LabelStoreError
from mmrefine.fileio.atomic import atomic_write
from mmrefine.fileio.digest import digest_of, digest_of_chunks
from mmrefine.fileio.records import parse_json


def write_quality(path: Path, made_from: str, labels: Mapping[str, Any]) -> str:
    """Write the file that keeps what the quality of each label is judged by: an object of JSON, one line for a label.

    Args:
        path: the file.
        made_from: digest of the fingerprint of the store.
        labels: key -> anything, in JSON's own types.

    Returns:
        the digest of its bytes.
    """
    with atomic_write(path) as file:
        return digest_of_chunks(_written(file, _chunks(made_from, labels)))


def read_quality(path: Path, made_from: str) -> Dict[str, Any]:
    """Key -> what the quality of the label is judged by.

    Raises:
        LabelStoreError: it is damaged, or of another store.
    """
    try:
        data = path.read_bytes()
        labels = dict(parse_json(data)['labels'])
        if not _consists_of(data, _chunks(made_from, labels)):
            raise ValueError('not the bytes that were written for these labels')
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise LabelStoreError(f'{path}: cannot be read ({error}); bring this file back from a copy, or delete it: the '
                              'labels are then read to be judged') from error
    return labels


def _chunks(made_from: str, labels: Mapping[str, Any]) -> Iterator[bytes]:
    """The bytes of the file."""
    seal = digest_of([made_from, labels])
    yield f'{{\n "made_from": {json.dumps(made_from)},\n "digest": {json.dumps(seal)},\n "labels": {{\n'.encode('ascii')
    before = ''
    for key in sorted(labels):
        yield f'{before}  {json.dumps(key)}: {json.dumps(labels[key])}'.encode('ascii')
        before = ',\n'
    yield b'\n }\n}\n'


def _consists_of(data: bytes, chunks: Iterator[bytes]) -> bool:
    """Whether the data are the chunks, one after the other."""
    at = 0
    for chunk in chunks:
        if not data.startswith(chunk, at):
            return False
        at += len(chunk)
    return at == len(data)


def _written(file: BinaryIO, chunks: Iterator[bytes]) -> Iterator[bytes]:
    """The chunks, each as soon as it is in the file."""
    for chunk in chunks:
        file.write(chunk)
        yield chunk
