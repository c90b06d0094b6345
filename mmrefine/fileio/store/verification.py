"""Is a label store on disk what was written? The digests that it keeps tell, without the teacher and the frames."""
from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Dict, List, Mapping, Optional, Set, Tuple

from mmrefine.errors import LabelStoreError
from mmrefine.fileio.atomic import TEMP_PREFIX, TEMP_SUFFIX, PathLike, json_bytes
from mmrefine.fileio.digest import digest_of, digest_of_bytes
from mmrefine.fileio.images import find_damage
from mmrefine.fileio.store.index import (LABEL_PARTS, MANIFEST_PARTS, WANTED_PARTS, are_words, keeps_no_digests,
                                         label_fault, manifest_seal_fault, part_fault, wanted_fault)
from mmrefine.fileio.store.layout import (FINGERPRINT, FLOW, MANIFEST, QUALITY, STATS, WANTED, WEIGHT, differing,
                                          key_of, label_path, stats_files, suffixes)

__all__ = ['StoreCheck', 'StoreFault', 'verify_store']


@dataclass(frozen=True)
class StoreFault:
    """One file that is not as it was written.

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
        labels: labels that the store says it has.
        size: bytes of all files that were read.
        faults: the store is whole if there are none.
    """
    labels: int
    size: int
    faults: Tuple[StoreFault, ...]


def verify_store(root: PathLike) -> StoreCheck:
    """Read every file of a label store and compare it with what the store says of it; changes nothing, never raises.

    Found are: changed, truncated and missing files, files that do not belong, a broken index, and a store whose labelling has not
    come to its end. Where the manifest itself is broken, the labels are judged by the checksums that a PNG has.
    """
    check = _Check(Path(root))
    if os.path.isdir(root):
        check.run()
    else:
        check.say('', 'there is no such folder')
    return StoreCheck(check.labels, check.size, tuple(check.faults))


