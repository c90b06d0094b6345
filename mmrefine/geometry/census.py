"""The census test: does the order of brightness around a pixel survive its motion?"""
from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from mmrefine.geometry.warp import backwarp, lands_inside


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
    inside = lands_inside(flow)
    height, width = flow.shape[-2:]
    around1, around2, valid = (F.pad(x, [radius] * 4)
                               for x in (frames1, backwarp(frames2, flow), inside.to(frames1.dtype)))
    center = (slice(radius, radius + height), slice(radius, radius + width))
    differ, compared = torch.zeros_like(flow[:, :1]), torch.zeros_like(flow[:, :1])
    for dy in range(2 * radius + 1):
        for dx in range(2 * radius + 1):
            if dy == dx == radius:
                continue
            there = (..., slice(dy, dy + height), slice(dx, dx + width))
            order1 = _order(around1[there] - around1[(..., *center)], tie)
            order2 = _order(around2[there] - around2[(..., *center)], tie)
            counts = valid[there]
            differ += counts * (order1 != order2).to(differ.dtype).mean(dim=1, keepdim=True)
            compared += counts
    return (differ / compared.clamp(min=1)).masked_fill(~inside | (compared == 0), float('inf'))


def _order(difference: Tensor, tie: float) -> Tensor:
    return torch.sign(difference) * (difference.abs() > tie / 255)
