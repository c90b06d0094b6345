"""Labels on disk, in a layout that any toolbox reads.

::

    <root>/fingerprint.json                  what the labels were made from; written first
    <root>/<scene>/<frame1>__<frame2>.png          flow and valid pixels, KITTI's 16-bit layout
    <root>/<scene>/<frame1>__<frame2>.weight.png   8-bit weights, only if some are neither 0 nor 1
    <root>/<scene>/<frame1>__<frame2>.json         statistics; written last, so it says that the label is whole
    <root>/manifest.json                     fingerprint and all statistics; says that the store is complete

Each file appears whole or not at all and depends on its label alone. Therefore any number of processes can write disjoint
keys at once, a killed run goes on where it was, and the finished folder is the same to the byte. ``finish`` folds the
statistics into the manifest and removes their files.
"""
from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, Dict, Iterable, Iterator, List, Mapping, Optional, Tuple

import cv2
import numpy as np
import torch

from mmrefine.errors import LabelStoreError, StaleLabelsError
from mmrefine.structures import FlowLabel

from .atomic import TEMP_PREFIX, PathLike, remove_leftovers, write_bytes, write_failure, write_json
from .flow_io import decode_kitti, encode_kitti
from .images import find_damage

__all__ = ['LabelStore']

FORMAT = 'mmrefine-labels/1'
_REMEDY = 'delete the folder, or set the store to a new one'
_MAX_NAME = 255 - len('.weight.png')  # bytes, on every common file system


