"""What a network sees of a whole crop teaches what it should see of the inner part alone."""
from __future__ import annotations

from typing import Any, ClassVar, FrozenSet, Tuple

import torch
from torch import Tensor, nn

from mmrefine.errors import ConfigError
from mmrefine.geometry import backwarp, lands_inside, resize, resize_flow
from mmrefine.models.losses.iterate_loss import charbonnier
from mmrefine.models.losses.ways import ways_of
from mmrefine.models.training_progress import training_progress
from mmrefine.registry import MODELS
from mmrefine.schedule import Course, Schedule
from mmrefine.structures import FlowOutputs, FlowTargets

# of the diagonal, SMURF
_TEACHER, _STUDENT = 0.003, 0.03


@MODELS.register_module()
class SelfSupervisionLoss(nn.Module):
    """``ramp sum_k gamma^(K-1-k) mean_p T(p) (1 - S_k(p)) rho(t(p) - s_k(p))``, the mean of both directions; needs no
    labels.

    The teacher ``t`` is the last flow of the whole crop, without gradient; where the samples hold whole frames, of the
    crop with the colours of the video, for which the network is asked once more. The student ``s`` is asked for the
    inner part of the crop as the network saw it, enlarged to the size of the crop; ``t`` is cut out and enlarged in
    the same way. ``rho(z) = sqrt(z^2 + 0.001^2)`` of both components, px. What moves out of the inner part is seen by
    the teacher only; ``T = exp(-e^2 / (0.003^2 (h^2 + w^2)))`` with the error ``e`` of the teacher's round trip, ``S``
    the same with 0.03 of the student's; both are 0 where the motion leaves the frame of their own, and the mean runs
    over all pixels and both components. Source: Stone et al., SMURF, CVPR 2021, whose weight is 0.3, and whose code
    begins after 5 / 12 of the training and reaches the full weight after another 1 / 12.

    A step costs another pass of training, and one without gradient where there are whole frames.

    Args:
        inset: what the inner part lacks on each side: a share of the crop in (0, 0.5), or a whole number of px. SMURF
            takes 64 px of crops of 296 x 696 px.
        begin: share of the steps of the training in [0, 1] before which the loss is 0 and costs nothing.
        ramp: share of the steps over which its weight then grows, linearly; 0: at once.
        gamma: decay per step back from the last iterate, in (0, 1].
        loss_weight: factor on the result; knots change it over the training.

    Raises:
        ConfigError: a ``loss_weight`` that is neither, or a crop that ``inset`` leaves nothing of.
        ValueError: another value out of range, or outputs that lack the way back or the network.
    """
    needs: ClassVar[FrozenSet[str]] = frozenset({'backward', 'estimate'})

    def __init__(self, inset: float = 1 / 6, begin: float = 5 / 12, ramp: float = 1 / 12, gamma: float = 0.8,
                 loss_weight: Course = 0.3) -> None:
        super().__init__()
        if not (0 < inset < 0.5 or isinstance(inset, int) and inset >= 1):
            raise ValueError(f'inset must be a share in (0, 0.5) or a whole number of px, at least 1, got {inset!r}')
        for name, value in (('begin', begin), ('ramp', ramp)):
            if not 0 <= value <= 1:
                raise ValueError(f'{name} must be a share of the training in [0, 1], got {value}')
        if not 0 < gamma <= 1:
            raise ValueError(f'gamma must lie in (0, 1], got {gamma}')
        self.inset, self.begin, self.ramp = inset, begin, ramp
        self.gamma = gamma
        self.loss_weight = Schedule('SelfSupervisionLoss.loss_weight', loss_weight)

    def forward(self, outputs: FlowOutputs, sample: FlowTargets) -> Tensor:
        """px; 0 with zero gradient before ``begin``."""
        size = (outputs.frames1.shape[-2], outputs.frames1.shape[-1])
        inner = self._inner(*size)  # a crop that is too small is refused in the first step
        strength = self.strength()
        if strength == 0.:
            return (0. * outputs.flows[-1]).sum()
        if outputs.estimate is None or outputs.flows_bw is None:
            raise ValueError('SelfSupervisionLoss needs the way back and the network, got outputs without them')
        ways = ways_of(outputs, sample)
        if sample.whole is None:
            teachers = [way.flows[-1].detach() for way in ways]
        else:
            with torch.no_grad():
                teachers = [flows[-1] for flows in outputs.estimate(ways[0].frames, ways[1].frames)]
        there, back = outputs.estimate(*(resize(frames[inner], size) for frames in (outputs.frames1, outputs.frames2)))
        total = outputs.frames1.new_zeros(())
        for teacher, other, flows, others in ((teachers[0], teachers[1], there, back),
                                              (teachers[1], teachers[0], back, there)):
            trust = resize(_consistency(teacher, other, _TEACHER)[inner], size)
            target = resize_flow(teacher[inner], size)
            for k, (flow, way_back) in enumerate(zip(reversed(flows), reversed(others))):
                weight = trust * (1 - _consistency(flow, way_back, _STUDENT))
                total = total + self.gamma**k * (weight * charbonnier(flow - target)).mean() / 2
        return self.loss_weight.at(training_progress()) * strength * total

    def strength(self) -> float:
        """Share of the weight that counts in this step, in [0, 1]."""
        since = training_progress() - self.begin
        if since < 0:
            return 0.
        return min(1., since / self.ramp) if self.ramp else 1.

    def _inner(self, height: int, width: int) -> Tuple[Any, ...]:
        """The index of the inner part of tensors ``(B, C, height, width)``."""
        shares = isinstance(self.inset, float)
        top, left = (int(round(self.inset * length)) if shares else int(self.inset) for length in (height, width))
        if height - 2 * top < 2 or width - 2 * left < 2:
            raise ConfigError(f'SelfSupervisionLoss: inset={self.inset:g} leaves nothing of crops of {height}x{width} '
                              'px (height x width); take a smaller inset or a larger crop_size')
        return (..., slice(top, height - top), slice(left, width - left))

    def extra_repr(self) -> str:
        """The constructor's arguments."""
        return (f'inset={self.inset:g}, begin={self.begin:g}, ramp={self.ramp:g}, gamma={self.gamma}, '
                f'loss_weight={self.loss_weight!r}')


@torch.no_grad()
def _consistency(flow: Tensor, back: Tensor, share: float) -> Tensor:
    """``exp(-e^2 / (share^2 (h^2 + w^2)))`` of the round trip's error ``e``, 0 where the motion leaves the frame:
    ``(B, 1, h, w)`` in [0, 1]."""
    error = ((flow + backwarp(back, flow))**2).sum(dim=1, keepdim=True)
    height, width = flow.shape[-2:]
    return (-error / (share**2 * (height**2 + width**2))).exp() * lands_inside(flow)
