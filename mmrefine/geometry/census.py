"""The census test: does the order of brightness around a pixel survive its motion?"""
from __future__ import annotations

from typing import Any, Iterator, Tuple

import torch
from torch import Tensor

from mmrefine.geometry.warp import backwarp, lands_inside

Index = Tuple[Any, ...]


def census_residual(frames1: Tensor, frames2: Tensor, flow: Tensor, radius: int = 3, tie: float = 0.1) -> Tensor:
    """Share of comparisons in the window of a pixel that turn out differently where they land.

    Each neighbour within ``radius`` is brighter than the pixel, darker, or equal to it (within ``tie``), in each of
    R, G and B; frame 1 is compared with frame 2 warped back, bilinear. A change that keeps the order of the values of
    a channel (exposure, gamma, white balance) changes nothing. Zabih & Woodfill, ECCV 1994, with the third outcome of
    Stein, DAGM 2004.

    Args:
        frames1: ``(B, 3, H, W)`` RGB in [0, 1].
        frames2: the same shape.
        flow: ``(B, 2, H, W)`` px, frame 1 -> frame 2.
        radius: the window has ``2 radius + 1`` px on a side, without its centre.
        tie: differences up to this many grey levels of 255 count as equal. More than the rounding of the warp, less
            than one step of an 8-bit frame.

    Returns:
        ``(B, 1, H, W)`` in [0, 1], over the neighbours that lie in frame 1 and land in frame 2; ``inf`` where
        ``p + f(p)`` leaves the frame or no neighbour can be compared.
    """
    inside, warped = lands_inside(flow), backwarp(frames2, flow)
    valid = inside.to(torch.uint8)
    differ, compared = torch.zeros_like(valid, dtype=torch.int16), torch.zeros_like(valid, dtype=torch.int16)
    for one, other in _neighbours(radius, flow.shape[-2], flow.shape[-1]):
        # what one pixel of the two is to the other, the other is to it, the other way round: both change or neither
        changes = _changes(frames1[other] - frames1[one], warped[other] - warped[one], tie / 255)
        differ[one] += valid[other] * changes
        differ[other] += valid[one] * changes
        compared[one] += valid[other]
        compared[other] += valid[one]
    share = differ.to(flow.dtype) / (frames1.shape[1] * compared.to(flow.dtype)).clamp(min=1)
    return share.masked_fill(~inside | (compared == 0), float('inf'))


def _neighbours(radius: int, height: int, width: int) -> Iterator[Tuple[Index, Index]]:
    """Where one pixel is, and where another, of all pairs of pixels within the window of one another."""
    for dy in range(radius + 1):
        for dx in range(-radius, radius + 1):
            if (dy, dx) > (0, 0) and dy < height and abs(dx) < width:
                left, right = max(-dx, 0), max(dx, 0)
                yield ((..., slice(0, height - dy), slice(left, width - right)),
                       (..., slice(dy, height), slice(right, width - left)))


def _changes(difference1: Tensor, difference2: Tensor, tie: float) -> Tensor:
    """Of how many channels the order is another one, ``(B, 1, H, W)``."""
    other = ((difference1 > tie) != (difference2 > tie)) | ((difference1 < -tie) != (difference2 < -tie))
    return other.sum(dim=1, keepdim=True, dtype=torch.uint8)
