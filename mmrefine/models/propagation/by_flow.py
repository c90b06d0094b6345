"""Labels carried from frame to frame by optical flow."""
from __future__ import annotations

from typing import Iterator, Optional, Sequence, Tuple

import torch
from torch import Tensor

from mmrefine.models.propagation.carry import carry_on
from mmrefine.models.propagation.walk import LabelPropagator
from mmrefine.models.trackers.flow_chain import chain_flow
from mmrefine.models.trackers.steps import ChainSteps
from mmrefine.models.trackers.ways import follow_both_ways
from mmrefine.structures import FlowEstimator
from mmrefine.structures.propagation import FrameOf
from mmrefine.structures.tracks import Tracks


class FlowPropagator(LabelPropagator):
    """Each pixel takes the labels from where the flow back to an earlier frame leads, or from the nearest pixel whose
    round trip ends where it began (:func:`~mmrefine.models.propagation.carry.carry_on`). Implements ``Propagator``.

    Labels stay soft on their way. Points follow the flow forward, see
    :func:`~mmrefine.models.trackers.flow_chain.chain_flow`.

    Args:
        network: gives the flow, in evaluation mode.
        steps: from which frames to which; default: from each to the next.
    """

    def __init__(self, network: FlowEstimator, steps: Optional[ChainSteps] = None) -> None:
        self.network = network
        self.steps = ChainSteps() if steps is None else steps
        self.kept_views = self.steps.reach + 1

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
            return chain_flow(lambda s, t: self.steps.look(self.network, views(way[s])[None], views(way[t])[None]),
                              count, size, asked, self.steps)

        return follow_both_ways(follow, count, queries)

    def _carry(self, views: FrameOf, numbers: Sequence[int], labels: Tensor) -> Iterator[Tensor]:
        return carry_on(lambda s, t: self.steps.look(self.network, views(numbers[s])[None], views(numbers[t])[None]),
                        len(numbers), labels, self.steps)
