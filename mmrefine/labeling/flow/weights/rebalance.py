"""Easy pixels are many and teach little: weights by speed or by what is new, so that training sees the others too.

Each part takes what is known of a batch of pairs, the motion ``(B, 2, H, W)`` px and the weight ``(B, 1, H, W)`` in
[0, 1] of their labels and returns a weight of the same shape, nowhere greater; labels are balanced one by one. The mean
weight of a label falls; the losses divide by the weight of a batch, so within a batch it is the proportion that counts.
"""
from __future__ import annotations

from typing import List, Sequence, Tuple, Union

import torch
from torch import Tensor

from mmrefine.errors import ConfigError
from mmrefine.geometry import lengths
from mmrefine.registry import BALANCERS
from mmrefine.structures import PairContext
from mmrefine.values import as_number


@BALANCERS.register_module()
class SpeedThreshold:
    """Leave what is slow: ``w(p) slow`` where ``|f(p)| <= least_motion``, else ``w(p)``.

    Source: the speed filter of Refine (Sun et al. 2024) for Horse10, which keeps tracks whose 7 steps add up to more
    than 8 x 5 px. A flow label has one step, and the rule is applied to each pixel. Mean weight after: the mean before,
    less ``1 - slow`` of what the slow pixels held.

    Args:
        least_motion: px per pair of frames; the reference's, at 256x448.
        slow: share of the weight that slow pixels keep, in [0, 1]; 0 is the reference's hard choice.

    Raises:
        ConfigError: a value out of range.
    """

    def __init__(self, least_motion: float = 5., slow: float = 0.) -> None:
        self.least_motion = as_number('SpeedThreshold.least_motion', least_motion)
        self.slow = as_number('SpeedThreshold.slow', slow, '[0, 1]')

    def __call__(self, ctx: PairContext, flow: Tensor, weight: Tensor) -> Tensor:
        """Weight ``(B, 1, H, W)`` in [0, 1]."""
        fast = lengths(flow) > self.least_motion
        return torch.where(fast, weight, weight * self.slow)


@BALANCERS.register_module()
class SpeedQuota:
    """A quota for each speed: no bin of speeds holds more weight than its share of the frame.

    ``w(p) min(1, quota_b N / W_b)`` for ``p`` in bin ``b``, ``W_b`` the weight of the bin and ``N`` the pixels of the
    frame. A bin below its quota stays as it is: nothing can make more of what is not there. Mean weight after: the sum
    over the bins of ``min(quota_b, W_b / N)``, so at most the sum of the quotas.

    Args:
        edges: px, rising; bin ``b`` is ``edges[b - 1] <= |f| < edges[b]``, the first begins at 0 and the last is open.
            The default are the bins of Refine's code.
        quotas: share of the frame in (0, 1]: one for all bins, or one for each, that is one more than ``edges``.

    Raises:
        ConfigError: a value out of range, or not as many quotas as bins.
    """

    def __init__(self, edges: Sequence[float] = (1., 2., 4.5), quotas: Union[float, Sequence[float]] = 0.25) -> None:
        self.edges = _as_edges('SpeedQuota', edges)
        count = len(self.edges) + 1
        each = [quotas] * count if isinstance(quotas, (int, float)) else list(quotas)
        if len(each) != count:
            raise ConfigError(f'SpeedQuota.quotas must be one share in (0, 1], or one for each of the {count} bins, '
                              f'got {quotas!r}')
        self.quotas = [as_number('SpeedQuota.quotas', quota, '(0, 1]') for quota in each]

    def __call__(self, ctx: PairContext, flow: Tensor, weight: Tensor) -> Tensor:
        """Weight ``(B, 1, H, W)`` in [0, 1]."""
        bins, held = _histogram(flow, weight, self.edges)
        room = held.new_tensor(self.quotas) * weight[0].numel()
        return _scaled(weight, bins, room / torch.maximum(held, room))


