"""The JSON files of a label store: how they are sealed, and what is wrong with one that is not as it was written."""
from __future__ import annotations

from pathlib import Path
from typing import Any, Dict, Mapping, Optional

from mmrefine.errors import LabelStoreError
from mmrefine.fileio.digest import digest_of
from mmrefine.fileio.store.layout import FINGERPRINT, REMEDY, read_json

MANIFEST_KEYS = ('fingerprint', 'pairs', 'soft')
MANIFEST_PARTS = dict(format=str, fingerprint=dict, pairs=dict, soft=list, extra=dict)
LABEL_PARTS = dict(stats=dict, soft=bool)
WANTED_PARTS = dict(labels=int, digest=str)

_TYPES = {str: 'a text', dict: 'an object', list: 'a list', bool: 'true or false', int: 'a whole number'}
_FIRST_FORMAT = 'mmrefine-labels/1'  # kept no digests
_SEALED = ('digest', 'files', 'made_from')  # what came with the seals


def read_fingerprint(root: Path) -> Dict[str, str]:
    """What the labels of the store at ``root`` were made from.

    Raises:
        LabelStoreError: the file cannot be read, or does not map names to digests.
    """
    found = read_json(root / FINGERPRINT)
    if not are_words(found):
        raise LabelStoreError(f'{root / FINGERPRINT}: is broken: it does not map names to digests; {REMEDY}, and label again')
    return found


def read_manifest(path: Path) -> Dict[str, Any]:
    """The manifest of a store, as it was written.

    Raises:
        LabelStoreError: it cannot be read, or is broken.
    """
    found = read_json(path, *MANIFEST_KEYS)
    fault = part_fault(found, MANIFEST_PARTS) or _content_fault(found) or manifest_seal_fault(found)
    if fault:
        raise LabelStoreError(f'{path}: {fault}; bring this file back from a copy, or {REMEDY}, and label again')
    return found


def read_label_record(path: Path, made_from: str) -> Dict[str, Any]:
    """The file that says that a label is whole: ``stats``, ``soft`` and, unless an older version wrote it, ``files`` and ``sizes``;
    ``quality`` if the label came with it.

    Args:
        path: the file.
        made_from: digest of the fingerprint of the store.

    Raises:
        LabelStoreError: it cannot be read, is broken, or of another store.
    """
    found = read_json(path, *LABEL_PARTS)
    fault = label_fault(found, made_from)
    if fault:
        raise LabelStoreError(f'{path}: {fault}; delete this file and run the labelling again, which makes this label anew')
    return found


def read_wanted(path: Path) -> Dict[str, Any]:
    """How many labels the store will hold, and the digest of their keys, as :func:`~mmrefine.fileio.store.layout.wanted_of` says it.

    Raises:
        LabelStoreError: it cannot be read, or is broken.
    """
    found = read_json(path)
    fault = wanted_fault(found)
    if fault:
        raise LabelStoreError(f'{path}: {fault}; delete this file, the labelling run writes it anew')
    return {name: found[name] for name in WANTED_PARTS}


def seal_of(content: Mapping[str, Any]) -> str:
    """The digest that a manifest, or the statistics of a label, hold of all else in them; ``content`` in JSON's own types."""
    return digest_of({name: value for name, value in content.items() if name != 'digest'})


def part_fault(found: Mapping[str, Any], parts: Mapping[str, type]) -> Optional[str]:
    """Which part of an object is missing, or of another type; None if none is."""
    for part, kind in parts.items():
        if not isinstance(found.get(part), kind) or (kind is int and isinstance(found[part], bool)):
            return f'is broken: its "{part}" is ' + (f'not {_TYPES[kind]}' if part in found else 'missing')
    return None


def manifest_seal_fault(manifest: Mapping[str, Any]) -> Optional[str]:
    """What is wrong if a manifest is not what was sealed; None if it is, or is from before there were seals."""
    return None if keeps_no_digests(manifest) else _seal_fault(manifest)


def keeps_no_digests(manifest: Mapping[str, Any]) -> bool:
    """Whether the manifest is of the first format, which knew neither seals nor digests of files."""
    return manifest['format'] == _FIRST_FORMAT and not any(name in manifest for name in _SEALED)


def label_fault(record: Mapping[str, Any], made_from: Optional[str]) -> Optional[str]:
    """What is wrong with the file that says that a label is whole; ``made_from`` of the store, None if that is not known."""
    fault = part_fault(record, LABEL_PARTS)
    if fault or not any(name in record for name in _SEALED):
        return fault
    if made_from is not None and record.get('made_from', made_from) != made_from:
        fault = f'does not belong to the store: it was made from {record["made_from"]}, {FINGERPRINT} says {made_from}'
    return _seal_fault(record) or fault


def wanted_fault(found: Mapping[str, Any]) -> Optional[str]:
    """What is wrong with the note of what is wanted; one that an older version wrote has no seal."""
    fault = part_fault(found, WANTED_PARTS)
    if fault:
        return fault
    rest = {name: found[name] for name in WANTED_PARTS}
    if found not in (rest, {**rest, 'seal': digest_of(rest)}):
        return 'is broken: its contents are not those that were sealed'
    return None


def are_words(found: Mapping[str, Any]) -> bool:
    """Whether this maps names to digests."""
    return all(isinstance(value, str) for value in found.values())


def _seal_fault(content: Mapping[str, Any]) -> Optional[str]:
    try:
        found, wanted = seal_of(content), content.get('digest')
    except RecursionError:
        return 'is broken: objects lie in objects too deep'
    return None if found == wanted else f'is broken: its contents have the digest {found}, it was written with {wanted}'


def _content_fault(manifest: Mapping[str, Any]) -> Optional[str]:
    """What no seal tells of a manifest of the first format."""
    if not are_words(manifest['fingerprint']):
        return 'is broken: its "fingerprint" does not map names to digests'
    if not all(isinstance(stats, dict) for stats in manifest['pairs'].values()):
        return 'is broken: its "pairs" do not map labels to statistics'
    if not all(isinstance(key, str) for key in manifest['soft']):
        return 'is broken: its "soft" are not the names of labels'
    return None
