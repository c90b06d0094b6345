"""Points as maps of where they are, and back."""
from __future__ import annotations

from typing import Tuple

import torch
from torch import Tensor


def heat_maps(points: Tensor, size: Tuple[int, int]) -> Tensor:
    """A map for each point that is shared between the four cells around it, bilinear: it sums to 1, and its mean place
    is the point.

    Args:
        points: ``(N, 2)`` (x, y) in cells; those outside are moved to the border.
        size: (h, w) of the maps.

    Returns:
        ``(N, h, w)``.
    """
    limit = points.new_tensor([size[1] - 1., size[0] - 1.])
    inside = torch.minimum(points.clamp(min=0.), limit)
    across, down = ((1 - (inside[:, axis, None] - torch.arange(side).to(points)).abs()).clamp(min=0.)
                    for axis, side in ((0, size[1]), (1, size[0])))
    return down[:, :, None] * across[:, None]


def read_heat_maps(maps: Tensor, radius: int = 2) -> Tuple[Tensor, Tensor]:
    """Where the points of :func:`heat_maps` are: the mean place of the cells around the maximum, weighed by the map.

    Args:
        maps: ``(N, h, w)``, at least 0.
        radius: cells around the maximum that count, in both directions.

    Returns:
        points ``(N, 2)`` (x, y) in cells, nan of a map that is 0 everywhere; and how much of each map lies around its
        maximum, as a share of all of it or of 1, whichever is more, ``(N,)`` in [0, 1].
    """
    height, width = maps.shape[1:]
    peak = maps.flatten(1).argmax(dim=1)
    reach = torch.arange(-radius, radius + 1, device=maps.device)
    y, x = torch.broadcast_tensors(torch.div(peak, width, rounding_mode='floor')[:, None, None] + reach[:, None],
                                   (peak % width)[:, None, None] + reach)
    inside = (y >= 0) & (y < height) & (x >= 0) & (x < width)
    cells = (y.clamp(0, height - 1) * width + x.clamp(0, width - 1)).flatten(1)
    # only the cells around the maximum: products of whole maps would take several times the memory of the maps
    near = maps.flatten(1).gather(1, cells) * inside.flatten(1)
    mass = near.sum(dim=1)
    points = torch.stack([(near * place.flatten(1)).sum(dim=1) for place in (x, y)], dim=1) / mass[:, None]  # 0 / 0
    return points, mass / maps.sum(dim=(1, 2)).clamp(min=1.)