@BALANCERS.register_module()
class InverseHistogram:
    """Speeds weigh in by how rare they are, up to a cap.

    ``w(p) r_b / max r`` for ``p`` in bin ``b``, with ``r_b = min(max W / W_b, cap)``, ``W_b`` the weight of the bin and
    the maximum of ``r`` over the bins that hold any. The rarest bin stays as it is, the most common one loses most and
    keeps at least ``1 / cap``; where no cap is hit, all bins that hold any hold the same after. Mean weight after: at
    least ``1 / cap`` of the one before.

    Args:
        edges: px, rising; bin ``b`` is ``edges[b - 1] <= |f| < edges[b]``, the first begins at 0 and the last is open.
        cap: how much more a rare pixel may count than a common one, at least 1; keeps a handful of stray pixels from
            ruling a label.

    Raises:
        ConfigError: a value out of range.
    """

    def __init__(self, edges: Sequence[float] = (0.5, 1., 2., 4., 8., 16., 32.), cap: float = 4.) -> None:
        self.edges = _as_edges('InverseHistogram', edges)
        self.cap = as_number('InverseHistogram.cap', cap, '[1, inf)')

    def __call__(self, ctx: PairContext, flow: Tensor, weight: Tensor) -> Tensor:
        """Weight ``(B, 1, H, W)`` in [0, 1]."""
        bins, held = _histogram(flow, weight, self.edges)
        ratio = held.amax(dim=1, keepdim=True) / held.clamp(min=1e-30)
        ratio = ratio.clamp(max=self.cap) * (held > 0)
        # a label without weight has no bin to scale
        return _scaled(weight, bins, ratio / ratio.amax(dim=1, keepdim=True).clamp(min=1.))


def _as_edges(name: str, edges: Sequence[float]) -> List[float]:
    """Borders between the bins, checked."""
    if (isinstance(edges, str) or not hasattr(edges, '__len__') or not len(edges)
            or not all(isinstance(edge, (int, float)) and 0 < edge < float('inf') for edge in edges)
            or not all(low < high for low, high in zip(edges, edges[1:]))):
        raise ConfigError(f'{name}.edges must be rising speeds above 0 px, at least one, got {edges!r}')
    return [float(edge) for edge in edges]


def _histogram(flow: Tensor, weight: Tensor, edges: List[float]) -> Tuple[Tensor, Tensor]:
    """Bin of each pixel ``(B, 1, H, W)`` and weight held by each bin ``(B, len(edges) + 1)`` in double precision."""
    speed = lengths(flow)
    bins = torch.bucketize(speed, speed.new_tensor(edges), right=True)
    held = [(weight.double() * (bins == b)).sum(dim=(1, 2, 3)) for b in range(len(edges) + 1)]
    return bins, torch.stack(held, dim=1)


def _scaled(weight: Tensor, bins: Tensor, factors: Tensor) -> Tensor:
    """``weight`` times the factor ``(B, bins)`` of each pixel's bin."""
    return weight * factors.to(weight.dtype).gather(1, bins.flatten(1)).view_as(weight)


@BALANCERS.register_module()
class Novelty:
    """Count what the student does not see yet: ``w(p) (least + (1 - least) d(p) / (d(p) + half))``.

    ``d`` is how far the label lies from what the network sees in one plain pass over the frames, as the student will:
    where the two agree there is nothing to learn, and such pixels are most of a frame. It asks for a view that makes a
    plain pass, :class:`~mmrefine.labeling.CascadeView` or :class:`~mmrefine.labeling.ArbitratedView` with ``scales``
    that begin with 1 and go on. What is new may be wrong: the better the view, the more this is worth. Ours, not the
    paper's.

    Args:
        half: distance at which half of the weight above ``least`` is reached, px, above 0.
        least: share of the weight that stays where nothing is new, in [0, 1].

    Raises:
        ConfigError: a value out of range.
    """

    needs_plain = True

    def __init__(self, half: float = 1., least: float = 0.1) -> None:
        self.half = as_number('Novelty.half', half, '(0, inf)', ' px')
        self.least = as_number('Novelty.least', least, '[0, 1]')

    def __call__(self, ctx: PairContext, flow: Tensor, weight: Tensor) -> Tensor:
        """Weight ``(B, 1, H, W)`` in [0, 1].

        Raises:
            ConfigError: there was no plain pass.
        """
        if ctx.plain_fw is None:
            raise ConfigError('labeler.balance: Novelty compares the label with a plain first pass, and labeler.view '
                              'makes none beside the one that becomes the label; give CascadeView or ArbitratedView '
                              'scales such as (1.0, 2.0)')
        distance = lengths(flow - ctx.plain_fw)
        return weight * (self.least + (1 - self.least) * distance / (distance + self.half))
