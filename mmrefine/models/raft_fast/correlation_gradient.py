"""The correlation of RAFT with gradients: all look-ups add theirs into one buffer, which becomes that of the features.

Automatic differentiation would make a gradient of the size of the whole pyramid for each look-up, mostly zeros, and add
them up.
"""
from __future__ import annotations

from dataclasses import dataclass
from typing import Any, List, Optional, Tuple

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from mmrefine.models.raft_fast.correlation import Around, Correlation, centers_of, columns

_UNLIMITED = 2**62


class TrainedCorrelation:
    """:class:`~mmrefine.models.raft_fast.correlation.Correlation` that features learn from; the whole pyramid is kept.

    The place of a look-up has no gradient, as in RAFT's training. The gradient is taken once, not twice.

    Args:
        feat1: features of the first frames, ``(B, C, H, W)``.
        feat2: features of the second frames, the same shape.
        levels: of the pyramid.
        radius: of the windows, cells of each level.
    """

    def __init__(self, feat1: Tensor, feat2: Tensor, levels: int, radius: int) -> None:
        corr = Correlation(feat1.detach(), feat2.detach(), levels, radius, _UNLIMITED)
        self._pyramid = _Pyramid(corr, [None] * levels)
        self._features = _Features.apply(feat1, feat2, self._pyramid)

    def __call__(self, flow: Tensor) -> Tensor:
        """As :meth:`Correlation.__call__`."""
        return _LookUp.apply(self._features, flow, self._pyramid)


@dataclass
class _Pyramid:
    """What the graph refers to. Nothing in here may refer to the graph: such a circle would keep the pyramids of many
    steps alive until Python looks for circles.

    Args:
        corr: the correlation.
        gradients: of each level, a row for each cell; None: nothing was added yet.
    """
    corr: Correlation
    gradients: List[Optional[Tensor]]


class _Features(Function):
    """Stands for the pyramid in the graph: it is reached when all look-ups have added their gradients."""

    @staticmethod
    def forward(ctx: Any, feat1: Tensor, feat2: Tensor, pyramid: _Pyramid) -> Tensor:
        """A number that all look-ups depend on."""
        ctx.save_for_backward(feat1, feat2)
        ctx.pyramid = pyramid
        return feat1.new_zeros(())

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, _: Tensor) -> Tuple[Tensor, Tensor, None]:
        """The gradients of the features, from that of the pyramid."""
        feat1, feat2 = ctx.saved_tensors
        pyramid: _Pyramid = ctx.pyramid
        gradients, pyramid.gradients = pyramid.gradients, [None] * len(pyramid.gradients)
        dtype = torch.promote_types(feat1.dtype, torch.float32)
        scaled = columns(feat1.to(dtype) / feat1.shape[1]**0.5)
        with torch.enable_grad():
            whole = feat2.detach().to(dtype).requires_grad_()
            means = [whole]
            while len(means) < len(gradients):
                means.append(F.avg_pool2d(means[-1], 2))
        of_first, of_means = torch.zeros_like(scaled), []
        for mean, gradient in zip(means, gradients):
            if gradient is None:
                of_means.append(torch.zeros_like(mean))
                continue
            # the products in the precision of the features
            matrix = gradient[:, :-1].unflatten(0, (len(scaled), -1)).to(feat1.dtype)
            of_first += columns(mean.detach()).to(feat1.dtype) @ matrix.mT
            of_means.append(_rows((scaled.to(feat1.dtype) @ matrix).to(dtype), mean))
        of_second, = torch.autograd.grad(means, whole, of_means)
        of_first = _rows(of_first, feat1) / feat1.shape[1]**0.5
        return of_first.to(feat1.dtype), of_second.to(feat2.dtype), None


class _LookUp(Function):
    """The windows around one flow."""

    @staticmethod
    def forward(ctx: Any, features: Tensor, flow: Tensor, pyramid: _Pyramid) -> Tensor:
        """See :meth:`Correlation.__call__`."""
        ctx.save_for_backward(flow)
        ctx.pyramid = pyramid
        return pyramid.corr(flow)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> Tuple[Tensor, None, None]:
        """Add the gradient of the windows to that of the pyramid."""
        flow, = ctx.saved_tensors
        pyramid: _Pyramid = ctx.pyramid
        corr, side = pyramid.corr, 2 * pyramid.corr.radius + 1
        # the cells of the first frames column by column, as the pyramid has them
        centers = centers_of(flow).view(*flow.shape[:1], *flow.shape[2:], 2).transpose(1, 2).reshape(-1, 2)
        windows = gradient.permute(0, 3, 2, 1).reshape(len(centers), len(corr.kept), side, side)
        for i, level in enumerate(corr.kept):
            outside = level.width * level.height  # one number more for each cell, which nobody reads
            buffer = pyramid.gradients[i]
            if buffer is None:
                buffer = pyramid.gradients[i] = level.values.new_zeros(len(centers), outside + 1)
            around = Around(centers / 2**i, level.height, level.width, corr.radius)
            index = (around.x * level.height)[..., None] + around.y[:, None]
            index = torch.where(around.inside_x[..., None] & around.inside_y[:, None], index, outside)
            values = around.spread(windows[:, i].to(buffer.dtype))
            # faster than index_add_, which knows nothing of rows
            buffer.scatter_add_(1, index.flatten(1), values.flatten(1))
        return gradient.new_zeros(()), None, None


def _rows(columns_: Tensor, like: Tensor) -> Tensor:
    """``(B, C, H, W)`` as ``like``, of what :func:`columns` makes of it."""
    batch, channels, height, width = like.shape
    return columns_.view(batch, channels, width, height).mT
