"""Where a pixel is: the only file that knows ``align_corners``.

Pixel centres lie at integers, the top left one at (0, 0), the bottom right one at (W - 1, H - 1).
A resize keeps the corner CENTRES in place (``align_corners=True``), as RAFT's up-sampling and the
published weights do.
"""
from __future__ import annotations

from typing import Optional, Tuple

import torch
import torch.nn.functional as F
from torch import Tensor


def pixel_grid(height: int, width: int, like: Tensor) -> Tensor:
    """All pixel coordinates, ``(1, 2, H, W)`` px, (x, y), with dtype and device of ``like``."""
    y, x = torch.meshgrid(
        torch.arange(height, dtype=like.dtype, device=like.device),
        torch.arange(width, dtype=like.dtype, device=like.device),
        indexing='ij')
    return torch.stack([x, y])[None]


def sample(image: Tensor, points: Tensor, padding: str = 'zeros', mode: str = 'bilinear') -> Tensor:
    """Values of an image at fractional positions.

    Args:
        image: ``(B, C, H, W)``.
        points: ``(B, 2, h, w)`` px, (x, y).
        padding: ``'zeros'`` (outside is black), ``'border'`` (outside repeats the edge) or ``'reflection'``.
            An axis of one pixel has no outside.
        mode: ``'bilinear'`` or ``'bicubic'``, which is sharper and may overshoot the values of the image.

    Returns:
        ``(B, C, h, w)``.
    """
    height, width = image.shape[-2:]
    # grid_sample wants [-1, 1] from first to last pixel centre; a one-pixel axis has nothing else
    scale = points.new_tensor([max(width - 1, 1), max(height - 1, 1)]).view(1, 2, 1, 1)
    return sample_scaled(image, (2 * points / scale - 1).permute(0, 2, 3, 1), padding, mode)


def sample_scaled(image: Tensor, points: Tensor, padding: str = 'zeros', mode: str = 'bilinear') -> Tensor:
    """Values of an image at scaled positions; otherwise as :func:`sample`.

    Args:
        image: ``(B, C, H, W)``.
        points: ``(B, h, w, 2)``, (x, y): -1 is the first pixel centre, 1 the last.
        padding: as for :func:`sample`.
        mode: likewise.
    """
    return F.grid_sample(image, points, mode=mode, padding_mode=padding, align_corners=True)


def resize(image: Tensor, size: Tuple[int, int]) -> Tensor:
    """An image ``(B, C, H, W)`` at size ``(height, width)``, bilinear, corner centres kept."""
    if tuple(image.shape[-2:]) == tuple(size):
        return image
    return F.interpolate(image, size=size, mode='bilinear', align_corners=True)


def resize_flow(flow: Tensor,
                size: Tuple[int, int],
                factor: Optional[Tuple[float, float]] = None) -> Tensor:
    """A flow field ``(B, 2, H, W)`` px at another size, its vectors in pixels of the new size.

    Args:
        flow: flow in px of its own size.
        size: ``(height, width)`` wanted.
        factor: what the (x, y) vectors are multiplied with. Default: the ratio of corner-to-corner
            distances, ``(w - 1) / (W - 1)`` and ``(h - 1) / (H - 1)``, which is exact for frames
            resized by :func:`resize`.
    """
    height, width = flow.shape[-2:]
    if factor is None:
        factor = ((size[1] - 1) / max(width - 1, 1), (size[0] - 1) / max(height - 1, 1))
    return resize(flow, size) * flow.new_tensor(factor).view(1, 2, 1, 1)


def resize_points(points: Tensor, size: Tuple[int, int], wanted: Tuple[int, int]) -> Tensor:
    """Where points of a frame lie once :func:`resize` has brought it to another size.

    Corner centres stay corner centres: ``x (w - 1) / (W - 1)``, and the same for y.

    Args:
        points: ``(..., 2)`` px (x, y), in a frame of ``size``.
        size: (height, width) of that frame, px.
        wanted: (height, width) of the resized frame, px.

    Returns:
        ``(..., 2)`` px of the resized frame.
    """
    if tuple(size) == tuple(wanted):
        return points
    factor = ((wanted[1] - 1) / max(size[1] - 1, 1), (wanted[0] - 1) / max(size[0] - 1, 1))
    return points * points.new_tensor(factor)
