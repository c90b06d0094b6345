"""Geometric transforms of a frame pair with its flow, or of a clip with its tracks: resize, crop, mirror."""
from __future__ import annotations

from typing import Any, Dict, Optional, Tuple

import numpy as np
import torch

from mmrefine.datasets.transforms.frames import frames_of, with_frames
from mmrefine.errors import ConfigError
from mmrefine.geometry import resize

# Below this an interpolated weight is rounding noise, and dividing by it would invent motion.
_NO_WEIGHT = 1e-6


def move_pair(results: Dict[str, Any],
              size: Optional[Tuple[int, int]] = None,
              window: Optional[Tuple[int, int, int, int]] = None,
              mirror_x: bool = False,
              mirror_y: bool = False) -> Dict[str, Any]:
    """A frame pair or a clip resized, then cropped, then mirrored, with the flow or the tracks that are right for the
    new frames.

    A resize maps centres of corner pixels to centres of corner pixels: pixel x goes to ``x (w - 1) / (W - 1)``,
    ``x - left`` or ``W - 1 - x``, and the x of the flow is multiplied by ``(w - 1) / (W - 1)``, 1 or -1; y likewise.
    So do points. Flow is resampled as ``sum(w f) / sum(w)`` over the same bilinear neighbours that give the weight, so
    motion of weight 0 cannot leak into what is learned.

    Args:
        results: ``frame1``, ``frame2`` ``(H, W, 3)``, maybe ``flow`` ``(H, W, 2)`` px, ``weight`` ``(H, W, 1)``, and
            ``whole_frames`` with the ``corner`` of the pair in them; or a list ``frames``, maybe ``tracks``
            ``(N, T, 2)`` px. Not changed.
        size: ``(height, width)`` to resize to.
        window: ``(top, left, height, width)`` to crop, px of the resized frame.
        mirror_x: whether to swap left and right.
        mirror_y: whether to swap top and bottom.

    Returns:
        a copy of ``results`` with these arrays moved and ``size`` set to the new ``(height, width)``; where nothing
        has weight, the flow is 0. Whole frames are resized and mirrored, not cropped.

    Raises:
        ConfigError: plain frames were kept before, or a crop of whole frames is resized.
    """
    if 'plain_frames' in results:
        raise ConfigError('ColorJitter(keep_plain=True) kept frames that a later transform would leave where they are; '
                          'let the pipeline resize, crop and mirror before it')
    moved, frames = dict(results), frames_of(results)
    if 'whole_frames' in moved:
        moved.update(_moved_whole(moved, frames[0].shape[:2], size, window, mirror_x, mirror_y))
    if size is not None and tuple(size) != frames[0].shape[:2]:
        moved.update(_resized(moved, frames[0].shape[:2], size))
        frames = [_resized_frame(frame, size) for frame in frames]
    present = [name for name in ('flow', 'weight') if name in moved]
    if window is not None:
        top, left, height, width = window
        frames = [frame[top:top + height, left:left + width] for frame in frames]
        moved.update({name: moved[name][top:top + height, left:left + width] for name in present})
        if 'tracks' in moved:
            moved['tracks'] = moved['tracks'] - np.array([left, top], np.float32)
    for mirrored, axis, component in ((mirror_x, 1, 0), (mirror_y, 0, 1)):
        if not mirrored:
            continue
        # copies: torch cannot wrap negative strides, and the sign changes below
        frames = [np.flip(frame, axis).copy() for frame in frames]
        moved.update({name: np.flip(moved[name], axis).copy() for name in present})
        if 'flow' in moved:
            moved['flow'][..., component] *= -1
        if 'tracks' in moved:
            moved['tracks'] = moved['tracks'].copy()
            moved['tracks'][..., component] = frames[0].shape[axis] - 1 - moved['tracks'][..., component]
    return {**with_frames(moved, frames), 'size': tuple(frames[0].shape[:2])}


def _moved_whole(results: Dict[str, Any], before: Tuple[int, int], size: Optional[Tuple[int, int]],
                 window: Optional[Tuple[int, int, int, int]], mirror_x: bool, mirror_y: bool) -> Dict[str, Any]:
    """The whole frames, and where the pair, whose frames were of the size ``before``, lies in them afterwards."""
    whole, (left, top) = results['whole_frames'], results['corner']
    if size is not None and tuple(size) != before:
        if whole[0].shape[:2] != before:
            raise ConfigError('KeepWholeFrames kept frames that were cropped since, and a crop cannot be resized with '
                              'them; let RandomScaleStretch come before RandomCrop')
        whole, before = [_resized_frame(frame, size) for frame in whole], size
    if window is not None:
        left, top, before = left + window[1], top + window[0], window[2:]
    if mirror_x:
        whole, left = [np.flip(frame, 1) for frame in whole], whole[0].shape[1] - before[1] - left
    if mirror_y:
        whole, top = [np.flip(frame, 0) for frame in whole], whole[0].shape[0] - before[0] - top
    return dict(whole_frames=whole, corner=(left, top))


def _resized_frame(frame: np.ndarray, size: Tuple[int, int]) -> np.ndarray:
    bilinear = _bilinear(frame, size)
    return np.rint(bilinear).astype(frame.dtype) if frame.dtype == np.uint8 else bilinear


def _resized(results: Dict[str, Any], before: Tuple[int, int], size: Tuple[int, int]) -> Dict[str, Any]:
    """Flow, weight and tracks of frames of the size ``before``, for frames of ``size``."""
    resized = {}
    stretch = np.array([(size[1] - 1) / max(before[1] - 1, 1), (size[0] - 1) / max(before[0] - 1, 1)], np.float32)
    if 'tracks' in results:
        resized['tracks'] = results['tracks'] * stretch
    if 'flow' in results:
        flow = results['flow']
        weight = results.get('weight', np.ones_like(flow[..., :1]))
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
