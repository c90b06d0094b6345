"""What a label store holds, without changing it."""
from __future__ import annotations

from pathlib import Path
from typing import Any, Dict, List, Mapping, Optional, Type, TypeVar

from mmrefine.errors import LabelStoreError
from mmrefine.fileio.atomic import PathLike
from mmrefine.fileio.codecs.kinds import codec_of
from mmrefine.fileio.digest import digest_of
from mmrefine.fileio.store.index import read_label_record, read_manifest, read_wanted
from mmrefine.fileio.store.layout import (MANIFEST, QUALITY, STATS, WANTED, file_fault, key_of, kind_of, label_path,
                                          stats_files, unreadable)
from mmrefine.fileio.store.quality_file import read_quality

Reader = TypeVar('Reader', bound='LabelReader')


class LabelReader:
    """The reading half of a :class:`~mmrefine.fileio.store.label_store.LabelStore`, with the same arguments."""

    def __init__(self, root: PathLike, fingerprint: Mapping[str, str]) -> None:
        self.root = Path(root)
        self.fingerprint = dict(fingerprint)
        strange = sorted(str(name) for name, value in self.fingerprint.items()
                         if not isinstance(name, str) or not isinstance(value, str))
        if strange:
            raise ValueError(f'a fingerprint maps names to digests (str), {strange[0]} is not; use digest_of')
        self.codec = codec_of(kind_of(self.fingerprint))
        self._manifest: Optional[Dict[str, Any]] = None
        self._quality: Optional[Dict[str, Any]] = None

    @classmethod
    def open(cls: Type[Reader], root: PathLike) -> Reader:
        """The complete store at ``root``, whatever made it.

        Raises:
            LabelStoreError: nothing there, labelling has not finished, or the manifest is damaged.
        """
        root = Path(root)
        path = root / MANIFEST
        if not path.exists():
            written = sum(1 for _ in stats_files(root)) if root.is_dir() else None
            found = 'there is no such folder' if written is None else f'it holds {written} labels and no manifest.json'
            inner = next((one for one in sorted(root.glob(f'*/{MANIFEST}')) if one.is_file()), None)
            raise LabelStoreError(f'{root}: not a complete label store ({found}); ' + (
                'run the labelling to its end first, it goes on where it stopped' if inner is None else
                f'name the folder {inner.parent}, which is one'))
        manifest = read_manifest(path)
        store = cls(root, manifest['fingerprint'])
        store._manifest = manifest
        return store

    def has(self, key: str) -> bool:
        """Whether the label is whole on disk.

        Of one that no manifest has taken over yet, the files are read and compared with their digests. Those of a
        complete store were compared when it was completed, and are again when they are read.

        Raises:
            LabelStoreError: the manifest is damaged.
        """
        self._path(key, STATS)  # refuses what is not a valid key
        if self._is_folded(key):
            return True
        try:
            entry = self._entry(key)
        except LabelStoreError:  # there is none, or it is damaged: the label has to be made
            return False
        try:
            return all(_size_of(self._path(key, suffix)) == size for suffix, size in entry['sizes'].items()) and all(
                file_fault(self.codec, self.bytes_of(key, suffix), wanted) is None
                for suffix, wanted in entry['files'].items())
        except LabelStoreError:
            return False

    def read(self, key: str) -> Any:
        """The label, of the kind that the store holds.

        Raises:
            LabelStoreError: there is no such label, or one of its files is missing, damaged or not the one that was
                written.
        """
        files = {}
        for suffix, wanted in self._entry(key)['files'].items():
            data = files[suffix] = self.bytes_of(key, suffix)
            fault = file_fault(self.codec, data, wanted)
            if fault:
                raise LabelStoreError(unreadable(self._path(key, suffix), fault))
        return self.codec.decode(files, str(self.root / key))

    def stats(self, key: str) -> Dict[str, Any]:
        """The statistics that were written with the label.

        Raises:
            LabelStoreError: there is no such label, or its statistics are damaged.
        """
        return dict(self._entry(key)['stats'])

    def quality(self, key: str) -> Optional[Dict[str, Any]]:
        """What was written with the label to judge its quality; None if that is not there or damaged.

        Raises:
            LabelStoreError: there is no such label.
        """
        entry = self._entry(key)
        try:
            return entry['quality'] if 'quality' in entry else self._folded_quality().get(key)
        except LabelStoreError:
            return None

    def record(self, key: str) -> Dict[str, Any]:
        """What is known of a label: ``stats``, ``files`` (suffix -> digest) and ``quality`` (None if it has none).

        Raises:
            LabelStoreError: there is no such label, or what is known of it is damaged.
        """
        entry = self._entry(key)
        return {**entry, 'quality': entry['quality'] if 'quality' in entry else self._folded_quality().get(key)}

    def size_of(self, key: str) -> int:
        """Bytes of all files of a label; 0 if there is no such label."""
        return sum(_size_of(self._path(key, suffix)) or 0 for suffix in (*self.codec.suffixes, STATS))

    def bytes_of(self, key: str, suffix: str) -> bytes:
        """A file of the label as it lies on disk.

        Raises:
            LabelStoreError: it cannot be read.
        """
        path = self._path(key, suffix)
        try:
            return path.read_bytes()
        except OSError as error:
            raise LabelStoreError(unreadable(path, error)) from error

    def expected(self) -> Optional[Dict[str, Any]]:
        """What :meth:`expect` noted; None if nothing, or if the store is complete.

        Raises:
            LabelStoreError: the note is damaged.
        """
        path = self.root / WANTED
        return read_wanted(path) if path.exists() else None

    def is_complete(self) -> bool:
        """Whether labelling came to its end, with this fingerprint.

        Raises:
            LabelStoreError: the manifest is damaged.
        """
        if self._manifest is None:
            path = self.root / MANIFEST
            if not path.exists():
                return False
            manifest = read_manifest(path)
            if manifest['fingerprint'] != self.fingerprint:
                return False
            self._manifest = manifest
        return True

    @property
    def manifest(self) -> Dict[str, Any]:
        """``kind``, ``fingerprint``, ``pairs`` (key -> statistics), ``files`` (key and suffix -> digest), ``extra``.

        Raises:
            LabelStoreError: the store is not complete.
        """
        if not self.is_complete():
            raise LabelStoreError(f'{self.root}: not a complete label store with this fingerprint, so it has no '
                                  'manifest; run the labelling to its end first')
        assert self._manifest is not None
        return self._manifest

    def keys(self) -> List[str]:
        """The keys of all labels, sorted; of an unfinished store those that were whole once, see :meth:`has`."""
        if self.is_complete():
            return list(self.manifest['pairs'])
        return sorted(key_of(self.root, path) for path in stats_files(self.root))

    def _folded_quality(self) -> Dict[str, Any]:
        """What judges the labels of the manifest, by key; nothing if nothing was written."""
        if self._quality is None:
            path = self.root / QUALITY
            self._quality = read_quality(path, self._made_from) if path.exists() else {}
        return self._quality

    @property
    def _made_from(self) -> str:
        return digest_of(self.fingerprint)

    def _is_folded(self, key: str) -> bool:
        """Whether the manifest has taken the label over."""
        return self.is_complete() and key in self.manifest['pairs']

    def _path(self, key: str, suffix: str) -> Path:
        return label_path(self.root, key, suffix, self.codec.suffixes)

    def _entry(self, key: str) -> Dict[str, Any]:
        """``stats`` and ``files`` of a whole label; until it is folded ``sizes``, and ``quality`` if there is any."""
        path = self._path(key, STATS)
        if not self._is_folded(key):
            try:
                if path.exists():
                    return read_label_record(path, self._made_from)
            except LabelStoreError:
                if path.exists():
                    raise
            if not self._is_folded(key):  # else another process has just done it
                raise LabelStoreError(f'{self.root}: has no label {key!r}; run the labelling to its end first')
        digests = self.manifest['files']
        files = {suffix: digests[key + suffix] for suffix in self.codec.suffixes if key + suffix in digests}
        return {'stats': self.manifest['pairs'][key], 'files': files}


def _size_of(path: Path) -> Optional[int]:
    """Bytes of a file; None if it is not there."""
    try:
        return path.stat().st_size
    except OSError:
        return None
