"""Points as maps of where they are, and back."""
from __future__ import annotations

from typing import Tuple

import torch
from torch import Tensor

from mmrefine.geometry.grid import pixel_grid


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
    x, y = (inside[:, :, None, None] - pixel_grid(*size, points)).abs().unbind(dim=1)
    return (1 - x).clamp(min=0.) * (1 - y).clamp(min=0.)


def read_heat_maps(maps: Tensor, radius: int = 2) -> Tuple[Tensor, Tensor]:
    """Where the points of :func:`heat_maps` are: the mean place of the cells around the maximum, weighed by the map.

    Args:
        maps: ``(N, h, w)``, at least 0.
        radius: cells around the maximum that count, in both directions.

    Returns:
        points ``(N, 2)`` (x, y) in cells, nan of a map that is 0 everywhere; and how much of each map lies around its
        maximum, as a share of all of it or of 1, whichever is more, ``(N,)`` in [0, 1].
    """
    count, height, width = maps.shape
    peak = maps.flatten(1).argmax(dim=1)
    top = torch.stack([peak % width, torch.div(peak, width, rounding_mode='floor')], dim=1)
    places = pixel_grid(height, width, maps)
    around = ((places - top[:, :, None, None]).abs() <= radius).all(dim=1)
    near = maps * around
    mass = near.sum(dim=(1, 2))
    points = (near[:, None] * places).sum(dim=(2, 3)) / mass[:, None]  # 0 / 0 is nan
    return points, mass / maps.sum(dim=(1, 2)).clamp(min=1.)
