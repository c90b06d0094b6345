"""Verify a label store on disk by the digests that it keeps, without the teacher and the frames."""
from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable, Dict, List, Mapping, Optional, Set, Tuple

from mmrefine.errors import LabelStoreError
from mmrefine.fileio.atomic import TEMP_PREFIX, TEMP_SUFFIX, PathLike, json_bytes
from mmrefine.fileio.codecs.kinds import codec_of
from mmrefine.fileio.digest import digest_of, digest_of_bytes
from mmrefine.fileio.lock import LOCK
from mmrefine.fileio.records import parse_json
from mmrefine.fileio.store.index import are_words, label_fault, manifest_fault, manifest_shape_fault, wanted_fault
from mmrefine.fileio.store.layout import (FINGERPRINT, MANIFEST, QUALITY, STATS, WANTED, differing, file_fault, key_of,
                                          kind_of, label_path, stats_files)


@dataclass(frozen=True)
class StoreFault:
    """One file of a store that is not as it was written.

    Args:
        path: the file, or the folder of the store.
        problem: what is wrong with it.
    """
    path: Path
    problem: str

    def __str__(self) -> str:
        text = f'{self.path}: {self.problem}'
        return ''.join(c if c.isprintable() else ascii(c)[1:-1] for c in text)  # one line that any terminal can show


@dataclass(frozen=True)
class StoreCheck:
    """What ``verify_store`` found.

    Args:
        labels: number of labels that the store lists.
        size: total size of the files that were read, bytes.
        faults: what is wrong; empty if the store is intact.
    """
    labels: int
    size: int
    faults: Tuple[StoreFault, ...]


def verify_store(root: PathLike) -> StoreCheck:
    """Read every file of a label store and compare it with its digest; changes nothing and never raises.

    It finds changed, truncated and missing files, files that do not belong to the store, a broken index, and a store
    whose labelling has not finished. Where the manifest itself is broken, the labels are checked by the checksums in
    their own files, if any.
    """
    check = _Check(Path(root))
    if os.path.isdir(root):
        check.run()
    else:
        check.say('', 'there is no such folder')
    return StoreCheck(check.labels, check.size, tuple(check.faults))


