"""Geometric transforms of a frame pair together with its flow: resize, crop, mirror."""
from __future__ import annotations

from typing import Any, Dict, Optional, Tuple

import numpy as np
import torch

from mmrefine.geometry import resize

# Below this an interpolated weight is rounding noise, and dividing by it would invent motion.
_NO_WEIGHT = 1e-6


def move_pair(results: Dict[str, Any],
              size: Optional[Tuple[int, int]] = None,
              window: Optional[Tuple[int, int, int, int]] = None,
              mirror_x: bool = False,
              mirror_y: bool = False) -> Dict[str, Any]:
    """A frame pair resized, then cropped, then mirrored, with the flow that is right for the new frames.

    A resize maps centres of corner pixels to centres of corner pixels: pixel x goes to ``x (w - 1) / (W - 1)``,
    ``x - left`` or ``W - 1 - x``, and the x of the flow is multiplied by ``(w - 1) / (W - 1)``, 1 or -1; y likewise.
    Flow is resampled as ``sum(w f) / sum(w)`` over the same bilinear neighbours that give the weight, so motion of
    weight 0 cannot leak into what is learned.

    Args:
        results: ``frame1``, ``frame2`` ``(H, W, 3)``; maybe ``flow`` ``(H, W, 2)`` px, ``weight`` ``(H, W, 1)``. Not
            changed.
        size: ``(height, width)`` to resize to.
        window: ``(top, left, height, width)`` to crop, px of the resized frame.
        mirror_x: whether to swap left and right.
        mirror_y: whether to swap top and bottom.

    Returns:
        a copy of ``results`` with the four arrays moved and ``size`` set to the new ``(height, width)``; where nothing
        has weight, the flow is 0.
    """
    moved = dict(results)
    if size is not None and tuple(size) != results['frame1'].shape[:2]:
        moved.update(_resized(moved, size))
    present = [name for name in ('frame1', 'frame2', 'flow', 'weight') if name in moved]
    if window is not None:
        top, left, height, width = window
        for name in present:
            moved[name] = moved[name][top:top + height, left:left + width]
    for mirrored, axis, component in ((mirror_x, 1, 0), (mirror_y, 0, 1)):
        if not mirrored:
            continue
        for name in present:
            # a copy: torch cannot wrap negative strides, and the sign changes below
            moved[name] = np.flip(moved[name], axis).copy()
        if 'flow' in moved:
            moved['flow'][..., component] *= -1
    moved['size'] = tuple(moved['frame1'].shape[:2])
    return moved


def _resized(results: Dict[str, Any], size: Tuple[int, int]) -> Dict[str, Any]:
    """The arrays of ``results`` at ``size``."""
    resized = {}
    for name in ('frame1', 'frame2'):
        frame = results[name]
        bilinear = _bilinear(frame, size)
        resized[name] = np.rint(bilinear).astype(frame.dtype) if frame.dtype == np.uint8 else bilinear
    if 'flow' in results:
        flow = results['flow']
        weight = results.get('weight', np.ones_like(flow[..., :1]))
        height, width = flow.shape[:2]
        stretch = np.array([(size[1] - 1) / max(width - 1, 1), (size[0] - 1) / max(height - 1, 1)], np.float32)
        weighted = _bilinear(np.where(weight > 0, flow * weight, 0), size)
        total = _bilinear(weight, size)
        known = total > _NO_WEIGHT
        resized['flow'] = np.where(known, weighted / np.where(known, total, 1) * stretch, 0).astype(np.float32)
        if 'weight' in results:
            resized['weight'] = np.where(known, total, 0).clip(0, 1).astype(np.float32)
    return resized


def _bilinear(image: np.ndarray, size: Tuple[int, int]) -> np.ndarray:
    """``(H, W, C)`` -> ``(h, w, C)`` float32, corner centres kept."""
    planes = torch.from_numpy(np.ascontiguousarray(image, dtype=np.float32)).permute(2, 0, 1)[None]
    return resize(planes, size)[0].permute(1, 2, 0).contiguous().numpy()
