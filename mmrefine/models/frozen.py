"""The teacher: a network that cannot change any more."""
from __future__ import annotations

import copy
from typing import List, Optional

import torch
from torch import Tensor, nn

from mmrefine.fileio.digest import digest_of_state

from .refiners import FlowRefiner


class FrozenTeacher(nn.Module):
    """A copy of a refiner that can neither learn nor change mode (F3). Implements ``FlowEstimator``.

    Args:
        refiner: the student as it is now; it is copied, so later training does not touch the teacher.
    """

    def __init__(self, refiner: FlowRefiner) -> None:
        super().__init__()
        self.refiner = copy.deepcopy(refiner).requires_grad_(False)
        self.train(False)

    @property
    def accepts_flow_init(self) -> bool:
        """Whether ``flow_init`` may be given."""
        return self.refiner.accepts_flow_init

    def train(self, mode: bool = True) -> 'FrozenTeacher':
        """Stay in evaluation mode, whatever is asked."""
        return super().train(False)  # MMEngine calls .train() every iteration (F3)

    @torch.no_grad()
    def estimate(self,
                 frames1: Tensor,
                 frames2: Tensor,
                 flow_init: Optional[Tensor] = None) -> List[Tensor]:
        """The flow from ``frames1`` to ``frames2``, coarse to fine; see :meth:`FlowRefiner.estimate`."""
        return self.refiner.estimate(frames1, frames2, flow_init)

    def digest(self) -> str:
        """What identifies the teacher's weights: 16 hex digits over names and bytes of its network's state dict."""
        return digest_of_state(self.refiner.estimator.state_dict())
