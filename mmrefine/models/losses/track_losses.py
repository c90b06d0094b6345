"""What a tracker learns from tracks: where points are, what they look like, whether they are seen."""
from __future__ import annotations

from typing import ClassVar, FrozenSet

import torch
import torch.nn.functional as F
import torch.utils.checkpoint
from torch import Tensor, nn

from mmrefine.registry import MODELS
from mmrefine.structures import TrackOutputs, TrackTargets


@MODELS.register_module()
class TrackSequenceLoss(nn.Module):
    """``1 / K sum_k gamma^(K-1-k) mean |p_k - p*|_1``, the mean over weight, tracks, frames and both coordinates.

    Source: PIPs (Harley et al., ECCV 2022), whose code divides by the number of iterations, too; Refine takes it as it
    is.

    Args:
        gamma: decay per step back from the last iteration, in (0, 1].
        loss_weight: factor on the result.

    Raises:
        ValueError: ``gamma`` outside (0, 1].
    """
    needs: ClassVar[FrozenSet[str]] = frozenset({'labels'})

    def __init__(self, gamma: float = 0.8, loss_weight: float = 1.) -> None:
        super().__init__()
        if not 0 < gamma <= 1:
            raise ValueError(f'gamma must lie in (0, 1], got {gamma}')
        self.gamma, self.loss_weight = gamma, loss_weight

    def forward(self, outputs: TrackOutputs, sample: TrackTargets) -> Tensor:
        """px; tracks without weight give 0 and zero gradient, never nan."""
        target, _, weight = sample.label()
        target = target.masked_fill(weight[..., None] == 0, 0.)  # whatever it was: nan would outlive a weight of 0
        total, loss = 2 * weight.sum().clamp(min=1.), target.new_zeros(())
        for back, points in enumerate(reversed(outputs.points)):
            loss = loss + self.gamma**back * ((points.float() - target).abs() * weight[..., None]).sum() / total
        return self.loss_weight * loss / len(outputs.points)


@MODELS.register_module()
class VisibilityLoss(nn.Module):
    """Cross-entropy of the visibility, balanced: seen and hidden points have the same say.

    Source: PIPs (Harley et al., ECCV 2022). Refine leaves it out, as its labels do not say what is hidden.

    Args:
        loss_weight: factor on the result; PIPs' training takes 10.
    """
    needs: ClassVar[FrozenSet[str]] = frozenset({'labels'})

    def __init__(self, loss_weight: float = 10.) -> None:
        super().__init__()
        self.loss_weight = loss_weight

    def forward(self, outputs: TrackOutputs, sample: TrackTargets) -> Tensor:
        """The sum of both means; 0 for one that nothing belongs to."""
        _, visible, weight = sample.label()
        logits = outputs.visibility.float()
        return self.loss_weight * (_mean(F.softplus(-logits), weight * visible)
                                   + _mean(F.softplus(logits), weight * (1 - visible)))


@MODELS.register_module()
class ScoreMapLoss(nn.Module):
    """Cross-entropy, balanced, of how well the feature of a track fits to each place of each frame: 1 at the four
    around the point, 0 elsewhere, where the point is seen.

    Source: PIPs (Harley et al., ECCV 2022). The maps of all tracks are one product, and what they add up to needs no
    loop over points. Each iteration is computed again in the backward pass, so memory is that of one.

    Args:
        loss_weight: factor on the result.
    """
    needs: ClassVar[FrozenSet[str]] = frozenset({'labels', 'features'})

    def __init__(self, loss_weight: float = 1.) -> None:
        super().__init__()
        self.loss_weight = loss_weight

    def forward(self, outputs: TrackOutputs, sample: TrackTargets) -> Tensor:
        """The mean over iterations of the sum of both means; 0 where no point is seen inside its frame."""
        target, visible, weight = sample.label()
        if outputs.features is None or outputs.track_features is None:
            raise ValueError('ScoreMapLoss needs the features of frames and tracks')
        features = outputs.features.float()
        height, width = features.shape[-2:]
        places = target.masked_fill(weight[..., None] == 0, 0.).transpose(1, 2) / outputs.stride  # (B, T, N, 2)
        first = places.floor()
        inside = ((first >= 0) & (first + 1 <= places.new_tensor([width - 1, height - 1]))).all(dim=-1)
        seen = (weight * visible).transpose(1, 2) * inside
        column, row = first.clamp(min=0).unbind(-1)
        corner = row.clamp(max=height - 2).long() * width + column.clamp(max=width - 2).long()
        around = torch.stack([corner, corner + 1, corner + width, corner + width + 1], dim=-1)
        terms = [torch.utils.checkpoint.checkpoint(_score_map_term, tracks.float(), features, around, seen,
                                                   use_reentrant=False) for tracks in outputs.track_features]
        return self.loss_weight * torch.stack(terms).mean()


def _score_map_term(tracks: Tensor, features: Tensor, around: Tensor, seen: Tensor) -> Tensor:
    """The balanced cross-entropy of one iteration: tracks ``(B, T, N, C)``, features ``(B, T, C, h, w)``, the four
    places of each point ``(B, T, N, 4)``, and its weight ``(B, T, N)``."""
    scores = torch.einsum('btnc,btcp->btnp', tracks, features.flatten(3)) / tracks.shape[-1]**0.5
    at_point = scores.gather(-1, around)
    elsewhere = F.softplus(scores).sum(dim=-1) - F.softplus(at_point).sum(dim=-1)
    total = seen.sum().clamp(min=1.)
    places = scores.shape[-1] - around.shape[-1]
    return ((F.softplus(-at_point).mean(dim=-1) * seen).sum() + (elsewhere / places * seen).sum()) / total


def _mean(values: Tensor, weight: Tensor) -> Tensor:
    return (values * weight).sum() / weight.sum().clamp(min=1e-6)
