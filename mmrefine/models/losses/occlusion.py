"""Which pixels of frame 1 are seen in frame 2, by the motion both ways."""
from __future__ import annotations

from typing import FrozenSet, Optional

import torch
from torch import Tensor, nn

from mmrefine.geometry import backwarp, lands_inside, range_map
from mmrefine.models.training_progress import training_step

# UnFlow (Meister et al., AAAI 2018), section 3.1
_ALPHA, _BETA = 0.01, 0.5


class Occlusion(nn.Module):
    """How much each pixel counts, by whether it is seen in the other frame; without gradient.

    ``'range_map'``: as much as frame 2 says that something comes from there, at most 1 (Wang et al., CVPR 2018; the
    choice of SMURF, Stone et al., CVPR 2021). ``'cycle'``: 1 where the way there and back ends near its beginning,
    ``|f + b|^2 <= 0.01 (|f|^2 + |b|^2) + 0.5`` with ``b`` read where ``f`` ends, else 0 (UnFlow, Meister et al., AAAI
    2018). Both know the motion in the crop only; a pixel that leaves the crop counts, and whether it leaves the whole
    frame is for others to ask.

    Args:
        kind: ``'range_map'``, ``'cycle'``, or None: all pixels count.
        begin: optimiser step from which on it is used, at least 0; before, all pixels count.

    Raises:
        ValueError: another ``kind``, or ``begin`` below 0.
    """

    def __init__(self, kind: Optional[str], begin: int) -> None:
        super().__init__()
        if kind not in ('range_map', 'cycle', None):
            raise ValueError(f"occlusion must be 'range_map', 'cycle' or None, got {kind!r}")
        if begin < 0:
            raise ValueError(f'occlusion_from must be an optimiser step, at least 0, got {begin}')
        self.kind, self.begin = kind, begin

    @property
    def needs(self) -> FrozenSet[str]:
        """Of the network."""
        return frozenset({'backward'} if self.kind else ())

    @torch.no_grad()
    def forward(self, flow: Tensor, back: Optional[Tensor]) -> Tensor:
        """The weight of each pixel in [0, 1], ``(B, 1, H, W)``.

        Args:
            flow: ``(B, 2, H, W)`` px.
            back: the same, from the other frame.

        Raises:
            ValueError: no ``back`` where it is needed.
        """
        if self.kind is None or training_step() < self.begin:
            return torch.ones_like(flow[:, :1])
        if back is None:
            raise ValueError(f'occlusion={self.kind!r} needs the way back, got outputs with flows_bw=None')
        if self.kind == 'range_map':
            visible = range_map(back).clamp(max=1.)
        else:
            # geometry.cycle_consistent reads the way back three times, and this runs for every iterate
            returned = backwarp(back, flow)
            size = (flow**2 + returned**2).sum(dim=1, keepdim=True)
            visible = (((flow + returned)**2).sum(dim=1, keepdim=True) <= _ALPHA * size + _BETA).to(flow.dtype)
        return visible.masked_fill(~lands_inside(flow), 1.)

    def extra_repr(self) -> str:
        """The constructor's arguments."""
        return f'kind={self.kind!r}, begin={self.begin}'
