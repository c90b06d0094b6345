"""What the losses of networks that refine one flow again and again have in common."""
from __future__ import annotations

from abc import ABC, abstractmethod
from typing import FrozenSet, Iterable

import torch
from torch import Tensor, nn

from mmrefine.models.losses.ways import Way, ways_of
from mmrefine.models.training_progress import training_progress
from mmrefine.schedule import Course, Schedule
from mmrefine.structures import FlowOutputs, FlowTargets


class IterateLoss(nn.Module, ABC):
    """``loss_weight sum_k gamma^(K-1-k) e_k`` over the errors of K iterates, of which the last counts fully; the mean
    of both directions where the network gives the way back.

    Source of the decay: Teed & Deng, RAFT, ECCV 2020, eq. 7; SMURF (Stone et al., CVPR 2021) takes it for losses
    without labels. A pyramid's levels, coarse to fine, are iterates, too.

    Args:
        gamma: decay per step back from the last iterate, in (0, 1].
        loss_weight: factor on the result, at least 0, or knots ``[(progress, factor), …]`` between which it changes
            linearly over the training (:class:`~mmrefine.schedule.Schedule`).

    Raises:
        ValueError: ``gamma`` outside (0, 1].
        ConfigError: another ``loss_weight``.
    """
    def __init__(self, gamma: float, loss_weight: Course) -> None:
        super().__init__()
        if not 0 < gamma <= 1:
            raise ValueError(f'gamma must lie in (0, 1], got {gamma}')
        self.gamma = gamma
        self.loss_weight = Schedule(f'{type(self).__name__}.loss_weight', loss_weight)

    @property
    def needs(self) -> FrozenSet[str]:
        """Nothing beside flows and frames."""
        return frozenset()

    def forward(self, outputs: FlowOutputs, sample: FlowTargets) -> Tensor:
        """The decayed sum of :meth:`errors`, which see of the sample its whole frames and the weight of its label,
        where it has them."""
        ways = [self._decayed(self.errors(way)) for way in ways_of(outputs, sample)]
        return self.loss_weight.at(training_progress()) * torch.stack(ways).mean()

    @abstractmethod
    def errors(self, way: Way) -> Iterable[Tensor]:
        """One scalar for each iterate of a way, from the last one back."""

    def _decayed(self, errors: Iterable[Tensor]) -> Tensor:
        return torch.stack([self.gamma**back * error for back, error in enumerate(errors)]).sum()

    def extra_repr(self) -> str:
        """The settings."""
        return ', '.join(f'{name}={value!r}' for name, value in vars(self).items()
                         if not name.startswith('_') and name != 'training')


def charbonnier(difference: Tensor, epsilon: float = 1e-3, power: float = 0.5) -> Tensor:
    """``(x^2 + epsilon^2)^power`` of each element: near ``|x|`` for the default power, with a gradient at 0."""
    return (difference**2 + epsilon**2)**power


def mean_where(values: Tensor, counts: Tensor) -> Tensor:
    """Mean of ``values`` over the weights ``counts`` in [0, 1], both ``(B, 1, H, W)``; 0 with zero gradient where no
    pixel counts, whatever its value."""
    return (values.masked_fill(counts == 0, 0.) * counts).sum() / counts.sum().clamp(min=1.)
