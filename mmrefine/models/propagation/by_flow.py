"""Labels carried from frame to frame by optical flow."""
from __future__ import annotations

from typing import Iterator, Sequence, Tuple

import torch
from torch import Tensor

from mmrefine.geometry import fill_background
from mmrefine.models.propagation.carry import carry_labels
from mmrefine.models.propagation.walk import LabelPropagator
from mmrefine.models.trackers.flow_chain import chain_flow
from mmrefine.models.trackers.ways import follow_both_ways
from mmrefine.structures import FlowEstimator, TwoWayEstimator
from mmrefine.structures.propagation import FrameOf
from mmrefine.structures.tracks import Tracks


class FlowPropagator(LabelPropagator):
    """Each pixel takes the labels from where the flow back to the frame before leads, or from the nearest pixel whose
    round trip ends where it began (:func:`~mmrefine.models.carry_labels`). Implements ``Propagator``.

    Labels stay soft on their way. Points follow the flow forward, see
    :func:`~mmrefine.models.trackers.flow_chain.chain_flow`.

    Args:
        network: gives the flow, in evaluation mode.
    """

    def __init__(self, network: FlowEstimator) -> None:
        self.network = network

    @torch.no_grad()
    def follow(self, frame: FrameOf, count: int, size: Tuple[int, int], queries: Tensor) -> Tracks:
        """See :meth:`~mmrefine.structures.Propagator.follow`.

        Raises:
            TeacherError: flow that is not finite.
        """
        if not len(queries):
            return Tracks(queries.new_zeros(0, count, 2), queries.new_zeros(0, count), queries, size)
        views = self._views(frame, size, int(queries[0, 0].clamp(0, count - 1)))

        def follow(way: Sequence[int], asked: Tensor) -> Tracks:
            return chain_flow(lambda t: self._both_flows(views(way[t]), views(way[t + 1])), count, size, asked)

        return follow_both_ways(follow, count, queries)

    def _carry(self, views: FrameOf, numbers: Sequence[int], labels: Tensor) -> Iterator[Tensor]:
        for before, now in zip(numbers, numbers[1:]):
            there, back = self._both_flows(views(before), views(now))
            labels = fill_background(carry_labels(labels, back[0].to(labels), there[0].to(labels)))
            yield labels

    def _both_flows(self, before: Tensor, now: Tensor) -> Tuple[Tensor, Tensor]:
        """The flow there and back, ``(1, 2, H, W)`` px each."""
        one, two = before[None], now[None]
        if isinstance(self.network, TwoWayEstimator):
            return self.network.estimate_both(one, two)
        return self.network.estimate(one, two)[-1], self.network.estimate(two, one)[-1]