class _Check:
    """One pass over a store; ``belongs`` are the files that are accounted for."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.labels, self.size = 0, 0
        self.faults: List[StoreFault] = []
        self.belongs: Set[str] = {FINGERPRINT, MANIFEST}

    def say(self, file: str, problem: str) -> None:
        self.faults.append(StoreFault(self.root / file, problem))

    def run(self) -> None:
        fingerprint = self._index(FINGERPRINT, {}, '; without it no labelling run accepts the folder')
        if fingerprint is not None and not are_words(fingerprint):
            self.say(FINGERPRINT, 'is broken: it does not map names to digests')
            fingerprint = None
        manifest = self._index(MANIFEST, MANIFEST_PARTS, ': labelling has not come to its end (the same run goes on where it '
                               'stopped), or the file was lost')
        if manifest is None:
            self._unfinished(fingerprint)
        else:
            self._complete(manifest, fingerprint)
        self._strangers(manifest)

    def _complete(self, manifest: Mapping[str, Any], fingerprint: Optional[Mapping[str, Any]]) -> None:
        self.labels = len(manifest['pairs'])
        digests = manifest.get('files')
        fault = manifest_seal_fault(manifest)
        trusted = isinstance(digests, dict) and fault is None
        if keeps_no_digests(manifest):
            self.say(MANIFEST, f'is of the format {manifest["format"]}, which keeps no digests, so that only the checksums inside '
                     'the pictures could be compared; "merge" it into a new folder to record them')
        elif fault:
            self.say(MANIFEST, fault)
        if fingerprint is not None:
            for name in differing(fingerprint, manifest['fingerprint']):
                self.say(FINGERPRINT, f'is not that of the manifest: {name} is {fingerprint.get(name, "missing")}, there it is '
                         f'{manifest["fingerprint"].get(name, "missing")}')
        soft = {key for key in manifest['soft'] if isinstance(key, str)}
        for key in manifest['pairs']:
            for suffix in suffixes(key in soft):
                wanted = digests.get(key + suffix) if trusted and isinstance(digests, dict) else None
                self._label_file(key, suffix, wanted)
        if 'quality' in manifest:
            self.belongs.add(QUALITY)
            data = self._bytes(QUALITY, ': the labels are whole, and have to be read to be judged')
            found, wanted = digest_of_bytes(data or b''), manifest['quality']
            if data is not None and trusted and found != wanted:
                self.say(QUALITY, f'changed: not the bytes that were written (digest {found}, wanted {wanted})')

    def _unfinished(self, fingerprint: Optional[Mapping[str, Any]]) -> None:
        """Labels whose statistics are still files of their own; what has none is judged as it is."""
        self.belongs |= {QUALITY, WANTED}  # the one is written just before the manifest, the other removed just after
        wanted = self._index(WANTED, WANTED_PARTS, '') if os.path.lexists(self.root / WANTED) else None
        fault = None if wanted is None else wanted_fault(wanted)
        if fault:
            self.say(WANTED, f'{fault}; the same labelling run writes it anew')
        for path in sorted(stats_files(self.root)):
            key, name = key_of(self.root, path), path.relative_to(self.root).as_posix()
            if not (self._is_key(key) and path.is_file()):
                continue
            self.belongs.add(name)
            self.labels += 1
            entry = self._index(name, LABEL_PARTS, '')
            if entry is None:
                continue
            fault = label_fault(entry, None if fingerprint is None else digest_of(fingerprint))
            if fault:
                self.say(name, fault)
                continue
            digests = entry.get('files')
            for suffix in suffixes(entry['soft']):
                self._label_file(key, suffix, digests.get(suffix) if isinstance(digests, dict) else None)
        for path in sorted(self.root.rglob('*' + FLOW)):
            name = path.relative_to(self.root).as_posix()
            suffix = WEIGHT if name.endswith(WEIGHT) else FLOW
            if name not in self.belongs and self._is_key(name[:-len(suffix)]):
                self._label_file(name[:-len(suffix)], suffix, None)

    def _label_file(self, key: str, suffix: str, wanted: Optional[str]) -> None:
        """One picture, by its digest or, if that is not known, by its own checksums."""
        name = key + suffix
        try:
            label_path(self.root, key, suffix)
        except LabelStoreError:
            self.say(MANIFEST, f'is broken: {key!r} is no label key')
            return
        self.belongs.add(name)
        data = self._bytes(name, f'; the label {key} needs it')
        if data is None:
            return
        damage = find_damage(data) if data.startswith(b'\x89PNG') else f'is no PNG, it has {len(data)} bytes'
        found = digest_of_bytes(data)
        if wanted is None or found == wanted:
            if damage:
                self.say(name, damage)
            return
        self.say(name, f'{damage or "changed: not the bytes that were written"} (digest {found}, wanted {wanted})')

    def _strangers(self, manifest: Optional[Mapping[str, Any]]) -> None:
        """Files that nothing accounts for."""
        inhabited = {parent.as_posix() for name in self.belongs for parent in Path(name).parents}

        def unreadable(error: OSError) -> None:
            self.say(os.path.relpath(error.filename, self.root), f'cannot be read ({error.strerror})')

        for folder, folders, files in os.walk(self.root, onerror=unreadable):
            here = Path(folder).relative_to(self.root)
            names = [(here / name).as_posix() for name in files]
            names += [name for name in ((here / link).as_posix() for link in folders if os.path.islink(os.path.join(folder, link)))
                      if name not in inhabited]
            for name in sorted(set(names) - self.belongs):
                last = name.rpartition('/')[2]
                if last.startswith(TEMP_PREFIX) and last.endswith(TEMP_SUFFIX):
                    if manifest is not None:  # else somebody may be writing it just now
                        self.say(name, 'does not belong to the store: a killed writer left it; the same labelling run removes it')
                elif manifest is not None and (name == WANTED or name.endswith(STATS) and name[:-len(STATS)] in manifest['pairs']):
                    self.say(name, 'does not belong to the store: the manifest has taken it over; the same labelling run removes it')
                else:
                    self.say(name, 'does not belong to the store; move it away')

    def _index(self, name: str, parts: Mapping[str, type], if_missing: str) -> Optional[Dict[str, Any]]:
        """An object of JSON with these parts, or ``None`` after saying what is wrong."""
        data = self._bytes(name, if_missing)
        if data is None:
            return None
        try:
            found = json.loads(data)
            again = json_bytes(found)
        except (ValueError, RecursionError) as error:
            self.say(name, f'is broken: it is no JSON ({error})')
            return None
        if not isinstance(found, dict):
            self.say(name, 'is broken: it is not an object')
            return None
        fault = part_fault(found, parts)
        if fault:
            self.say(name, fault)
            return None
        if data != again:
            self.say(name, 'changed: it reads as an index, but not in the bytes that were written')
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
            label_path(self.root, key, FLOW)
        except LabelStoreError:
            return False
        return True
