"""Labels on disk, in a layout that any toolbox reads.

::

    fingerprint.json                     what the labels were made from; written first
    <scene>/<frame1>__<frame2><suffix>   the files of a label, as the codec of its kind writes them; at least the first
    <scene>/<frame1>__<frame2>.json      statistics, digests and sizes; written last: it says that the label is whole
    manifest.json                        kind, fingerprint, all statistics, digests; it says that the store is complete
    quality.json                         what the quality of each label is judged by, only if the labels came with it
    wanted.json                          while labelling: how many labels there will be, and a digest of their keys
    .lock                                locked by the process that changes the store, empty

Each file appears whole or not at all and depends on its label alone. Therefore a killed run goes on where it was, and
the finished folder is the same to the byte. ``finish`` folds the statistics into the manifest, what judges the labels
into a file beside it, and removes their files.

Any number of processes can work on one store, also independent runs: a process changes it only while it
holds the lock of the folder and finds its own fingerprint there, and a complete label is never changed again.
"""
from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any, Dict, Iterable, Iterator, List, Mapping, Optional

from mmrefine.errors import LabelStoreError, StaleLabelsError
from mmrefine.fileio.atomic import json_bytes, remove_leftovers, write_bytes, write_failure, write_json
from mmrefine.fileio.digest import digest_of, digest_of_bytes
from mmrefine.fileio.lock import folder_lock
from mmrefine.fileio.store.index import read_fingerprint, seal_of
from mmrefine.fileio.store.layout import (FINGERPRINT, FORMAT, MANIFEST, QUALITY, REMEDY, STATS, WANTED, differing,
                                          key_of, stats_files, told)
from mmrefine.fileio.store.packed import Packed
from mmrefine.fileio.store.quality_file import write_quality
from mmrefine.fileio.store.reader import LabelReader


