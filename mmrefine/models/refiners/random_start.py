"""Where the iterations begin while a network is being trained."""
from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmrefine.errors import ConfigError
from mmrefine.registry import MODELS


@MODELS.register_module()
class RandomStart(nn.Module):
    """Starts the iterations of RAFT, GMA or CRAFT from the label, moved and bent at random, as often as ``prob`` says.

    A network that has only ever started from zero may learn to answer in its first iteration and to do nothing in the
    others: then more iterations do not help, and neither does a start from a known flow (the second look of
    :class:`~mmrefine.labeling.CascadeView`, the next frame of a video). Starts of every quality, from several cells
    away to nearly right, make each iteration learn to move any flow closer.

    ``start = a label + u (shift + bend)``: per pair, ``a`` is 1 or, in a quarter of them, uniform in [0, 1]; ``u`` in
    [0, 1] is squared, so that nearly right starts are the most frequent; ``shift`` is one vector and ``bend`` a smooth
    field.

    Args:
        prob: share of the pairs that start so, in [0, 1]; the others start from zero, as a network does in use.
        shift: longest shift of a pair's label, px.
        bend: standard deviation of the smooth field, px.
        knots: its grid points along each side; more of them bend shorter.

    Raises:
        ConfigError: a value out of range.
    """

    def __init__(self, prob: float = 0.7, shift: float = 16., bend: float = 4., knots: int = 5) -> None:
        super().__init__()
        if not 0 <= prob <= 1:
            raise ConfigError(f'RandomStart.prob must lie in [0, 1], got {prob!r}')
        for name, value in (('shift', shift), ('bend', bend)):
            if value < 0:
                raise ConfigError(f'RandomStart.{name} must be at least 0 px, got {value!r}')
        if knots < 2:
            raise ConfigError(f'RandomStart.knots must be at least 2, got {knots!r}')
        self.prob, self.shift, self.bend, self.knots = prob, shift, bend, knots

    def forward(self, target: Tensor, weight: Tensor) -> Tensor:
        """A start for each pair of a batch.

        Args:
            target: ``(B, 2, H, W)`` px.
            weight: ``(B, 1, H, W)``; where it is 0 the label counts as no motion.

        Returns:
            ``(B, 2, H, W)`` px.
        """
        batch, device = len(target), target.device

        def draw() -> Tensor:
            return torch.rand(batch, 1, 1, 1, device=device)

        label = target.masked_fill(weight == 0, 0.)
        part = torch.where(draw() < 0.25, draw(), 1.)
        angle, length = 2 * torch.pi * draw(), self.shift * draw()
        shift = length * torch.cat([angle.cos(), angle.sin()], dim=1)
        bend = self.bend * torch.randn(batch, 2, self.knots, self.knots, device=device)
        bend = F.interpolate(bend, size=target.shape[-2:], mode='bicubic')
        start = part * label + draw()**2 * (shift + bend)
        return torch.where(draw() < self.prob, start, 0.)

    def extra_repr(self) -> str:
        """The constructor's arguments."""
        return f'prob={self.prob}, shift={self.shift}, bend={self.bend}, knots={self.knots}'
