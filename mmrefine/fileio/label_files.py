"""A label as the bytes of its files, and back."""
from __future__ import annotations

from typing import Dict, Tuple

import cv2
import numpy as np
import torch

from mmrefine.structures import FlowLabel

from .flow_io import PNG_PARAMS, encode_kitti, round_kitti
from .images import find_damage
from .store_files import FLOW, WEIGHT

__all__ = ['as_stored', 'decode_weight', 'encode_label']


def encode_label(label: FlowLabel) -> Dict[str, bytes]:
    """The files of a label by their suffixes: flow and valid pixels, and weights if some are neither 0 nor 1."""
    flow, weight8 = _arrays(label)
    files = {FLOW: encode_kitti(flow, weight8 > 0)}
    if ((weight8 > 0) & (weight8 < 255)).any():
        files[WEIGHT] = cv2.imencode('.png', weight8, PNG_PARAMS)[1].tobytes()
    return files


def as_stored(label: FlowLabel) -> FlowLabel:
    """What a store that is given ``label`` will give back, to the bit."""
    flow, weight8 = _arrays(label)
    rounded, valid = round_kitti(flow, weight8 > 0)
    return FlowLabel(torch.from_numpy(rounded).permute(2, 0, 1), torch.from_numpy(valid * _weight_of(weight8)))


def decode_weight(data: bytes, size: Tuple[int, int]) -> np.ndarray:
    """A file of weights: ``(1, H, W)`` float32 in [0, 1].

    Raises:
        ValueError: damaged, or not an 8-bit grey PNG of that size.
    """
    damage = find_damage(data)
    if damage is not None:
        raise ValueError(damage)
    weight = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if weight is None or weight.shape != size or weight.dtype != np.uint8:
        raise ValueError(f'the weights of a label of {size} are an 8-bit grey PNG of that size')
    return _weight_of(weight)


def _weight_of(weight8: np.ndarray) -> np.ndarray:
    """Weights ``(H, W)`` as they are stored, uint8, as ``(1, H, W)`` float32 in [0, 1]."""
    return weight8[None].astype(np.float32) / np.float32(255)


def _arrays(label: FlowLabel) -> Tuple[np.ndarray, np.ndarray]:
    """The motion ``(H, W, 2)`` px, and the weight ``(H, W)`` as it is stored, 255 for 1."""
    weight = label.weight[0].cpu().numpy()
    # believed a little is still believed: only 0 stays 0
    weight8 = np.where(weight > 0, np.rint(weight * 255).clip(min=1), 0).astype(np.uint8)
    return label.flow.permute(1, 2, 0).cpu().numpy(), weight8
