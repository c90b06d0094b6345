"""Load the tracks of a clip: pseudo-labels, or ground truth."""
from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any, Dict, Optional, Union

import numpy as np
from mmcv.transforms import BaseTransform

from mmrefine.datasets.transforms.loaders import StoreReader
from mmrefine.errors import InputError, LabelStoreError
from mmrefine.fileio.codecs.tracks import read_tracks
from mmrefine.registry import TRANSFORMS
from mmrefine.structures import Tracks

_read = lru_cache(maxsize=256)(read_tracks)  # one file serves all clips of its scene


@TRANSFORMS.register_module()
class LoadTracks(BaseTransform):
    """Read the clip's tracks from a complete label store; the store is opened at the first read.

    Required keys: frames, key; labels, unless ``store`` is given. Added keys: tracks ``(N, T, 2)`` float32 px, visible
    bool ``(N, T)``.

    Args:
        store: root folder of the store. None: the ``labels`` of the dataset.

    Raises:
        ConfigError: neither says where the labels are.
        LabelStoreError: the store is not complete, lacks this clip, or holds tracks of another size.
    """

    def __init__(self, store: Optional[Union[str, Path]] = None) -> None:
        self.reader = StoreReader('LoadTracks', store)

    def transform(self, results: Dict[str, Any]) -> Dict[str, Any]:
        """Add the tracks of the clip ``results['key']``."""
        root, label = self.reader.read(results)
        height, width = results['frames'][0].shape[:2]
        found = (*label.size, label.points.shape[1])
        wanted = (height, width, len(results['frames']))
        if found != wanted:
            raise LabelStoreError(f'{root}: the tracks of {results["key"]} are of {found[2]} frames of '
                                  f'{found[0]}x{found[1]} px (height x width), the clip has {wanted[2]} of '
                                  f'{wanted[0]}x{wanted[1]}; make the labels again from these frames')
        return {**results, 'tracks': label.points.numpy(), 'visible': label.visible.numpy() > 0.5}


@TRANSFORMS.register_module()
class LoadTrackTruth(BaseTransform):
    """Read the tracks of the clip's scene, and take those that are seen in the clip's first frame and known in all of
    its frames.

    Required keys: frames, key, truth (a file of tracks, or None), numbers. Added keys: tracks ``(N, T, 2)`` float32 px,
    visible bool ``(N, T)``.

    Raises:
        InputError: no truth, or truth of other frames.
    """

    def transform(self, results: Dict[str, Any]) -> Dict[str, Any]:
        """Add the tracks of the file ``results['truth']``."""
        key, path = results['key'], results.get('truth')
        if path is None:
            raise InputError(f'{key}: there are no true tracks for this clip; set the truth_root of the dataset')
        every: Tracks = _read(path)
        numbers, size = np.array(results['numbers']), results['frames'][0].shape[:2]
        if tuple(every.size) != tuple(size) or numbers.max() >= every.points.shape[1]:
            raise InputError(f'{path}: the tracks are of {every.points.shape[1]} frames of '
                             f'{every.size[0]}x{every.size[1]} px (height x width), and {key} needs frame '
                             f'{numbers.max()} of {size[0]}x{size[1]}; check that truth_root belongs to data_root')
        points, visible = every.points.numpy()[:, numbers], every.visible.numpy()[:, numbers] > 0.5
        usable = visible[:, 0] & np.isfinite(points).all(axis=(1, 2))
        return {**results, 'tracks': points[usable], 'visible': visible[usable]}
