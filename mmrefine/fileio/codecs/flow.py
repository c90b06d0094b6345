"""Flow labels as the bytes of their files, and back."""
from __future__ import annotations

from typing import TYPE_CHECKING, Dict, List, Mapping, Optional, Tuple

import numpy as np

from mmrefine.errors import LabelStoreError
from mmrefine.fileio.codecs.kinds import register_codec
from mmrefine.fileio.flow_io import decode_kitti, decode_png, encode_kitti, fits_kitti, round_kitti
from mmrefine.fileio.images import find_damage
from mmrefine.fileio.png import SIGNATURE, pack_png
from mmrefine.fileio.store.layout import unreadable

if TYPE_CHECKING:
    from mmrefine.structures import FlowLabel

FLOW, WEIGHT = '.png', '.weight.png'

# Weights of 255. A label that has no more than this many different ones (a mask with a floor, say) keeps them all; of
# any other each becomes the nearest step, 2/15 apart and closer near 0: finer steps take four of five bytes and tell
# more than anybody knows of a weight. The motion of pixels that are hardly believed is the wildest, and no student
# would notice them.
MANY = 16
STEPS = (2, 6, *range(17, 256, 34))
LEAST_OF_MANY = np.float32(1 / 255)
# Weights take room, which packing both files harder gives back, at four times the cost of writing.
PACKING_WITH_WEIGHTS = 7


class FlowCodec:
    """Flow labels: a 16-bit PNG in KITTI's layout, and an 8-bit PNG of the weights if some are neither 0 nor 1.

    Flow is kept to the nearest 1/64 px (so to ±1/128 px). Up to 16 different weights of a label are kept to the nearest
    1/255, and none becomes 0. Of a label with more, each weight becomes the nearest of 2/255, 6/255, 1/15, 3/15, 5/15 …
    1, so it is at most 0.07 off and by no more than a factor of 2; below 1/255 it becomes 0. Motion beyond ±511 px gets
    weight 0, as KITTI's layout cannot hold it.
    """
    kind = 'flow'
    suffixes = (FLOW, WEIGHT)

    def encode(self, label: FlowLabel) -> Dict[str, bytes]:
        """The bytes of each file, by suffix."""
        flow, weight8 = _arrays(label)
        if set(_values(weight8)) <= {0, 255}:
            return {FLOW: encode_kitti(flow, weight8 > 0, bridge=True)}
        packing = PACKING_WITH_WEIGHTS
        return {FLOW: encode_kitti(flow, weight8 > 0, packing, bridge=True), WEIGHT: pack_png(weight8, packing)}

    def decode(self, files: Mapping[str, bytes], name: str) -> FlowLabel:
        """The label: flow ``(2, H, W)`` px, 0 where ``weight`` ``(1, H, W)`` is 0.

        Raises:
            LabelStoreError: one of the files is damaged; names it as ``name`` and its suffix.
        """
        suffix = FLOW
        try:
            flow, valid = decode_kitti(files[FLOW])
            suffix = WEIGHT
            return _label_of(flow, valid, _decode_weight(files[WEIGHT], valid.shape) if WEIGHT in files else None)
        except ValueError as error:
            raise LabelStoreError(unreadable(f'{name}{suffix}', error)) from error

    def as_stored(self, label: FlowLabel) -> FlowLabel:
        """What :meth:`decode` gives back of a label, to the bit, without packing it."""
        flow, weight8 = _arrays(label)
        return _label_of(*round_kitti(flow, weight8 > 0), weight8)

    def damage(self, data: bytes) -> Optional[str]:
        """What the checksums inside a PNG say is wrong with it; None if nothing is."""
        return find_damage(data) if data.startswith(SIGNATURE) else f'is not a PNG, it has {len(data)} bytes'


def _label_of(flow: np.ndarray, valid: np.ndarray, weight8: Optional[np.ndarray]) -> FlowLabel:
    """The label of a motion ``(H, W, 2)`` px, 0 where not valid, and of weights, uint8; None: 1 where valid."""
    import torch  # here, as stores are merged and checked without it

    from mmrefine.structures import FlowLabel
    weight = valid.astype(np.float32)
    if weight8 is not None:
        weight = np.divide(weight8 * valid, np.float32(255), dtype=np.float32)
    return FlowLabel(torch.from_numpy(flow).permute(2, 0, 1), torch.from_numpy(weight)[None])


def _decode_weight(data: bytes, size: Tuple[int, int]) -> np.ndarray:
    """A file of weights: uint8 ``(H, W)``, 255 for 1."""
    weight8 = decode_png(data)
    if weight8.shape != size or weight8.dtype != np.uint8:
        raise ValueError(f'the weights of a label of {size} are an 8-bit grey PNG of that size')
    return weight8


def _arrays(label: FlowLabel) -> Tuple[np.ndarray, np.ndarray]:
    """The motion ``(H, W, 2)`` px, and the weight uint8 ``(H, W)`` as it is stored, 255 for 1."""
    flow, weight = label.flow.permute(1, 2, 0).cpu().numpy(), label.weight[0].cpu().numpy()
    # believed a little is still believed: only 0 stays 0
    weight8 = np.where(weight > 0, np.rint(weight * 255).clip(min=1), 0).astype(np.uint8)
    weight8 *= fits_kitti(flow)
    if len(_values(weight8)) > MANY:
        weight8 = _NEAREST_STEP[weight8]
        weight8 *= weight >= LEAST_OF_MANY
    return flow, weight8


def _values(weight8: np.ndarray) -> List[int]:
    """The different values, rising."""
    return np.flatnonzero(np.bincount(weight8.ravel(), minlength=256)).tolist()


def _nearest_steps() -> np.ndarray:
    """The step of each of the 256 weights, of two that are equally near the greater."""
    steps, weights = np.array(STEPS[::-1]), np.arange(256)
    nearest = steps[np.abs(weights[:, None] - steps).argmin(axis=1)]
    return np.where(weights > 0, nearest, 0).astype(np.uint8)


_NEAREST_STEP = _nearest_steps()

register_codec(FlowCodec())
