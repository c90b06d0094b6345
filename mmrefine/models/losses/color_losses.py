"""What a network of correspondences learns from: colours that are copied along a video must fit where they arrive."""
from __future__ import annotations

from typing import Any, ClassVar, FrozenSet, Mapping, Optional

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmrefine.registry import MODELS
from mmrefine.structures import ColorOutputs

_LEAST = 1e-8  # keeps the logarithm of a class that nobody claims finite, as in the code of CorrFlow


@MODELS.register_module()
class ColorClassLoss(nn.Module):
    """Cross-entropy of the colours that are copied from each frame to the next, summed over the frames.

    The first step copies the true colours of frame 0. Later ones copy the true colours of the frame before, or what
    was predicted for it, as ``sampling`` draws; gradients flow through all steps that were predicted. Source: CorrFlow
    (Lai and Xie, BMVC 2019), sections 3.4 and 3.5.

    Args:
        sampling: config of :class:`~mmrefine.models.ScheduledSampling`. Default: true colours always.
        loss_weight: factor on the result.
    """
    needs: ClassVar[FrozenSet[str]] = frozenset({'colors'})

    def __init__(self, sampling: Optional[Mapping[str, Any]] = None, loss_weight: float = 1.) -> None:
        super().__init__()
        self.sampling = None if sampling is None else MODELS.build({'_scope_': 'mmrefine', **sampling})
        self.loss_weight = loss_weight

    def forward(self, outputs: ColorOutputs, sample: Any = None) -> Tensor:
        """The sum over ``T - 1`` steps of the mean over pixels, nats."""
        first, total = 0, outputs.features.new_zeros(())
        for t in range(1, outputs.frames.shape[1]):
            if t > 1 and (self.sampling is None or self.sampling()):
                first = t - 1  # the last frame whose true colours are copied
            total = total + color_entropy(outputs, range(first, t + 1))
        return self.loss_weight * total


@MODELS.register_module()
class CycleColorLoss(nn.Module):
    """Cross-entropy of the colours of frame 0 that are copied to frame i and back, summed over i = 1 … T - 1.

    Only predictions are copied on. Source: CorrFlow (Lai and Xie, BMVC 2019), section 3.4.2.

    Args:
        loss_weight: factor on the result; 0.1 in CorrFlow.
    """
    needs: ClassVar[FrozenSet[str]] = frozenset({'colors'})

    def __init__(self, loss_weight: float = 0.1) -> None:
        super().__init__()
        self.loss_weight = loss_weight

    def forward(self, outputs: ColorOutputs, sample: Any = None) -> Tensor:
        """The sum over ``T - 1`` round trips of the mean over pixels, nats."""
        turns = range(1, outputs.frames.shape[1])
        terms = [color_entropy(outputs, outputs.round_trip(turn)) for turn in turns]
        return self.loss_weight * torch.stack(terms).sum()


def color_entropy(outputs: ColorOutputs, path: Any) -> Tensor:
    """``mean_p -log(q_p + 1e-8)`` of the share ``q_p`` that the true class has at pixel ``p`` of the last frame of a
    path, after the colours of its first were copied along it; cells are brought to pixels bilinearly."""
    classes = outputs.classes[:, path[-1]]
    # a cell's value sits in the middle of its block of pixels
    shares = F.interpolate(outputs.walk(path), size=classes.shape[-2:], mode='bilinear')
    return -(shares.gather(1, classes[:, None]) + _LEAST).log().mean()
