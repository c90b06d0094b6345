"""Does a tracker go where the flow goes?"""
from __future__ import annotations

from typing import Any, Dict, Tuple

import torch
from torch import Tensor

from mmrefine.geometry import carry_points, points_inside, query_grid
from mmrefine.labeling.second_network import SecondNetwork
from mmrefine.registry import FILTERS
from mmrefine.structures import PairContext, TrackEstimator
from mmrefine.values import as_count, as_number


@FILTERS.register_module()
class TrackAgreementFilter(SecondNetwork):
    """Keep what a frozen tracker does not contradict: 0 around points of a grid that it follows elsewhere, else 1.

    The tracker follows the points from frame 1 to frame 2 and back, and may differ from the flow by
    ``tolerance + share |flow|``. It has a say only where it is sure to see the point, within the frame, and where its
    own way back ends within ``returns`` of the start. A point speaks for the pixels that are nearest to it. Ours, not
    the paper's.

    Args:
        tracker: config of the part of ``TEACHERS`` that has the tracker:
            ``dict(type='OtherNetwork', model=dict(type='TrackRefiner', estimator=…), checkpoint=…)``.
        step: of the grid, px; also the side of the squares that a point decides over.
        tolerance: px of the frames.
        share: of the length of the motion, no unit.
        returns: px.
        seen: visibility in [0, 1] from which on the tracker is sure; 0: always.

    Raises:
        ConfigError: a value out of range, or a network that follows no points.
        CheckpointError: a checkpoint that is missing, broken, unsafe, or of another network.
    """
    described_by_contents = ('tracker', )

    def __init__(self,
                 tracker: Dict[str, Any],
                 step: int = 8,
                 tolerance: float = 1.5,
                 share: float = 0.1,
                 returns: float = 1.5,
                 seen: float = 0.5) -> None:
        name = 'TrackAgreementFilter'
        self.step = as_count(f'{name}.step', step)
        self.tolerance, self.share = as_number(f'{name}.tolerance', tolerance), as_number(f'{name}.share', share)
        self.returns, self.seen = as_number(f'{name}.returns', returns), as_number(f'{name}.seen', seen, '[0, 1]')
        super().__init__(f'{name}.tracker', tracker, TrackEstimator, 'TrackRefiner')

    def __call__(self, ctx: PairContext) -> Tensor:
        """Weight ``(B, 1, H, W)``, 0 or 1."""
        self.network.to(ctx.frames1.device)
        pairs = zip(ctx.frames1, ctx.frames2, ctx.flow_fw)
        return torch.stack([self._weight(torch.stack([one, two]), flow) for one, two, flow in pairs])

    def _weight(self, frames: Tensor, flow: Tensor) -> Tensor:
        size: Tuple[int, int] = (frames.shape[-2], frames.shape[-1])
        points = query_grid(size, self.step).to(frames.device)
        there, back, visible = (part.to(frames.device) for part in self.network.track_both(frames, points))
        moved = carry_points(points, flow)
        heard = points_inside(there[:, 1], size) & points_inside(moved, size) & (visible[:, 1] >= self.seen)
        heard &= (back[:, 0] - points).norm(dim=1) <= self.returns
        bound = self.tolerance + self.share * (moved - points).norm(dim=1)
        agrees = (~heard | ((there[:, 1] - moved).norm(dim=1) <= bound)).to(flow.dtype)
        columns, rows = (int(len(part.unique())) for part in points.t())
        row, column = ((torch.arange(side, device=flow.device) - first).div(self.step).add(0.5).floor().long()
                       .clamp(0, count - 1)
                       for side, first, count in zip(size, points[0].flip(0).tolist(), (rows, columns)))
        return agrees.view(rows, columns)[row][:, column][None]
