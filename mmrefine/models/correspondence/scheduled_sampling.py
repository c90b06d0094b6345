"""From whose colours the next frame is copied."""
from __future__ import annotations

import torch
from torch import nn

from mmrefine.models.training_progress import training_progress
from mmrefine.registry import MODELS
from mmrefine.values import as_share


@MODELS.register_module()
class ScheduledSampling(nn.Module):
    """Whether the next frame is copied from the true colours of a frame or from those predicted for it: at random, less
    and less often from the true ones.

    Source: CorrFlow (Lai and Xie, BMVC 2019), section 3.4.1, after Bengio et al. (NIPS 2015); the chances are those of
    its code.

    Args:
        start: chance of the true colours at the beginning of the training, in [0, 1].
        end: at its end; linear in between.

    Raises:
        ConfigError: a chance outside [0, 1].
    """

    def __init__(self, start: float = 0.9, end: float = 0.6) -> None:
        super().__init__()
        self.start = as_share('ScheduledSampling.start', start)
        self.end = as_share('ScheduledSampling.end', end)

    @property
    def chance(self) -> float:
        """Of the true colours, now."""
        return self.start + (self.end - self.start) * training_progress()

    def forward(self) -> bool:
        """Draw for the whole batch: True for the true colours."""
        return bool(torch.rand(()) < self.chance)

    def extra_repr(self) -> str:
        """The constructor's arguments."""
        return f'start={self.start}, end={self.end}'
