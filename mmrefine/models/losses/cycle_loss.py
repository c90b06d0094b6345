"""The way there and back should end where it began."""
from __future__ import annotations

from typing import FrozenSet, Iterator, Optional

from torch import Tensor

from mmrefine.geometry import backwarp, lands_inside
from mmrefine.models.losses.iterate_loss import IterateLoss, charbonnier, mean_where
from mmrefine.models.losses.occlusion import Occlusion
from mmrefine.models.losses.ways import Way
from mmrefine.registry import MODELS
from mmrefine.schedule import Course


@MODELS.register_module()
class CycleLoss(IterateLoss):
    """``sum_k gamma^(K-1-k) 1/2 (c(f_k, b_k) + c(b_k, f_k))``; needs no labels.

    ``c(f, b)`` is the mean of ``(e^2 + 0.001^2)^0.45`` over both components of ``e = f(p) + b(p + f(p))``, px, and over
    the pixels whose motion ``f`` lands inside and that are not occluded
    (:class:`~mmrefine.models.losses.occlusion.Occlusion`). Gradients reach both ways. Source: the consistency term of
    Meister et al., UnFlow, AAAI 2018. Alone it is content with a motion of zero.

    Args:
        occlusion: ``'cycle'``, UnFlow's choice, ``'range_map'``, or None: all pixels count that land inside. By
            ``'cycle'`` a large error is an occlusion, so a network from random weights needs None at first.
        occlusion_from: optimiser step from which on occluded pixels are left out.
        gamma: decay per step back from the last iterate, in (0, 1].
        loss_weight: factor on the result; knots change it over the training.

    Raises:
        ValueError: ``gamma`` outside (0, 1], another ``occlusion``, ``occlusion_from`` below 0, or outputs without the
            way back.
    """
    witness = 'cycle'  # of the guard, that this loss brings down whether or not the motion gets better

    def __init__(self,
                 occlusion: Optional[str] = 'cycle',
                 occlusion_from: int = 0,
                 gamma: float = 0.8,
                 loss_weight: Course = 1.) -> None:
        super().__init__(gamma, loss_weight)
        self.occlusion = Occlusion(occlusion, occlusion_from)

    @property
    def needs(self) -> FrozenSet[str]:
        """The way back."""
        return frozenset({'backward'})

    def errors(self, way: Way) -> Iterator[Tensor]:
        """The mean error of the round trip of each iterate; 0 with zero gradient where no pixel counts."""
        if way.back is None:
            raise ValueError('CycleLoss needs the way back, got outputs with flows_bw=None')
        for flow, back in zip(reversed(way.flows), reversed(way.back)):
            error = charbonnier(flow + backwarp(back, flow), power=0.45).mean(dim=1, keepdim=True)
            yield mean_where(error, self.occlusion(flow, back) * lands_inside(flow))
