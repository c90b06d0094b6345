"""The frames that the crops of a batch were cut out of."""
from __future__ import annotations

from dataclasses import dataclass
from typing import Sequence

import torch
from torch import Tensor

from mmrefine.geometry import landing_points, sample


@dataclass(frozen=True)
class WholeFrames:
    """What losses without labels compare: the whole frames of a batch of pairs, and where the crop that the network saw
    lies in them. The frames of different pairs may have different sizes.

    Args:
        frames1: of each pair ``(3, H, W)`` RGB in [0, 1], before their colours were changed.
        frames2: the same of frame 2.
        corners: ``(B, 2)`` px (x, y), the top left pixel of each crop.
    """
    frames1: Sequence[Tensor]
    frames2: Sequence[Tensor]
    corners: Tensor

    @classmethod
    def of_crops(cls, crops1: Tensor, crops2: Tensor) -> 'WholeFrames':
        """Where nothing is known but the crops ``(B, 3, H, W)`` themselves, they are the whole frames."""
        return cls(list(crops1), list(crops2), crops1.new_zeros(len(crops1), 2))

    def backwards(self) -> 'WholeFrames':
        """The same pairs from frame 2 to frame 1."""
        return WholeFrames(self.frames2, self.frames1, self.corners)

    def crops(self, height: int, width: int) -> Tensor:
        """Frame 1 as it is in the crops: ``(B, 3, height, width)``.

        Raises:
            ValueError: a crop does not lie within its frame.
        """
        found = []
        for frame, (left, top) in zip(self.frames1, self.corners.long().tolist()):
            if min(left, top) < 0 or top + height > frame.shape[-2] or left + width > frame.shape[-1]:
                raise ValueError(
                    f'a crop of {height}x{width} px (height x width) at (x, y) = ({left}, {top}) does not lie within '
                    f'its whole frame of {frame.shape[-2]}x{frame.shape[-1]} px; let the pipeline resize, crop and '
                    'mirror with transforms of mmrefine after KeepWholeFrames')
            found.append(frame[:, top:top + height, left:left + width])
        return torch.stack(found)

    def warped(self, flow: Tensor) -> Tensor:
        """Frame 2 seen from the crop of frame 1, wherever in the whole frame the motion leads.

        Args:
            flow: ``(B, 2, h, w)`` px of the crop.

        Returns:
            ``(B, 3, h, w)``, bilinear; beyond the whole frame its border is repeated.
        """
        points = self._landing_points(flow).nan_to_num()  # on a CPU the gradient of 'border' reads memory at nan
        return torch.cat([sample(frame[None], points[k:k + 1], 'border') for k, frame in enumerate(self.frames2)])

    def lands_inside(self, flow: Tensor) -> Tensor:
        """Whether the motion ends between the outermost pixel centres of the whole frame 2: bool ``(B, 1, h, w)``;
        False for nan and inf."""
        points = self._landing_points(flow)
        last = flow.new_tensor([[frame.shape[-1] - 1, frame.shape[-2] - 1] for frame in self.frames2])[..., None, None]
        return ((points >= 0) & (points <= last)).all(dim=1, keepdim=True)

    def _landing_points(self, flow: Tensor) -> Tensor:
        return landing_points(flow) + self.corners[..., None, None]
