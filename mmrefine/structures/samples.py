"""A frame pair, a batch of them in front of the losses, or a whole video, on its way through MMEngine."""
from __future__ import annotations

from dataclasses import dataclass
from typing import Callable, Dict, Optional, Sequence, Tuple

import torch
from mmengine.structures import BaseDataElement
from torch import Tensor

from mmrefine.errors import ConfigError
from mmrefine.structures.whole_frames import WholeFrames


@dataclass(frozen=True)
class MixedPart:
    """The part of a mixed training that a sample is from.

    Args:
        name: of the part.
        loss_weight: factor on its losses, at least 0.
        names: of all parts.
    """
    name: str
    loss_weight: float
    names: Tuple[str, ...]


class FlowSample(BaseDataElement):
    """What is known of one frame pair beside its pixels; MMEngine moves it between devices.

    Data fields, all optional: ``flow`` ``(2, H, W)`` px and ``weight`` ``(1, H, W)`` in [0, 1]
    (label or ground truth); ``pred_flow`` ``(2, H, W)`` px; for the scores of benchmarks ``regions``, bool
    ``(H, W)`` by name, and ``subpixel_flow`` ``(4, 2, H, W)`` px, nan where unknown; for losses without labels
    ``whole_frames`` uint8 ``(2, 3, H, W)`` RGB, both frames before they were cropped. Meta fields:
    ``key`` ("scene/frame1__frame2"), ``scene``, ``size`` (height, width) px, ``corner`` (x, y) px of the crop in
    ``whole_frames``; of a mixed training ``part``, a :class:`MixedPart`.
    """
    flow: Tensor
    weight: Tensor
    pred_flow: Tensor
    regions: Dict[str, Tensor]
    subpixel_flow: Tensor
    whole_frames: Tensor


@dataclass(frozen=True)
class FlowTargets:
    """What losses compare a batch of frame pairs with: labels and whole frames, or that there are none.

    Args:
        flow: ``(B, 2, H, W)`` px; may be anything, even nan, where ``weight`` is 0.
        weight: ``(B, 1, H, W)`` in [0, 1].
        whole: the frames that the pairs were cropped from.
    """
    flow: Optional[Tensor] = None
    weight: Optional[Tensor] = None
    whole: Optional[WholeFrames] = None

    @classmethod
    def of(cls, samples: Sequence[FlowSample]) -> 'FlowTargets':
        """The labels of samples, stacked; none unless every sample has ``flow`` and ``weight``. Their whole frames
        likewise."""
        flow, weight, whole = None, None, None
        if samples and all('flow' in sample and 'weight' in sample for sample in samples):
            flow = torch.stack([sample.flow for sample in samples]).float()
            weight = torch.stack([sample.weight for sample in samples]).float()
        if samples and all('whole_frames' in sample for sample in samples):
            frames1, frames2 = zip(*(sample.whole_frames.float() / 255 for sample in samples))
            whole = WholeFrames(frames1, frames2, frames1[0].new_tensor([sample.corner for sample in samples]))
        return cls(flow, weight, whole)

    @property
    def has_labels(self) -> bool:
        """Whether there are any."""
        return self.flow is not None and self.weight is not None

    def label(self) -> Tuple[Tensor, Tensor]:
        """Flow and weight.

        Raises:
            ConfigError: there are none.
        """
        if self.flow is None or self.weight is None:
            raise ConfigError('a loss on labels, or model.train_start, needs samples with flow and weight, and these '
                              "have none; let train_dataloader.dataset.pipeline begin with dict(type='LoadLabel') and "
                              "end with dict(type='PackPair')")
        return self.flow, self.weight


@dataclass(frozen=True)
class FlowOutputs:
    """What a flow network found for a batch of frame pairs, and what it saw.

    Args:
        flows: ``(B, 2, H, W)`` px each, frame 1 -> frame 2, coarse to fine (pyramid levels, iterations); the last one
            is the answer.
        frames1: ``(B, 3, H, W)`` RGB in [0, 1], augmented as the network saw them.
        frames2: the same shape.
        flows_bw: as ``flows``, frame 2 -> frame 1; None unless a loss needs ``'backward'``.
        features: of frame 1 and of frame 2, ``(B, C, h, w)`` each, on the padded frames; None unless a loss needs
            ``'features'``.
        padding: px that were added to the frames at the left, right, top and bottom before they were encoded.
        estimate: the network as it is trained, for other frames 1 and 2 of the same shape: the flows there and those
            back; None unless a loss needs ``'estimate'``.
    """
    flows: Sequence[Tensor]
    frames1: Tensor
    frames2: Tensor
    flows_bw: Optional[Sequence[Tensor]] = None
    features: Optional[Tuple[Tensor, Tensor]] = None
    padding: Tuple[int, int, int, int] = (0, 0, 0, 0)
    estimate: Optional[Callable[[Tensor, Tensor], Tuple[Sequence[Tensor], Sequence[Tensor]]]] = None

    def of_pairs(self, index: Sequence[int]) -> 'FlowOutputs':
        """The same of some pairs of the batch, in this order."""
        at = torch.tensor(index, device=self.frames1.device)
        return FlowOutputs([flow[at] for flow in self.flows], self.frames1[at], self.frames2[at],
                           None if self.flows_bw is None else [flow[at] for flow in self.flows_bw],
                           None if self.features is None else (self.features[0][at], self.features[1][at]),
                           self.padding, self.estimate)


class ClipSample(BaseDataElement):
    """What is known of one video beside its pixels, and what was carried along it.

    Data fields, all optional: ``masks`` and ``pred_masks`` ``(T, H, W)`` uint8 ids of objects, 0 is background, 255
    void; ``points`` and ``pred_points`` ``(T, N, 2)`` px (x, y), with ``visible`` bool ``(T, N)``. Meta fields:
    ``scene``, the video's name, ``size`` (height, width) px, and ``names`` of the frames.
    """
    masks: Tensor
    pred_masks: Tensor
    points: Tensor
    pred_points: Tensor
    visible: Tensor
