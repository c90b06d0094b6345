"""A label as the bytes of its files, and back."""
from __future__ import annotations

from typing import TYPE_CHECKING, Dict, List, Optional, Tuple

import numpy as np

from mmrefine.fileio.flow_io import can_be_said, decode_png, encode_kitti, round_kitti
from mmrefine.fileio.png import pack_png
from mmrefine.fileio.store.layout import FLOW, WEIGHT

if TYPE_CHECKING:
    from mmrefine.structures import FlowLabel

__all__ = ['as_stored', 'decode_weight', 'encode_label', 'label_of']

# Weights of 255. A label that has no more than this many different ones (a mask with a floor, say) keeps them all; of any other each
# becomes the nearest step, 2/15 apart and closer near 0: what four of five bytes of the weights told was less than anybody knows.
# The motion of the pixels that are hardly believed at all is the wildest, and no student would notice them.
MANY = 16
STEPS = (2, 6, *range(17, 256, 34))
LEAST_OF_MANY = np.float32(1 / 255)
# Weights take room, which packing both files harder gives back, at four times the cost of writing.
PACKING_WITH_WEIGHTS = 7


def encode_label(label: FlowLabel) -> Dict[str, bytes]:
    """The files of a label by their suffixes: flow and valid pixels, and weights if some are neither 0 nor 1."""
    flow, weight8 = _arrays(label)
    if set(_values(weight8)) <= {0, 255}:
        return {FLOW: encode_kitti(flow, weight8 > 0, bridge=True)}
    packing = PACKING_WITH_WEIGHTS
    return {FLOW: encode_kitti(flow, weight8 > 0, packing, bridge=True), WEIGHT: pack_png(weight8, packing)}


def as_stored(label: FlowLabel) -> FlowLabel:
    """What a store that is given ``label`` will give back, to the bit."""
    flow, weight8 = _arrays(label)
    return label_of(*round_kitti(flow, weight8 > 0), weight8)


def label_of(flow: np.ndarray, valid: np.ndarray, weight8: Optional[np.ndarray] = None) -> FlowLabel:
    """The label whose files say this.

    Args:
        flow: ``(H, W, 2)`` px, 0 where it is not valid.
        valid: bool ``(H, W)``.
        weight8: uint8 ``(H, W)``, 255 for 1; None: 1 where ``valid``.
    """
    import torch  # here, as stores are merged and checked without it

    from mmrefine.structures import FlowLabel
    weight = valid.astype(np.float32) if weight8 is None else np.divide(weight8 * valid, np.float32(255), dtype=np.float32)
    return FlowLabel(torch.from_numpy(flow).permute(2, 0, 1), torch.from_numpy(weight)[None])


def decode_weight(data: bytes, size: Tuple[int, int]) -> np.ndarray:
    """A file of weights: uint8 ``(H, W)``, 255 for 1.

    Raises:
        ValueError: damaged, or not an 8-bit grey PNG of that size.
    """
    weight8 = decode_png(data)
    if weight8.shape != size or weight8.dtype != np.uint8:
        raise ValueError(f'the weights of a label of {size} are an 8-bit grey PNG of that size')
    return weight8


def _arrays(label: FlowLabel) -> Tuple[np.ndarray, np.ndarray]:
    """The motion ``(H, W, 2)`` px, and the weight uint8 ``(H, W)`` as it is stored, 255 for 1."""
    flow, weight = label.flow.permute(1, 2, 0).cpu().numpy(), label.weight[0].cpu().numpy()
    # believed a little is still believed: only 0 stays 0
    weight8 = np.where(weight > 0, np.rint(weight * 255).clip(min=1), 0).astype(np.uint8)
    weight8 *= can_be_said(flow)
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
