"""What the losses of networks that refine one flow again and again have in common."""
from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar, FrozenSet, Iterable

import torch
from torch import Tensor, nn

from mmrefine.structures import FlowOutputs, FlowTargets


class IterateLoss(nn.Module, ABC):
    """``loss_weight sum_k gamma^(K-1-k) e_k`` over the errors of K iterates, of which the last counts fully.

    Source of the decay: Teed & Deng, RAFT, ECCV 2020, eq. 7. A pyramid's levels, coarse to fine, are iterates, too.

    Args:
        gamma: decay per step back from the last iterate, in (0, 1].
        loss_weight: factor on the result.

    Raises:
        ValueError: ``gamma`` outside (0, 1].
    """
    needs: ClassVar[FrozenSet[str]] = frozenset()

    def __init__(self, gamma: float, loss_weight: float) -> None:
        super().__init__()
        if not 0 < gamma <= 1:
            raise ValueError(f'gamma must lie in (0, 1], got {gamma}')
        self.gamma = gamma
        self.loss_weight = loss_weight

    def forward(self, outputs: FlowOutputs, sample: FlowTargets) -> Tensor:
        """The decayed sum of :meth:`errors`; ``sample`` is not used."""
        decayed = [self.gamma**back * error for back, error in enumerate(self.errors(outputs))]
        return self.loss_weight * torch.stack(decayed).sum()

    @abstractmethod
    def errors(self, outputs: FlowOutputs) -> Iterable[Tensor]:
        """One scalar for each iterate, from the last one back."""

    def extra_repr(self) -> str:
        """The settings."""
        return ', '.join(f'{name}={value!r}' for name, value in vars(self).items()
                         if not name.startswith('_') and name != 'training')


def charbonnier(difference: Tensor, epsilon: float = 1e-3, power: float = 0.5) -> Tensor:
    """``(x^2 + epsilon^2)^power`` of each element: near ``|x|`` for the default power, with a gradient at 0."""
    return (difference**2 + epsilon**2)**power


def mean_where(values: Tensor, counts: Tensor) -> Tensor:
    """Mean of ``values`` ``(B, 1, H, W)`` where ``counts`` (bool) holds; 0 with zero gradient where none does."""
    return values.masked_fill(~counts, 0.).sum() / counts.sum().clamp(min=1)
