"""Load the motion of a pair: a pseudo-label, or ground truth."""
from __future__ import annotations

from pathlib import Path
from typing import Any, Dict, List, Optional, Tuple, Union

import numpy as np
from mmcv.transforms import BaseTransform

from mmrefine.errors import ConfigError, InputError, LabelStoreError
from mmrefine.fileio.flow_io import read_flow
from mmrefine.fileio.images import read_mask
from mmrefine.fileio.store.label_store import LabelStore
from mmrefine.registry import TRANSFORMS


class StoreReader:
    """Reads the labels of samples out of a label store, which is opened at the first read, and again when another round
    of labelling has rewritten it.

    Args:
        reader: the transform that reads, for messages.
        root: folder of the store. None: the ``labels`` of each sample.
    """

    def __init__(self, reader: str, root: Optional[Union[str, Path]] = None) -> None:
        self.reader, self.root = reader, root
        self._opened: Optional[LabelStore] = None
        self._stamp: Optional[Tuple[Any, ...]] = None

    def __getstate__(self) -> Dict[str, Any]:
        return {**self.__dict__, '_opened': None}

    def read(self, results: Dict[str, Any]) -> Tuple[Path, Any]:
        """The root of the store and the label of ``results['key']``.

        Raises:
            ConfigError: nobody says where the labels are.
            LabelStoreError: the store is not complete, or lacks this label.
        """
        key = results['key']
        root = self.root if self.root is not None else results.get('labels')
        if root is None:
            raise ConfigError(f'{key}: {self.reader} has no label store; set {self.reader}.store or the labels of the '
                              'dataset')
        store = self._open(Path(root))
        if not store.has(key):
            raise LabelStoreError(f'{root}: there is no label for {key}; label with the same data_root, scenes, step '
                                  'and directions as you train, or leave its scene out')
        return Path(root), store.read(key)

    def _open(self, root: Path) -> LabelStore:
        manifest = root / 'manifest.json'
        stamp: Optional[Tuple[Any, ...]] = None
        if manifest.exists():
            status = manifest.stat()
            stamp = (root, status.st_ino, status.st_mtime_ns)
        if self._opened is None or stamp is None or stamp != self._stamp:
            self._opened, self._stamp = LabelStore.open(root), stamp
        return self._opened


@TRANSFORMS.register_module()
class LoadLabel(BaseTransform):
    """Read the pair's pseudo-label from a complete label store; the store is opened at the first read.

    Required keys: frame1, key; labels, unless ``store`` is given. Added keys: flow ``(H, W, 2)`` float32 px, weight
    ``(H, W, 1)`` float32 in [0, 1].

    Args:
        store: root folder of the store. None: the ``labels`` of the dataset.

    Raises:
        ConfigError: neither says where the labels are.
        LabelStoreError: the store is not complete, lacks this pair, or holds a label of another size.
    """

    def __init__(self, store: Optional[Union[str, Path]] = None) -> None:
        self.reader = StoreReader('LoadLabel', store)

    def transform(self, results: Dict[str, Any]) -> Dict[str, Any]:
        """Add flow and weight of the pair ``results['key']``."""
        root, label = self.reader.read(results)
        key = results['key']
        size, wanted = tuple(label.flow.shape[-2:]), results['frame1'].shape[:2]
        if size != wanted:
            raise LabelStoreError(f'{root}: the label of {key} is {size[0]}x{size[1]} (height x width), its frames are '
                                  f'{wanted[0]}x{wanted[1]}; make the labels again from these frames')
        return {**results, 'flow': label.flow.permute(1, 2, 0).numpy(), 'weight': label.weight.permute(1, 2, 0).numpy()}


@TRANSFORMS.register_module()
class LoadTruth(BaseTransform):
    """Read the pair's ground truth; where it is unknown, weight and flow are 0.

    Spring's truth has four sub-pixels for each pixel of its frames; the flow is that of the upper left one, as in its
    authors' loader.

    Required keys: frame1, key, truth. Optional keys: region_files. Added keys: flow ``(H, W, 2)`` float32 px, weight
    ``(H, W, 1)`` float32, 0 or 1. With ``benchmark`` also: regions, a dict of ``(H, W)`` bool, those of
    occluded, invalid, noc, foreground, … that the data set has; and, where the truth has sub-pixels, subpixel_flow
    ``(4, H, W, 2)`` float32 px, nan where unknown. Augmentations leave these two unchanged.

    Args:
        required: whether a pair without truth is an error. If not, the pair passes through without flow and weight.
        benchmark: also read what only the scores of the benchmarks need (docs/metrics.md).

    Raises:
        InputError: no truth where it is required, or truth or a region of another size than the frames.
    """

    def __init__(self, required: bool = True, benchmark: bool = False) -> None:
        self.required = required
        self.benchmark = benchmark

    def transform(self, results: Dict[str, Any]) -> Dict[str, Any]:
        """Add flow and weight of the file ``results['truth']``."""
        key, path = results['key'], results.get('truth')
        if path is None:
            if self.required:
                raise InputError(f'{key}: there is no ground truth for this pair, and LoadTruth.required is True; set '
                                 'the truth_root of the dataset, choose scenes that have truth, or set required=False')
            return results
        flow, valid = read_flow(path)
        wanted = results['frame1'].shape[:2]
        more: Dict[str, Any] = {}
        if Path(path).suffix == '.flo5' and flow.shape[:2] == (2 * wanted[0], 2 * wanted[1]):
            if self.benchmark:
                more['subpixel_flow'] = np.stack(_subpixels(np.where(valid[..., None], flow, np.float32(np.nan))))
            flow, valid = flow[::2, ::2], valid[::2, ::2]
        if flow.shape[:2] != wanted:
            raise InputError(f'{path}: the ground truth of {key} is {flow.shape[0]}x{flow.shape[1]} (height x width), '
                             f'its frames are {wanted[0]}x{wanted[1]}; check that truth_root belongs to data_root')
        if self.benchmark:
            files = results.get('region_files', {})
            more['regions'] = {name: _read_region(name, file, wanted, key) for name, file in files.items()}
        return {**results, 'flow': flow, 'weight': valid[..., None].astype(np.float32), **more}


def _read_region(name: str, path: Path, size: Tuple[int, int], key: str) -> np.ndarray:
    """Where a region is, ``(H, W)`` bool."""
    # noc is a flow of its own that has truth at fewer pixels; all others are masks
    region = read_flow(path)[1] if name == 'noc' else read_mask(path)
    if region.shape == (2 * size[0], 2 * size[1]):
        # Spring draws some maps with sub-pixels: a pixel belongs to what at least half of its four do
        region = np.mean(_subpixels(region), axis=0) >= 0.5
    if region.shape != size:
        raise InputError(f'{path}: {name} of {key} is {region.shape[0]}x{region.shape[1]} (height x width), its frames '
                         f'are {size[0]}x{size[1]}; download the ground truth again')
    return region


def _subpixels(image: np.ndarray) -> List[np.ndarray]:
    """The four pixels of each pixel of half the size."""
    return [image[y::2, x::2] for y in (0, 1) for x in (0, 1)]
