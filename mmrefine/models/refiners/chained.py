"""A flow network as a tracker: its flow, chained."""
from __future__ import annotations

from functools import lru_cache
from typing import Any, Callable, Dict, List, Optional, Tuple, Union

import torch
from torch import Tensor

from mmrefine.models.refiners.flow import FlowRefiner, Outputs
from mmrefine.models.trackers.flow_chain import chain_flow
from mmrefine.models.trackers.ways import predict_sample, there_and_back
from mmrefine.registry import MODELS
from mmrefine.structures import Tracks, TrackSample

KEPT_STEPS = 32  # whose flow both ways share; that of earlier ones is estimated again on the way back


@MODELS.register_module()
class ChainedFlow(FlowRefiner):
    """Any flow network of mmflow, which follows points from frame to frame. Implements ``TrackEstimator``.

    It learns from frame pairs, as :class:`~mmrefine.models.FlowRefiner`, whose arguments it has, and predicts tracks of
    clips: as a baseline (``tools/test.py`` on clips with true tracks), or as the teacher of another tracker
    (``teacher=dict(type='OtherNetwork', model=dict(type='ChainedFlow', …), checkpoint=…)``).
    """

    @torch.no_grad()
    def track(self, frames: Tensor, queries: Tensor) -> Tracks:
        """Follow points to the end of a clip; see :func:`~mmrefine.models.trackers.flow_chain.chain_flow`."""
        return self.track_stream(frames.__getitem__, len(frames), _size(frames), queries)

    @torch.no_grad()
    def track_stream(self, frame: Callable[[int], Tensor], count: int, size: Tuple[int, int],
                     queries: Tensor) -> Tracks:
        """Follow points to the end of a video whose frames are asked for one by one; see
        :class:`~mmrefine.structures.StreamTracker`. Two frames are in memory."""
        known: Dict[int, Tensor] = {}

        def step(t: int) -> Tuple[Tensor, Tensor]:
            one, two = known[t] if t in known else frame(t)[None], frame(t + 1)[None]
            known.clear()
            known[t + 1] = two
            return self.estimate_both(one, two)

        return chain_flow(step, count, size, queries)

    @torch.no_grad()
    def track_both(self, frames: Tensor, points: Tensor) -> Tuple[Tensor, Tensor, Tensor]:
        """Follow points there and back; both ways share the flow of the last 32 steps, and no more is kept. See
        :func:`~mmrefine.models.trackers.ways.there_and_back`."""

        @lru_cache(KEPT_STEPS)
        def flows(t: int) -> Tuple[Tensor, Tensor]:
            return self.estimate_both(frames[t:t + 1], frames[t + 1:t + 2])

        def follow(queries: Tensor, backwards: bool) -> Tracks:
            return chain_flow(lambda t: flows(len(frames) - 2 - t)[::-1] if backwards else flows(t), len(frames),
                              _size(frames), queries)

        return there_and_back(follow, points, _size(frames))

    def forward(self,
                inputs: Tensor,
                data_samples: Optional[List[Any]] = None,
                mode: str = 'tensor') -> Union[Outputs, List[TrackSample]]:
        """MMEngine's entry: of clips with ``TrackSample`` in mode 'predict' as
        :meth:`TrackRefiner.forward <mmrefine.models.TrackRefiner.forward>`, else as :meth:`FlowRefiner.forward`."""
        tracks = [sample for sample in data_samples or () if isinstance(sample, TrackSample)]
        if mode != 'predict' or not tracks:
            return super().forward(inputs, data_samples, mode)
        for frames, sample in zip(inputs, tracks):
            predict_sample(self, frames, sample)
        return tracks

    def describe(self) -> Dict[str, Any]:
        """What decides over its tracks beside the weights; JSON-able."""
        return dict(chained=True, iters=self.test_iters, frames=dict(vars(self.normalize)))

    def pass_bytes(self, size: Tuple[int, int]) -> int:
        """Not known: 0."""
        return 0

    def memory_settings(self) -> List[str]:
        """Which config keys to lower so that it takes less memory."""
        return [f'model.max_corr_bytes (now {self.max_corr_bytes})']


def _size(frames: Tensor) -> Tuple[int, int]:
    return int(frames.shape[-2]), int(frames.shape[-1])