class LabelStore(LabelReader):
    """Labels of one kind under ``root``, made from what ``fingerprint`` names.

    A key is ``scene/frame1__frame2``, or ``scene/first__last@stride`` for a clip; the scene may have several parts. The
    codec of the kind says how labels are stored, and what of them, see :class:`~mmrefine.fileio.codecs.flow.FlowCodec`.

    Args:
        root: the folder; it need not exist yet.
        fingerprint: what the labels depend on (teacher weights, labeler config, frames, …) -> its digest; ``kind`` is
            the kind of the labels itself, flow if it is not there.

    Raises:
        LabelStoreError: no codec of this kind is known.
    """

    def create(self) -> None:
        """Make the folder, or make sure that the labels in it are from the same fingerprint. Any process may call it.

        A run that failed before its first label leaves a store without any, which the next run takes over.

        Raises:
            StaleLabelsError: the labels there are from something else.
            LabelStoreError: the folder holds other things, or cannot be written.
        """
        path = self.root / FINGERPRINT
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            with folder_lock(self.root):
                if not path.exists():
                    alien = sorted(entry.name for entry in self.root.iterdir() if not entry.name.startswith('.'))
                    if alien:
                        raise LabelStoreError(f'{self.root}: the folder is not empty ({alien[0]}, …) and has no '
                                              'fingerprint.json, so it is not a label store; set the store to a '
                                              'new folder')
                wanted = dict(sorted(self.fingerprint.items()))
                if not path.exists() or self._holds_nothing():
                    write_json(path, wanted)
                self._check(read_fingerprint(self.root))
                if path.read_bytes() != json_bytes(wanted):  # the same, but laid out otherwise by somebody
                    write_json(path, wanted)
                if self.is_complete():  # what a killed finish() left can go
                    self._sweep(self.manifest['pairs'])
        except OSError as error:
            raise LabelStoreError(write_failure(path, error)) from error

    def expect(self, wanted: Mapping[str, Any]) -> None:
        """Note what the store will hold when it is complete, for a later merge of its parts.

        Args:
            wanted: of :func:`~mmrefine.fileio.store.layout.wanted_of`.

        Raises:
            LabelStoreError: the folder cannot be written.
            StaleLabelsError: meanwhile the folder holds labels of another fingerprint.
        """
        path = self.root / WANTED
        with self._locked(path):
            self._manifest = None
            with contextlib.suppress(LabelStoreError):  # one that is damaged is written anew
                if self.is_complete() or self.expected() == dict(wanted):
                    return
            write_bytes(path, json_bytes({**wanted, 'seal': digest_of(dict(wanted))}))

    def write(self, key: str, label: Any, stats: Mapping[str, Any],
              quality: Optional[Mapping[str, Any]] = None) -> None:
        """Put a label and its statistics on disk; ``has(key)`` holds from the moment that all of it is there.

        A label that is whole already stays as it is: the same fingerprint made it.

        Args:
            key: of the label.
            label: of which :attr:`codec` keeps what its ``as_stored`` gives.
            stats: numbers by name.
            quality: what :meth:`quality` shall give back.

        Raises:
            LabelStoreError: a key that is not valid, a full disk, or a folder that cannot be written.
            StaleLabelsError: meanwhile the folder holds labels of another fingerprint.
        """
        self.put(key, self.codec.encode(label), stats, quality)

    def put(self, key: str, files: Mapping[str, bytes], stats: Mapping[str, Any],
            quality: Optional[Mapping[str, Any]] = None) -> None:
        """``write`` for a label whose files are made already: their bytes by suffix."""
        paths = {suffix: self._path(key, suffix) for suffix in (*self.codec.suffixes, STATS)}
        with self._locked(self.root / key):
            if self.has(key):
                return
            if paths[STATS].exists():  # of a label that has lost a file, or damaged
                paths[STATS].unlink()
            for suffix in reversed(self.codec.suffixes):  # the one that always exists comes last
                if suffix in files:
                    write_bytes(paths[suffix], files[suffix])
                else:
                    paths[suffix].unlink(missing_ok=True)  # of a killed writer
            record: Dict[str, Any] = dict(
                made_from=digest_of(self.fingerprint),
                stats=dict(stats),
                files={suffix: digest_of_bytes(files[suffix]) for suffix in sorted(files)},
                sizes={suffix: len(files[suffix]) for suffix in sorted(files)})
            if quality is not None:
                record['quality'] = dict(quality)
            record = _plain(record)
            write_json(paths[STATS], {**record, 'digest': seal_of(record)})

    def finish(self, keys: Iterable[str], extra: Optional[Mapping[str, Any]] = None) -> None:
        """Declare the store complete with these labels and those that it was complete with before.

        Args:
            keys: labels that belong to the store, in any order.
            extra: more to keep in the manifest.

        Raises:
            LabelStoreError: a label is missing, or the disk is full.
            StaleLabelsError: meanwhile the folder holds labels of another fingerprint.
        """
        path = self.root / MANIFEST
        wanted = sorted(set(keys))
        for key in wanted:
            self._path(key, STATS)  # refuses what is not a valid key before it waits
        with self._locked(path):
            self._manifest = self._quality = None  # another process may have written new ones
            known = list(self.manifest['pairs']) if self.is_complete() else []
            missing = [key for key in wanted if not self.has(key)]
            if missing:
                raise LabelStoreError(f'{self.root}: {len(missing)} of {len(wanted)} labels are missing or not whole, '
                                      f'the first is {missing[0]!r}; run the labelling again, it goes on where it '
                                      'stopped')
            manifest = self._folded({*known, *wanted}, extra)
            write_json(path, {**manifest, 'digest': seal_of(manifest)})
            self._manifest = self._quality = None
            self._sweep(manifest['pairs'])

    def _folded(self, keys: Iterable[str], extra: Optional[Mapping[str, Any]]) -> Dict[str, Any]:
        """The manifest of these labels; what they are judged by is written to a file of its own first."""
        stats, quality = Packed(), Packed()  # there may be thousands
        soft: List[str] = []
        files: Dict[str, str] = {}
        for key in sorted(keys):
            record = self.record(key)
            stats[key] = record['stats']
            soft += [key] if len(record['files']) > 1 else []
            files.update({key + suffix: record['files'][suffix] for suffix in self.codec.suffixes
                          if suffix in record['files']})
            if record['quality'] is not None:
                quality[key] = record['quality']
        manifest: Dict[str, Any] = dict(
            format=FORMAT,
            kind=self.codec.kind,
            fingerprint=dict(sorted(self.fingerprint.items())),
            pairs=stats,
            soft=soft,  # whose labels have more than one file
            files=files,
            extra=_plain(dict(extra or {})))
        if quality:
            manifest['quality'] = write_quality(self.root / QUALITY, digest_of(self.fingerprint), quality)
        return manifest

    def _holds_nothing(self) -> bool:
        """Whether there is neither a file of a label nor a manifest; only under the lock."""
        labels = any(True for suffix in self.codec.suffixes for _ in self.root.rglob('*' + suffix))
        return not labels and not any(stats_files(self.root)) and not (self.root / MANIFEST).exists()

    @contextlib.contextmanager
    def _locked(self, path: Path) -> Iterator[None]:
        """Alone in the folder, which holds labels of this fingerprint; ``path`` is what will be written, for errors."""
        try:
            with folder_lock(self.root):
                self._check(read_fingerprint(self.root))
                yield
        except OSError as error:
            raise LabelStoreError(write_failure(path, error)) from error

    def _check(self, found: Mapping[str, str]) -> None:
        wanted = self.fingerprint
        differs = differing(found, wanted)
        if differs:
            story = told({name: f'found {found.get(name, "none")}, this run needs {wanted.get(name, "none")}'
                          for name in differs})
            raise StaleLabelsError(f'{self.root}: the labels there were made with other {story}; {REMEDY}')

    def _sweep(self, pairs: Mapping[str, Any]) -> None:
        """Remove what the manifest has taken over, and what killed writers left; only under the lock."""
        for path in list(stats_files(self.root)):
            if key_of(self.root, path) in pairs:
                path.unlink(missing_ok=True)
        if (self.root / WANTED).exists():
            (self.root / WANTED).unlink()
        remove_leftovers(self.root)


def _plain(obj: Mapping[str, Any]) -> Dict[str, Any]:
    """``obj`` as it will be read back from a file."""
    return dict(json.loads(json_bytes(obj)))
