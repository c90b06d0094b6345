"""The codecs by the kind of label. Nothing here imports torch, so that stores are merged and verified at once."""
from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Dict

from mmrefine.errors import LabelStoreError

if TYPE_CHECKING:
    from mmrefine.structures import LabelCodec

FIRST_KIND = 'flow'  # stores that do not say their kind are from when there was no other
RECORDS = '.json'  # ends the names of a store's own files

# of the codecs that come with the package, which register themselves
_MODULES = {'flow': 'mmrefine.fileio.codecs.flow', 'tracks': 'mmrefine.fileio.codecs.tracks'}
_CODECS: Dict[str, LabelCodec] = {}


def register_codec(codec: LabelCodec) -> LabelCodec:
    """Make the codec of a kind of label known to label stores; the last one of a kind counts.

    Raises:
        ValueError: it writes no files, or files that a store would take for its own.
    """
    if not codec.suffixes or any(not suffix.startswith('.') or suffix.endswith(RECORDS) for suffix in codec.suffixes):
        raise ValueError(f"the suffixes of the label codec {codec.kind!r} must begin with '.' and must not end with "
                         f'{RECORDS!r}, which the files of the store itself have, got {codec.suffixes!r}')
    _CODECS[codec.kind] = codec
    return codec


def codec_of(kind: str) -> LabelCodec:
    """The codec of a kind of label.

    Raises:
        LabelStoreError: no such kind is known.
    """
    if kind not in _CODECS and kind in _MODULES:
        importlib.import_module(_MODULES[kind])
    if kind not in _CODECS:
        raise LabelStoreError(f'labels of the kind {kind!r} cannot be read here, only '
                              f'{", ".join(sorted({*_CODECS, *_MODULES}))}; import the package that writes them first '
                              '(custom_imports in a config, --import of tools/label_store.py), so that it can call '
                              'register_codec')
    return _CODECS[kind]