class LabelStore:
    """Flow labels under ``root``, made from what ``fingerprint`` names.

    A key is ``scene/frame1__frame2``; the scene may have several parts. Flow is kept to the nearest 1/64 px (so to ±1/128 px),
    weight to the nearest 1/255, but never rounded to 0. Motion beyond ±511 px gets weight 0, as KITTI's layout cannot say it.

    Args:
        root: the folder; it need not exist yet.
        fingerprint: what the labels depend on (teacher weights, labeler config, frames, …) -> its digest.
    """

    def __init__(self, root: PathLike, fingerprint: Mapping[str, str]) -> None:
        self.root = Path(root)
        self.fingerprint = dict(fingerprint)
        strange = sorted(str(name) for name, value in self.fingerprint.items()
                         if not isinstance(name, str) or not isinstance(value, str))
        if strange:
            raise ValueError(f'a fingerprint maps names to digests (str), {strange[0]} is not; use digest_of')
        self._manifest: Optional[Dict[str, Any]] = None

    @classmethod
    def open(cls, root: PathLike) -> 'LabelStore':
        """The complete store at ``root``, whatever made it.

        Raises:
            LabelStoreError: nothing there, or labelling has not come to its end.
        """
        root = Path(root)
        path = root / 'manifest.json'
        if not path.exists():
            written = sum(1 for _ in _stats_files(root)) if root.is_dir() else None
            found = 'there is no such folder' if written is None else f'it holds {written} labels and no manifest.json'
            raise LabelStoreError(f'{root}: not a complete label store ({found}); '
                                  'run the labelling to its end first, it goes on where it stopped')
        manifest = _read_json(path, 'fingerprint', 'pairs', 'soft')
        store = cls(root, manifest['fingerprint'])
        store._manifest = manifest
        return store

    def create(self) -> None:
        """Make the folder, or make sure that the labels in it are from the same fingerprint. Any process may call it.

        Raises:
            StaleLabelsError: the labels there are from something else.
            LabelStoreError: the folder holds other things, or cannot be written.
        """
        path = self.root / 'fingerprint.json'
        try:
            if not path.exists():
                entries = list(self.root.iterdir()) if self.root.exists() else []
                alien = sorted(entry.name for entry in entries if not entry.name.startswith('.'))
                if alien and not path.exists():  # looked at twice: another process may have begun in between
                    raise LabelStoreError(f'{self.root}: the folder is not empty ({alien[0]}, …) and has no '
                                          'fingerprint.json, so it is no label store; set the store to a new folder')
                if not alien:
                    write_json(path, dict(sorted(self.fingerprint.items())))
        except OSError as error:
            raise LabelStoreError(write_failure(path, error)) from error
        self._check(_read_json(path))
        if self.is_complete():  # nobody writes any more; what a killed finish() left can go
            self._sweep(self.manifest['pairs'])

    def has(self, key: str) -> bool:
        """Whether the label is whole on disk."""
        if self._path(key, '.json').exists():
            return True
        return self.is_complete() and key in self.manifest['pairs']

    def write(self, key: str, label: FlowLabel, stats: Mapping[str, Any]) -> None:
        """Put a label and its statistics on disk; ``has(key)`` holds from the moment that all of it is there.

        Raises:
            LabelStoreError: a key that is no key, a full disk, or a folder that cannot be written.
        """
        flow = label.flow.permute(1, 2, 0).cpu().numpy()
        weight = label.weight[0].cpu().numpy()
        # believed a little is still believed: only 0 stays 0
        weight8 = np.where(weight > 0, np.rint(weight * 255).clip(min=1), 0).astype(np.uint8)
        soft = bool(((weight8 > 0) & (weight8 < 255)).any())
        weight_path, stats_path = self._path(key, '.weight.png'), self._path(key, '.json')
        try:
            stats_path.unlink(missing_ok=True)  # while it is replaced, a label is not whole
            if soft:
                write_bytes(weight_path, cv2.imencode('.png', weight8)[1].tobytes())
            else:
                weight_path.unlink(missing_ok=True)
            write_bytes(self._path(key, '.png'), encode_kitti(flow, weight8 > 0))
            write_json(stats_path, {'stats': dict(stats), 'soft': soft})
        except OSError as error:
            raise LabelStoreError(write_failure(self.root / key, error)) from error

    def read(self, key: str) -> FlowLabel:
        """The label: flow ``(2, H, W)`` px, 0 where ``weight`` ``(1, H, W)`` is 0.

        Raises:
            LabelStoreError: there is no such label, or one of its files is missing or damaged.
        """
        if not self.has(key):
            raise LabelStoreError(f'{self.root}: has no label {key!r}; run the labelling to its end first')
        path = self._path(key, '.png')
        try:
            flow, valid = decode_kitti(path.read_bytes())
            weight = torch.from_numpy(valid).float()[None]
            if self._is_soft(key):
                path = self._path(key, '.weight.png')
                weight = weight * torch.from_numpy(_decode_weight(path.read_bytes(), valid.shape))
        except (OSError, ValueError) as error:
            raise LabelStoreError(f'{path}: the label cannot be read ({error}); {_REMEDY}, and label again') from error
        return FlowLabel(torch.from_numpy(flow).permute(2, 0, 1), weight)

    def stats(self, key: str) -> Dict[str, Any]:
        """The statistics that were written with the label.

        Raises:
            LabelStoreError: there is no such label, or its statistics are damaged.
        """
        if not self.has(key):
            raise LabelStoreError(f'{self.root}: has no label {key!r}; run the labelling to its end first')
        path = self._path(key, '.json')
        found = _read_json(path, 'stats', 'soft')['stats'] if path.exists() else self.manifest['pairs'][key]
        return dict(found)

    def finish(self, keys: Iterable[str], extra: Optional[Mapping[str, Any]] = None) -> None:
        """Declare the store complete. One process calls it, after all the others are done.

        Args:
            keys: all labels that belong to the store, in any order.
            extra: more to keep in the manifest.

        Raises:
            LabelStoreError: a label is missing, or the disk is full.
        """
        keys = sorted(set(keys))
        known = self.manifest if self.is_complete() else {'pairs': {}, 'soft': []}
        pairs, soft = {}, []
        missing = [key for key in keys if not self.has(key)]
        if missing:
            raise LabelStoreError(f'{self.root}: {len(missing)} of {len(keys)} labels are missing, the first is '
                                  f'{missing[0]!r}; run the labelling again, it goes on where it stopped')
        for key in keys:
            path = self._path(key, '.json')
            if path.exists():
                entry = _read_json(path, 'stats', 'soft')
            else:
                entry = {'stats': known['pairs'][key], 'soft': key in known['soft']}
            pairs[key] = entry['stats']
            if entry['soft']:
                soft.append(key)
        manifest = {'format': FORMAT, 'fingerprint': dict(sorted(self.fingerprint.items())),
                    'pairs': pairs, 'soft': soft, 'extra': dict(extra or {})}  # yapf: disable
        path = self.root / 'manifest.json'
        try:
            write_json(path, manifest)
            self._manifest = None
            self._sweep(pairs)
        except OSError as error:
            raise LabelStoreError(write_failure(path, error)) from error

    def is_complete(self) -> bool:
        """Whether labelling came to its end, with this fingerprint."""
        if self._manifest is None:
            path = self.root / 'manifest.json'
            if not path.exists():
                return False
            manifest = _read_json(path, 'fingerprint', 'pairs', 'soft')
            if manifest['fingerprint'] != self.fingerprint:
                return False
            self._manifest = manifest
        return True

    @property
    def manifest(self) -> Dict[str, Any]:
        """``fingerprint``, ``pairs`` (key -> statistics, sorted), ``soft`` (keys with a weight file) and ``extra``.

        Raises:
            LabelStoreError: the store is not complete.
        """
        if not self.is_complete():
            raise LabelStoreError(f'{self.root}: not a complete label store with this fingerprint, so it has no '
                                  'manifest; run the labelling to its end first')
        assert self._manifest is not None
        return self._manifest

    def keys(self) -> List[str]:
        """The keys of all whole labels, sorted."""
        if self.is_complete():
            return list(self.manifest['pairs'])
        return sorted(_key_of(self.root, path) for path in _stats_files(self.root))

    def _path(self, key: str, suffix: str) -> Path:
        """Where a file of the label lies: always below ``root``, whatever the user's files are called."""
        parts = key.split('/')
        if len(parts) < 2 or any(part in ('', '.', '..') for part in parts) or '\0' in key:
            raise LabelStoreError(f'{self.root}: {key!r} is no label key; a key is scene/frame1__frame2, '
                                  'without empty parts, "." and ".."')
        if parts[-1].endswith('.weight') or any(part.startswith(TEMP_PREFIX) for part in parts):
            raise LabelStoreError(f'{self.root}: {key!r} clashes with the names of the store\'s own files; '
                                  'rename that frame')
        longest = max(len(os.fsencode(part)) for part in parts)
        if longest > _MAX_NAME:
            raise LabelStoreError(f'{self.root}: the key {key!r} has a name of {longest} bytes, a file may have '
                                  f'{_MAX_NAME} beside its suffix; shorten the names of the frames')
        return self.root.joinpath(*parts[:-1], parts[-1] + suffix)

    def _is_soft(self, key: str) -> bool:
        path = self._path(key, '.json')
        if path.exists():
            return bool(_read_json(path, 'stats', 'soft')['soft'])
        return key in self.manifest['soft']

    def _check(self, found: Mapping[str, str]) -> None:
        wanted = self.fingerprint
        differs = sorted(name for name in {*found, *wanted} if found.get(name) != wanted.get(name))
        if differs:
            story = ', '.join(f'{name} (found {found.get(name, "none")}, this run needs {wanted.get(name, "none")})'
                              for name in differs)
            raise StaleLabelsError(f'{self.root}: the labels there were made with other {story}; {_REMEDY}')

    def _sweep(self, pairs: Mapping[str, Any]) -> None:
        """Remove what the manifest has taken over, and what killed writers left."""
        for path in list(_stats_files(self.root)):
            if _key_of(self.root, path) in pairs:
                path.unlink(missing_ok=True)
        remove_leftovers(self.root)


def _stats_files(root: Path) -> Iterator[Path]:
    return (path for path in root.rglob('*.json') if path.parent != root)


def _key_of(root: Path, stats_file: Path) -> str:
    return stats_file.relative_to(root).as_posix()[:-len('.json')]


def _read_json(path: Path, *wanted: str) -> Dict[str, Any]:
    """A JSON object of our own that has the wanted keys."""
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise LabelStoreError(f'{path}: cannot be read ({error}); {_REMEDY}, and label again') from error
    if not isinstance(found, dict) or not found.keys() >= set(wanted):
        raise LabelStoreError(f'{path}: is not from a label store (wanted an object with '
                              f'{", ".join(wanted) or "digests"}); {_REMEDY}, and label again')
    return found


def _decode_weight(data: bytes, size: Tuple[int, int]) -> np.ndarray:
    damage = find_damage(data)
    if damage is not None:
        raise ValueError(damage)
    weight = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if weight is None or weight.shape != size or weight.dtype != np.uint8:
        raise ValueError(f'the weights of a label of {size} are an 8-bit grey PNG of that size')
    return weight[None].astype(np.float32) / np.float32(255)
