"""The JSON files of a label store: how they are sealed, and what is wrong with one that is not as it was written."""
from __future__ import annotations

from pathlib import Path
from typing import Any, Dict, Mapping, Optional

from mmrefine.errors import LabelStoreError
from mmrefine.fileio.digest import digest_of
from mmrefine.fileio.records import type_fault
from mmrefine.fileio.store.layout import FINGERPRINT, FORMAT, KIND, REMEDY, kind_of, read_json

MANIFEST_PARTS = dict(format=str, fingerprint=dict, pairs=dict, soft=list, files=dict, extra=dict, digest=str)
LABEL_PARTS = dict(made_from=str, stats=dict, files=dict, sizes=dict, digest=str)
WANTED_PARTS = dict(labels=int, digest=str, seal=str)


def read_fingerprint(root: Path) -> Dict[str, str]:
    """What the labels of the store at ``root`` were made from, by name.

    Raises:
        LabelStoreError: the file cannot be read, or does not map names to digests.
    """
    found = read_json(root / FINGERPRINT)
    if not are_words(found):
        raise LabelStoreError(f'{root / FINGERPRINT}: is broken: it does not map names to digests; {REMEDY}, and label '
                              'again')
    return found


def read_manifest(path: Path) -> Dict[str, Any]:
    """The manifest of a store, as it was written.

    Raises:
        LabelStoreError: it cannot be read, is of another format, or is broken.
    """
    found = read_json(path, 'fingerprint', 'pairs')
    fault = manifest_fault(found)
    if fault:
        copy = 'bring this file back from a copy, or ' if 'broken' in fault else ''
        raise LabelStoreError(f'{path}: {fault}; {copy}{REMEDY}, and label again')
    return found


def read_label_record(path: Path, made_from: str) -> Dict[str, Any]:
    """The record of a whole label: ``stats``, ``files`` and ``sizes`` by suffix, ``quality`` if it came with it.

    Args:
        path: the file.
        made_from: digest of the fingerprint of the store.

    Raises:
        LabelStoreError: it cannot be read, is broken, or of another store.
    """
    found = read_json(path)
    fault = label_fault(found, made_from)
    if fault:
        raise LabelStoreError(f'{path}: {fault}; delete this file and run the labelling again, which makes this label '
                              'anew')
    return found


def read_wanted(path: Path) -> Dict[str, Any]:
    """What :func:`~mmrefine.fileio.store.layout.wanted_of` said of the labels that the store will hold.

    Raises:
        LabelStoreError: it cannot be read, or is broken.
    """
    found = read_json(path)
    fault = wanted_fault(found)
    if fault:
        raise LabelStoreError(f'{path}: {fault}; delete this file, the labelling run writes it anew')
    return {name: value for name, value in found.items() if name != 'seal'}


def seal_of(content: Mapping[str, Any]) -> str:
    """The digest that a manifest, or the record of a label, holds of all else in it, in JSON's own types."""
    return digest_of({name: value for name, value in content.items() if name != 'digest'})


def part_fault(found: Mapping[str, Any], parts: Mapping[str, type]) -> Optional[str]:
    """Which part of an object is missing, or of another type; None if none is."""
    fault = type_fault(found, parts)
    return fault and f'is broken: {fault}'


def manifest_shape_fault(manifest: Mapping[str, Any]) -> Optional[str]:
    """What makes a manifest unreadable: another format, parts missing or of another type; None if nothing does."""
    found = manifest.get('format')
    if found != FORMAT and str(found).startswith(FORMAT.rstrip('0123456789')):
        return f'is of the format {found}, and this version reads only {FORMAT}'
    return part_fault(manifest, MANIFEST_PARTS)


def manifest_fault(manifest: Mapping[str, Any]) -> Optional[str]:
    """What is wrong with a manifest; None if it is the one that was written."""
    fault = manifest_shape_fault(manifest) or seal_fault(manifest)
    if fault:
        return fault
    kind = kind_of(manifest['fingerprint'])
    found = manifest.get(KIND, kind)
    return None if found == kind else f'is broken: its labels are of the kind {found!r}, its fingerprint says {kind!r}'


def label_fault(record: Mapping[str, Any], made_from: Optional[str]) -> Optional[str]:
    """What is wrong with the record of a label; ``made_from`` of the store, None if that is not known."""
    fault = part_fault(record, LABEL_PARTS) or seal_fault(record)
    if fault is None and made_from not in (None, record['made_from']):
        return f'does not belong to the store: it was made from {record["made_from"]}, {FINGERPRINT} says {made_from}'
    return fault


def wanted_fault(found: Mapping[str, Any]) -> Optional[str]:
    """What is wrong with the note of what is wanted."""
    fault = part_fault(found, WANTED_PARTS)
    sealed = {name: value for name, value in found.items() if name != 'seal'}
    if fault or found['seal'] != digest_of(sealed):
        return fault or 'is broken: its contents are not those that were sealed'
    return None


def are_words(found: Mapping[str, Any]) -> bool:
    """Whether this maps names to digests."""
    return all(isinstance(value, str) for value in found.values())


def seal_fault(content: Mapping[str, Any]) -> Optional[str]:
    """What is wrong with a manifest or a record that was changed after it was sealed; None if it was not."""
    try:
        found, wanted = seal_of(content), content.get('digest')
    except RecursionError:
        return 'is broken: objects lie in objects too deep'
    return None if found == wanted else f'is broken: its contents have the digest {found}, it was written with {wanted}'
