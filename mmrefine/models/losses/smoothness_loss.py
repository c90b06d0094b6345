"""Motion should change where the picture does."""
from __future__ import annotations

from typing import Iterator

from torch import Tensor

from mmrefine.models.losses.iterate_loss import IterateLoss, charbonnier
from mmrefine.models.losses.ways import Way
from mmrefine.registry import MODELS
from mmrefine.schedule import Course


@MODELS.register_module()
class SmoothnessLoss(IterateLoss):
    """``sum_k gamma^(K-1-k) 1/2 sum_(a in x, y) mean_p exp(-edge |d_a I1|) rho(D_a f_k)``; needs no labels.

    ``rho(z) = sqrt(z^2 + 0.001^2)`` of both components in px, ``|d_a I1|`` is the mean over RGB in [0, 1]. With
    ``order=1`` both differences are those of neighbours; with ``order=2``, ``D_a f = f(p - a) - 2 f(p) + f(p + a)`` and
    ``d_a I1 = I1(p + a) - I1(p - a)``, so that motion may grow evenly along a slanted surface. Source: Jonschkowski et
    al., What Matters in Unsupervised Optical Flow, ECCV 2020, who take the first order for Sintel and the second for
    KITTI.

    Args:
        order: 1 or 2.
        edge: how fast an edge of the picture lets the motion go, at least 0; the paper's 150.
        gamma: decay per step back from the last iterate, in (0, 1].
        loss_weight: factor on the result; knots change it over the training.

    Raises:
        ValueError: ``gamma`` outside (0, 1], another ``order``, or ``edge`` below 0.
    """

    def __init__(self, order: int = 1, edge: float = 150., gamma: float = 0.8, loss_weight: Course = 1.) -> None:
        super().__init__(gamma, loss_weight)
        if order not in (1, 2):
            raise ValueError(f'order must be 1 or 2, got {order}')
        if not edge >= 0:
            raise ValueError(f'edge must be at least 0, got {edge}')
        self.order = order
        self.edge = edge

    def errors(self, way: Way) -> Iterator[Tensor]:
        """The mean roughness of each iterate, px."""
        axes = (-1, -2)
        edges = (_difference(way.frames, axis, self.order).abs().mean(dim=1, keepdim=True) for axis in axes)
        weights = [(-self.edge * edge).exp() for edge in edges]
        for flow in reversed(way.flows):
            total = flow.new_zeros(())
            for axis, weight in zip(axes, weights):
                change = _difference(flow, axis)
                if self.order == 2:
                    change = _difference(change, axis)
                total = total + (weight * charbonnier(change)).mean()
            yield total / 2


def _difference(image: Tensor, axis: int, distance: int = 1) -> Tensor:
    """``image(p + distance) - image(p)`` along an axis, where both exist."""
    length = image.shape[axis] - distance
    return image.narrow(axis, distance, length) - image.narrow(axis, 0, length)
