"""Do tracks and flow agree? The one may become a label where the other does not contradict it."""
from __future__ import annotations

from typing import Any, Dict

import torch
from torch import Tensor

from mmrefine.geometry import carry_points, points_come_back, points_inside
from mmrefine.labeling.second_network import SecondNetwork
from mmrefine.registry import FILTERS
from mmrefine.structures import TrackLook, TwoWayEstimator
from mmrefine.values import as_number


@FILTERS.register_module()
class TrackFlowFilter(SecondNetwork):
    """Keep what flow does not contradict: tracks that move in every step as the flow of a frozen network does.

    The flow from frame t to frame t + 1 where the track is in frame t may differ from the step of the track by
    ``tolerance + share |step|``. The flow has a say only where it survives its own round trip
    (:func:`~mmrefine.geometry.points_come_back`) inside the frame, and where the track is seen in both frames: where
    something is hidden, flow is that of what hides it. Two kinds of networks rarely err alike. Ours, not the paper's.

    Args:
        flow: config of the part of ``TEACHERS`` that has the flow network:
            ``dict(type='OtherNetwork', model=dict(type='FlowRefiner', estimator=…), checkpoint=…)``.
        tolerance: px of the frames.
        share: of the length of the step, no unit.
        seen: visibility in [0, 1] from which on the track counts as seen; 0: always.

    Raises:
        ConfigError: a value out of range, or a network without flow.
        CheckpointError: a checkpoint that is missing, broken, unsafe, or of another network.
    """
    described_by_contents = ('flow', )

    def __init__(self, flow: Dict[str, Any], tolerance: float = 1.5, share: float = 0.1, seen: float = 0.5) -> None:
        name = 'TrackFlowFilter'
        self.tolerance, self.share = as_number(f'{name}.tolerance', tolerance), as_number(f'{name}.share', share)
        self.seen = as_number(f'{name}.seen', seen, '[0, 1]')
        super().__init__(f'{name}.flow', flow, TwoWayEstimator, 'FlowRefiner')

    def __call__(self, look: TrackLook) -> Tensor:
        """Which tracks are kept: bool ``(N,)``."""
        frames, kept = look.frames, torch.ones(len(look.there), dtype=torch.bool, device=look.frames.device)
        if len(kept):
            self.network.to(frames.device)
        for t in range(len(frames) - 1 if len(kept) else 0):
            there, back = self.network.estimate_both(frames[t:t + 1], frames[t + 1:t + 2])
            at, step = look.there[:, t], look.there[:, t + 1] - look.there[:, t]
            moved = carry_points(at, there[0])
            size = (frames.shape[-2], frames.shape[-1])
            heard = points_come_back(at, there, back) & points_inside(at, size) & points_inside(moved, size)
            heard &= (look.visible[:, t:t + 2] >= self.seen).all(dim=1)
            bound = self.tolerance + self.share * step.norm(dim=1)
            kept &= ~heard | ((moved - at - step).norm(dim=1) <= bound)
        return kept
