"""How much a pixel looks another way where its motion ends: by colour, by structure, by the order of brightness."""
from __future__ import annotations

from typing import Any, Callable, Dict, Iterator, List, NamedTuple, Tuple

import torch.nn.functional as F
from torch import Tensor

from mmrefine.geometry import luma
from mmrefine.models.losses.iterate_loss import charbonnier

RADIUS = 3  # px, of the census window


class Residual(NamedTuple):
    """A residual of ``(B, 3, H, W)`` RGB in [0, 1], ``(B, 1, H - 2 reach, W - 2 reach)``.

    Args:
        reach: px around a pixel that are compared, too; pixels whose surroundings leave the frame have no residual.
        prepare: what is needed of frame 1, once for all iterates.
        compare: of that, and of frame 2 as it is seen from frame 1.
    """
    reach: int
    prepare: Callable[[Tensor], Any]
    compare: Callable[[Any, Tensor], Tensor]


def color_residual(frames: Tensor, warped: Tensor) -> Tensor:
    """``mean_RGB (d^2 + 0.001^2)^0.45`` of the difference ``d``."""
    return charbonnier(warped - frames, power=0.45).mean(dim=1, keepdim=True)


def window_moments(frames: Tensor) -> Tuple[Tensor, Tensor, Tensor]:
    """The frames, and mean and variance of their windows of 3 x 3 px that lie in the frame."""
    mean = F.avg_pool2d(frames, 3, 1)
    return frames, mean, F.avg_pool2d(frames**2, 3, 1) - mean**2


def structure_residual(moments: Tuple[Tensor, Tensor, Tensor], warped: Tensor) -> Tensor:
    """``mean_RGB (1 - SSIM) / 2``, clipped to [0, 1], in windows of 3 x 3 px that all count the same."""
    frames, mean1, variance1 = moments
    _, mean2, variance2 = window_moments(warped)
    shared = F.avg_pool2d(frames * warped, 3, 1) - mean1 * mean2
    c1, c2 = 0.01**2, 0.03**2
    ssim = ((2 * mean1 * mean2 + c1) * (2 * shared + c2)
            / ((mean1**2 + mean2**2 + c1) * (variance1 + variance2 + c2)))
    return ((1 - ssim) / 2).clamp(0., 1.).mean(dim=1, keepdim=True)


def census_orders(frames: Tensor) -> List[Tensor]:
    """How the grey level (0 to 255) of a neighbour compares with that of its pixel, ``d / sqrt(0.81 + d^2)`` in
    (-1, 1), for one of each two opposite neighbours: ``(B, 1, h, w)`` for the pixels whose neighbour lies in the frame.
    """
    grey = luma(frames)
    height, width = grey.shape[-2:]
    orders = []
    for dx, dy in _half_window():
        rows, left = height - dy, max(0, -dx)
        columns = width - abs(dx)
        difference = (grey.narrow(-2, dy, rows).narrow(-1, left + dx, columns)
                      - grey.narrow(-2, 0, rows).narrow(-1, left, columns))
        orders.append(difference * (0.81 + difference**2).rsqrt())
    return orders


def census_residual(orders: List[Tensor], warped: Tensor) -> Tensor:
    """``(h + 0.01)^0.4`` with ``h = sum_k s / (0.1 + s)`` and ``s`` the squared difference of the orders of neighbour
    ``k`` in both frames.

    A pixel is to its neighbour as the neighbour is to it, but for the sign, which ``s`` does not know; so each two
    opposite neighbours share what is computed.
    """
    height, width = (length - 2 * RADIUS for length in warped.shape[-2:])
    total = warped.new_zeros(())
    for (dx, dy), wanted, found in zip(_half_window(), orders, census_orders(warped)):
        square = (found - wanted)**2
        change = square / (0.1 + square)
        x, y = RADIUS - max(0, -dx), RADIUS
        for column, row in ((x, y), (x - dx, y - dy)):
            total = total + change.narrow(-2, row, height).narrow(-1, column, width)
    return (total + 0.01)**0.4


def _half_window() -> Iterator[Tuple[int, int]]:
    """One (dx, dy) of each two opposite neighbours of a pixel."""
    for dy in range(RADIUS + 1):
        for dx in range(-RADIUS if dy else 1, RADIUS + 1):
            yield dx, dy


RESIDUALS: Dict[str, Residual] = dict(
    color=Residual(0, lambda frames: frames, color_residual),
    ssim=Residual(1, window_moments, structure_residual),
    census=Residual(RADIUS, census_orders, census_residual))
