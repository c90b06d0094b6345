"""Means over the square window around each pixel."""
from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def box_mean(image: Tensor, radius: int) -> Tensor:
    """Mean over the ``(2 radius + 1)^2`` px around each pixel, of those that lie in the frame:
    ``(B, C, H, W)`` as given.
    """
    # columns after rows: the part of a window that lies in the frame is a rectangle, too
    return _mean_along(_mean_along(image, radius, -1), radius, -2)


def _mean_along(image: Tensor, radius: int, dim: int) -> Tensor:
    """The mean along one axis. Sums of 1, 2, 4, ... px are made of each other, and the window of some of them, which
    takes few additions however wide it is."""
    size, whole = image.shape[dim], 2 * radius + 1
    sums = F.pad(image, [radius, radius] if dim == -1 else [0, 0, radius, radius])
    total = torch.zeros_like(image)
    begin, length = 0, 1
    while length <= whole:
        if whole & length:
            total = total + sums.narrow(dim, begin, size)
            begin += length
        if 2 * length <= whole:
            rest = sums.shape[dim] - length
            sums = sums.narrow(dim, 0, rest) + sums.narrow(dim, length, rest)
        length *= 2
    places = torch.arange(size, device=image.device)
    counts = (places + radius).clamp(max=size - 1) - (places - radius).clamp(min=0) + 1
    return total / counts.to(image.dtype).view(-1 if dim == -2 else 1, 1 if dim == -2 else -1)