class _Check:
    """One pass over a store; ``belongs`` are the files that are known to be part of it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.labels, self.size = 0, 0
        self.faults: List[StoreFault] = []
        self.belongs: Set[str] = {FINGERPRINT, MANIFEST, LOCK}

    def say(self, file: str, problem: str) -> None:
        self.faults.append(StoreFault(self.root / file, problem))

    def run(self) -> None:
        fingerprint = self._index(
            FINGERPRINT, lambda found: None if are_words(found) else 'is broken: it does not map names to digests',
            '; without it no labelling run accepts the folder')
        manifest = self._index(MANIFEST, manifest_shape_fault, ': labelling has not finished (the same run continues '
                                                               'where it stopped), or the file was lost')
        made_from = fingerprint if manifest is None else manifest['fingerprint']
        try:
            self.codec = codec_of(kind_of(made_from or {}))
        except LabelStoreError as error:
            self.say(FINGERPRINT if manifest is None else MANIFEST, str(error))
            return
        if manifest is None:
            self._unfinished(fingerprint)
        else:
            self._complete(manifest, fingerprint)
        self._unexpected(manifest)

    def _complete(self, manifest: Mapping[str, Any], fingerprint: Optional[Mapping[str, Any]]) -> None:
        self.labels = len(manifest['pairs'])
        fault = manifest_fault(manifest)
        if fault:
            self.say(MANIFEST, fault)
        if fingerprint is not None:
            for name in differing(fingerprint, manifest['fingerprint']):
                self.say(FINGERPRINT, f'is not that of the manifest: {name} is {fingerprint.get(name, "missing")}, '
                                      f'there it is {manifest["fingerprint"].get(name, "missing")}')
        digests = manifest['files']
        for key in manifest['pairs']:
            for suffix in self.codec.suffixes:
                if suffix == self.codec.suffixes[0] or key + suffix in digests:
                    self._label_file(key, suffix, None if fault else digests.get(key + suffix))
        if 'quality' in manifest:
            self.belongs.add(QUALITY)
            data = self._bytes(QUALITY, ': the labels are complete, but have to be read again to be judged')
            found, wanted = digest_of_bytes(data or b''), manifest['quality']
            if data is not None and not fault and found != wanted:
                self.say(QUALITY, f'changed: not the bytes that were written (digest {found}, wanted {wanted})')

    def _unfinished(self, fingerprint: Optional[Mapping[str, Any]]) -> None:
        """Labels whose statistics are still separate files; a label without any is checked by its own bytes."""
        self.belongs |= {QUALITY, WANTED}  # written just before the manifest, and removed just after it
        if os.path.lexists(self.root / WANTED):
            self._index(WANTED, wanted_fault, '', '; the same labelling run writes it anew')
        made_from = None if fingerprint is None else digest_of(fingerprint)
        for path in sorted(stats_files(self.root)):
            key, name = key_of(self.root, path), path.relative_to(self.root).as_posix()
            if not self._is_key(key):
                continue
            self.belongs.add(name)
            self.labels += 1
            entry = self._index(name, lambda found: label_fault(found, made_from), '')
            for suffix, wanted in (entry['files'] if entry else {}).items():
                self._label_file(key, suffix, wanted)
        for suffix in sorted(self.codec.suffixes, key=len, reverse=True):  # one suffix may end with another
            for path in sorted(self.root.rglob('*' + suffix)):
                name = path.relative_to(self.root).as_posix()
                key = key_of(self.root, path, suffix)
                if name not in self.belongs and path.is_file() and self._is_key(key):
                    self._label_file(key, suffix, None)

    def _label_file(self, key: str, suffix: str, wanted: Optional[str]) -> None:
        """Check one file of a label by its digest or, if that is unknown, by its own checksums."""
        if not self._is_key(key):
            self.say(MANIFEST, f'is broken: {key!r} is not a valid label key')
            return
        name = label_path(self.root, key, suffix, self.codec.suffixes).relative_to(self.root).as_posix()
        self.belongs.add(name)
        data = self._bytes(name, f'; the label {key} needs it')
        if data is None:
            return
        fault = (wanted and file_fault(self.codec, data, wanted)) or self.codec.damage(data)
        if fault:
            self.say(name, fault)

    def _unexpected(self, manifest: Optional[Mapping[str, Any]]) -> None:
        """Report files that are not part of the store."""
        inhabited = {parent.as_posix() for name in self.belongs for parent in Path(name).parents}

        def unreadable(error: OSError) -> None:
            self.say(os.path.relpath(error.filename, self.root), f'cannot be read ({error.strerror})')

        for folder, folders, files in os.walk(self.root, onerror=unreadable):
            here = Path(folder).relative_to(self.root)
            names = [(here / name).as_posix() for name in files]
            names += [name for name in ((here / link).as_posix() for link in folders
                                        if os.path.islink(os.path.join(folder, link)))
                      if name not in inhabited]
            for name in sorted(set(names) - self.belongs):
                last = name.rpartition('/')[2]
                if last.startswith(TEMP_PREFIX) and last.endswith(TEMP_SUFFIX):
                    if manifest is not None:  # else it may be in the middle of being written
                        self.say(name, 'does not belong to the store: left over from a killed run; the same '
                                       'labelling run removes it')
                elif manifest is not None and (name == WANTED or name.endswith(STATS)
                                               and key_of(self.root, self.root / name) in manifest['pairs']):
                    self.say(name, 'does not belong to the store: the manifest has taken it over; the same labelling '
                                   'run removes it')
                else:
                    self.say(name, 'does not belong to the store; move it away')

    def _index(self, name: str, fault_of: Callable[[Dict[str, Any]], Optional[str]], if_missing: str,
               remedy: str = '') -> Optional[Dict[str, Any]]:
        """A JSON object without faults, or ``None`` after reporting what is wrong."""
        data = self._bytes(name, if_missing)
        if data is None:
            return None
        try:
            found = parse_json(data)
            again = json_bytes(found)
        except (ValueError, RecursionError) as error:
            self.say(name, f'is broken: it is not valid JSON ({error})')
            return None
        if not isinstance(found, dict):
            self.say(name, 'is broken: it is not an object')
            return None
        fault = fault_of(found)
        if fault:
            self.say(name, f'{fault}{remedy}')
            return None
        if data != again:
            self.say(name, 'changed: it is a valid index, but not the bytes that were written')
        return found

    def _bytes(self, name: str, if_missing: str) -> Optional[bytes]:
        try:
            data = (self.root / name).read_bytes()
        except FileNotFoundError:
            self.say(name, f'is missing{if_missing}')
            return None
        except (OSError, ValueError) as error:
            self.say(name, f'cannot be read ({getattr(error, "strerror", None) or error})')
            return None
        self.size += len(data)
        return data

    def _is_key(self, key: str) -> bool:
        try:
            label_path(self.root, key, '', self.codec.suffixes)
        except LabelStoreError:
            return False
        return True
