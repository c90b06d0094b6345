"""A flow network as a tracker: its flow, chained."""
from __future__ import annotations

from functools import lru_cache
from typing import Any, Callable, Dict, List, Mapping, Optional, Tuple, Union

import torch
from torch import Tensor

from mmrefine.models.refiners.flow import FlowRefiner, Outputs
from mmrefine.models.trackers.flow_chain import chain_flow
from mmrefine.models.trackers.steps import ChainSteps
from mmrefine.models.trackers.ways import predict_sample, there_and_back
from mmrefine.registry import MODELS
from mmrefine.structures import Look, Tracks, TrackSample

KEPT_STEPS = 32  # of each length, whose flow both ways share; that of earlier ones is estimated again on the way back


@MODELS.register_module()
class ChainedFlow(FlowRefiner):
    """Any flow network of mmflow, which follows points from frame to frame. Implements ``TrackEstimator``.

    It learns from frame pairs, as :class:`~mmrefine.models.FlowRefiner`, and predicts tracks of clips: as a baseline
    (``tools/test.py`` on clips with true tracks), or as the teacher of another tracker
    (``teacher=dict(type='OtherNetwork', model=dict(type='ChainedFlow', …), checkpoint=…)``).

    Args:
        chain: settings of :class:`~mmrefine.models.trackers.steps.ChainSteps`, such as
            ``dict(steps=(1, 2, 4, 8, 'first'))``. Default: single steps from frame to frame.
        settings: those of :class:`~mmrefine.models.FlowRefiner`.

    Raises:
        ConfigError: a value out of range, see both.
    """

    def __init__(self, *args: Any, chain: Optional[Mapping[str, Any]] = None, **settings: Any) -> None:
        super().__init__(*args, **settings)
        self.steps = ChainSteps(**(chain or {}))

    @torch.no_grad()
    def track(self, frames: Tensor, queries: Tensor) -> Tracks:
        """Follow points to the end of a clip; see :func:`~mmrefine.models.trackers.flow_chain.chain_flow`."""
        return self.track_stream(frames.__getitem__, len(frames), _size(frames), queries)

    @torch.no_grad()
    def track_stream(self, frame: Callable[[int], Tensor], count: int, size: Tuple[int, int],
                     queries: Tensor) -> Tracks:
        """Follow points to the end of a video whose frames are asked for one by one; see
        :class:`~mmrefine.structures.StreamTracker`. In memory are two frames, or as many as the longest step spans, and
        with steps from the first frame those in which points begin."""
        return self._follow(frame, count, size, queries, False)

    @torch.no_grad()
    def track_with_errors(self, frame: Callable[[int], Tensor], count: int, size: Tuple[int, int],
                          queries: Tensor) -> Tracks:
        """:meth:`track_stream`, with the errors of the steps that each point has taken; see
        :class:`~mmrefine.structures.ErrorTracker`. Each frame is asked for once."""
        return self._follow(frame, count, size, queries, True)

    def describe_errors(self) -> Dict[str, Any]:
        """What decides over expected errors beside weights and network; JSON-able."""
        return self.steps.describe_errors()

    def _follow(self, frame: Callable[[int], Tensor], count: int, size: Tuple[int, int], queries: Tensor,
                with_errors: bool) -> Tracks:
        known: Dict[int, Tensor] = {}
        begins = set(queries[:, 0].long().tolist())

        def look(s: int, t: int) -> Look:
            for number in [number for number in known if number < t - self.steps.reach]:
                if not (self.steps.first and number in begins):
                    del known[number]
            for number in (s, t):
                if number not in known:
                    known[number] = frame(number)[None]
            return self.steps.look(self, known[s], known[t], with_errors)

        return chain_flow(look, count, size, queries, self.steps, with_errors)

    @torch.no_grad()
    def track_both(self, frames: Tensor, points: Tensor) -> Tuple[Tensor, Tensor, Tensor]:
        """Follow points there and back; both ways share the flow of the last 32 frames, and no more is kept. See
        :func:`~mmrefine.models.trackers.ways.there_and_back`."""
        last = len(frames) - 1

        @lru_cache(KEPT_STEPS * (len(self.steps.steps) + self.steps.first))
        def look(s: int, t: int) -> Look:
            return self.steps.look(self, frames[s:s + 1], frames[t:t + 1])

        def follow(queries: Tensor, backwards: bool) -> Tracks:
            return chain_flow(lambda s, t: look(last - t, last - s).reversed() if backwards else look(s, t),
                              len(frames), _size(frames), queries, self.steps)

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
        return dict(chained=True, iters=self.test_iters, frames=dict(vars(self.normalize)), **self.steps.describe())

    def pass_bytes(self, size: Tuple[int, int]) -> int:
        """Not known: 0."""
        return 0

    def memory_settings(self) -> List[str]:
        """Which config keys to lower so that it takes less memory."""
        return [f'model.max_corr_bytes (now {self.max_corr_bytes})']


def _size(frames: Tensor) -> Tuple[int, int]:
    return int(frames.shape[-2]), int(frames.shape[-1])
