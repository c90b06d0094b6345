"""A clip with its tracks, and a batch of them in front of the losses, on its way through MMEngine."""
from __future__ import annotations

from dataclasses import dataclass
from typing import Optional, Sequence, Tuple

import torch
from mmengine.structures import BaseDataElement
from torch import Tensor

from mmrefine.errors import ConfigError


class TrackSample(BaseDataElement):
    """What is known of one clip beside its pixels; MMEngine moves it between devices.

    Data fields, all optional: ``points`` ``(N, T, 2)`` px (x, y), ``visible`` ``(N, T)`` in [0, 1] and ``weight``
    ``(N, T)`` in [0, 1] (labels or ground truth); ``queries`` ``(N, 3)``, frame, y, x of where each track is to be
    followed from, in place of its point in the first frame; ``masks`` uint8 ``(T, H, W)``, ids of objects as DAVIS
    draws them; ``plain_frames`` uint8 ``(T, 3, H, W)`` RGB, the frames before their colours were changed;
    ``pred_points`` and ``pred_visible`` of the shapes of ``points`` and ``visible``. Meta fields: ``key``
    ("scene/first__last@stride"), ``scene``, ``size`` (height, width) px, and of TAP-Vid ``query_mode``.
    """
    points: Tensor
    visible: Tensor
    weight: Tensor
    queries: Tensor
    masks: Tensor
    plain_frames: Tensor
    pred_points: Tensor
    pred_visible: Tensor


@dataclass(frozen=True)
class TrackTargets:
    """The tracks that a batch of clips is to learn, or that there are none.

    Args:
        points: ``(B, N, T, 2)`` px; may be anything, even nan, where ``weight`` is 0.
        visible: ``(B, N, T)`` in [0, 1].
        weight: ``(B, N, T)`` in [0, 1].
    """
    points: Optional[Tensor] = None
    visible: Optional[Tensor] = None
    weight: Optional[Tensor] = None

    @classmethod
    def of(cls, samples: Sequence[TrackSample]) -> 'TrackTargets':
        """The labels of samples, stacked; none unless every sample has points.

        Raises:
            ConfigError: samples of different numbers of tracks.
        """
        if not samples or any('points' not in sample for sample in samples):
            return cls()
        shapes = sorted({tuple(sample.points.shape) for sample in samples})
        if len(shapes) > 1:
            raise ConfigError(f'the clips of a batch have {" and ".join(str(shape[:2]) for shape in shapes)} (tracks, '
                              "frames); let train_dataloader.dataset.pipeline draw as many of each: add "
                              "dict(type='SampleTracks')")
        points, visible, weight = (torch.stack([sample.get(name) for sample in samples]).float()
                                   for name in ('points', 'visible', 'weight'))
        return cls(points, visible, weight)

    def label(self) -> Tuple[Tensor, Tensor, Tensor]:
        """Points, visibility and weight.

        Raises:
            ConfigError: there are none.
        """
        if self.points is None or self.visible is None or self.weight is None:
            raise ConfigError('a loss on tracks needs samples with tracks, and these have none; let '
                              "train_dataloader.dataset.pipeline begin with dict(type='LoadTracks') and end with "
                              "dict(type='PackClip')")
        return self.points, self.visible, self.weight


@dataclass(frozen=True)
class TrackOutputs:
    """What a tracker found for a batch of clips, and what it saw.

    Args:
        points: ``(B, N, T, 2)`` px each, iteration by iteration; the last one is the answer.
        visibility: ``(B, N, T)`` logits.
        frames: ``(B, T, 3, H, W)`` RGB in [0, 1], augmented as the network saw them.
        track_features: ``(B, T, N, C)`` each, the features of the tracks before each iteration; None unless a loss
            needs ``'features'``.
        features: ``(B, T, C, h, w)`` of the frames; None unless a loss needs ``'features'``.
        stride: px of a frame for each px of ``features``.
    """
    points: Sequence[Tensor]
    visibility: Tensor
    frames: Tensor
    track_features: Optional[Sequence[Tensor]] = None
    features: Optional[Tensor] = None
    stride: int = 1
