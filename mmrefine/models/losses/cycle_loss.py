"""The way there and back should end where it began."""
from __future__ import annotations

from typing import ClassVar, FrozenSet, Iterator

from torch import Tensor

from mmrefine.geometry import backwarp, lands_inside
from mmrefine.models.losses.iterate_loss import IterateLoss, charbonnier, mean_where
from mmrefine.registry import MODELS
from mmrefine.structures import FlowOutputs


@MODELS.register_module()
class CycleLoss(IterateLoss):
    """``sum_k gamma^(K-1-k) 1/2 (c(f_k, b_k) + c(b_k, f_k))``; needs no labels.

    ``c(f, b)`` is the mean of ``(e^2 + 0.001^2)^0.45`` over both components of ``e = f(p) + b(p + f(p))``, px, and over
    the pixels whose motion ``f`` lands inside. Source: the consistency term of Meister et al., UnFlow, AAAI 2018. We
    depart from it in that pixels count however large their error is, where UnFlow takes large errors for occlusions.
    Alone it is content with a motion of zero.

    Args:
        gamma: decay per step back from the last iterate, in (0, 1].
        loss_weight: factor on the result.

    Raises:
        ValueError: ``gamma`` outside (0, 1], or outputs without the way back.
    """
    needs: ClassVar[FrozenSet[str]] = frozenset({'backward'})

    def __init__(self, gamma: float = 0.8, loss_weight: float = 1.) -> None:
        super().__init__(gamma, loss_weight)

    def errors(self, outputs: FlowOutputs) -> Iterator[Tensor]:
        """The mean error of the round trip of each iterate; 0 with zero gradient where all motion leaves the frame."""
        if outputs.flows_bw is None:
            raise ValueError('CycleLoss needs the way back, got outputs with flows_bw=None')
        for flow_fw, flow_bw in zip(reversed(outputs.flows), reversed(outputs.flows_bw)):
            yield (_round_trip(flow_fw, flow_bw) + _round_trip(flow_bw, flow_fw)) / 2


def _round_trip(there: Tensor, back: Tensor) -> Tensor:
    error = there + backwarp(back, there)
    return mean_where(charbonnier(error, power=0.45).mean(dim=1, keepdim=True), lands_inside(there))
