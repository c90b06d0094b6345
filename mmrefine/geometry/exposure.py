"""Frame 2 with the exposure of frame 1."""
from __future__ import annotations

from typing import Tuple

import torch
from torch import Tensor

from mmrefine.geometry.window import box_mean

# steps of the robust fit, which converges in a handful, and pixels that are enough to fit six numbers
STEPS, ENOUGH = 10, 2**16
NOISE = 1.  # grey levels: variation below it says nothing about a gain


def match_exposure(frames1: Tensor,
                   warped2: Tensor,
                   inside: Tensor,
                   max_gain: float = 2.,
                   max_offset: float = 64.) -> Tensor:
    """Frame 2 with one gain and one offset for each channel removed, those that explain frame 1 best.

    Least trimmed squares over the half of the pixels that fit best (Rousseeuw 1984), so pixels that are matched wrongly
    or that changed their own colour do not count. A global affine change of frame 2 within the limits changes nothing
    in the result.

    Args:
        frames1: ``(B, C, H, W)`` in [0, 1].
        warped2: the same shape, frame 2 seen from frame 1.
        inside: bool ``(B, 1, H, W)``, where ``warped2`` is valid.
        max_gain: gains outside ``[1 / max_gain, max_gain]`` are removed only as far as that; at least 1.
        max_offset: the same for a shift of the mean, grey levels of 255; not negative.

    Returns:
        ``(B, C, H, W)`` on the scale of ``frames1``, not clipped; ``warped2`` where a pair has no pixel inside.
    """
    matched = []
    for one, two, where in zip(frames1, warped2, inside):
        if bool(where.any()):
            gain, mean1, mean2 = _trimmed_fit(one[:, where[0]], two[:, where[0]])
            two = _apply(two, gain[:, None], mean1[:, None], mean2[:, None], max_gain, max_offset)
        matched.append(two)
    return torch.stack(matched)


def match_local_exposure(frames1: Tensor,
                         warped2: Tensor,
                         inside: Tensor,
                         radius: int = 7,
                         max_gain: float = 2.,
                         max_offset: float = 64.) -> Tensor:
    """Frame 2 with a gain and an offset removed around each pixel: shadows, vignettes, passing light.

    Mean and spread of the window in frame 2 become those of frame 1. A spread of one grey level is added to both, so
    that the noise of flat areas is not amplified.

    Args:
        frames1: ``(B, C, H, W)`` in [0, 1].
        warped2: the same shape, frame 2 seen from frame 1.
        inside: bool ``(B, 1, H, W)``; pixels outside do not count in a window.
        radius: the window has ``2 radius + 1`` px on a side.
        max_gain: as in :func:`match_exposure`.
        max_offset: as in :func:`match_exposure`.

    Returns:
        ``(B, C, H, W)`` on the scale of ``frames1``, not clipped.
    """
    counted = inside.to(frames1.dtype)
    share = box_mean(counted, radius).clamp(min=1e-6)  # a window without any pixel inside has mean 0

    def moments(frames: Tensor) -> Tuple[Tensor, Tensor]:
        mean = box_mean(frames * counted, radius) / share
        return mean, (box_mean(frames**2 * counted, radius) / share - mean**2).clamp(min=0)

    (mean1, spread1), (mean2, spread2) = moments(frames1), moments(warped2)
    noise = (NOISE / 255)**2
    return _apply(warped2, ((spread1 + noise) / (spread2 + noise)).sqrt(), mean1, mean2, max_gain, max_offset)


def _apply(frames: Tensor, gain: Tensor, mean1: Tensor, mean2: Tensor, max_gain: float, max_offset: float) -> Tensor:
    offset = (mean1 - mean2).clamp(-max_offset / 255, max_offset / 255)
    return (frames - mean2) * gain.clamp(1 / max_gain, max_gain) + mean2 + offset


def _trimmed_fit(one: Tensor, two: Tensor) -> Tuple[Tensor, Tensor, Tensor]:
    """Gain and both means, ``(C, 1)`` each, of ``one ~ gain (two - mean2) + mean1``; pixels ``(C, N)``, N above 0."""
    step = -(-one.shape[1] // ENOUGH)
    y, x = one[:, ::step].double(), two[:, ::step].double()
    mean1, mean2 = y.mean(dim=1, keepdim=True), x.mean(dim=1, keepdim=True)
    gain = _ratio((y - mean1).norm(dim=1, keepdim=True), (x - mean2).norm(dim=1, keepdim=True))
    for _ in range(STEPS):
        residual = (gain * (x - mean2) + mean1 - y).abs().mean(dim=0)
        kept = residual <= residual.median()
        inlier1, inlier2 = y[:, kept], x[:, kept]
        mean1, mean2 = inlier1.mean(dim=1, keepdim=True), inlier2.mean(dim=1, keepdim=True)
        away1, away2 = inlier1 - mean1, inlier2 - mean2
        gain = _ratio((away1 * away2).sum(dim=1, keepdim=True), (away2**2).sum(dim=1, keepdim=True))
    return gain.to(one.dtype), mean1.to(one.dtype), mean2.to(one.dtype)


def _ratio(one: Tensor, two: Tensor) -> Tensor:
    """``one / two``; 1 for a channel that does not vary, which has no gain."""
    return torch.where(two > 1e-9, one / two.clamp(min=1e-9), torch.ones_like(one))
