"""Frames that are seen again in another crop, so that no place is where it was."""
from __future__ import annotations

import torch
from torch import Tensor, nn

from mmrefine.geometry import pixel_grid, sample
from mmrefine.registry import MODELS
from mmrefine.values import as_number


@MODELS.register_module()
class CropWarp(nn.Module):
    """Cut off some pixels at each side, and stretch what remains to the size of the frame: a known affine warp, which
    leaves nothing of the result unknown.

    On a way back over the frames that the way there led over, a network that copies every cell from the same place
    comes back without mistake, whatever it sees. Over warped frames it does not: what comes back is compared with
    colours that are warped, too. That labels are warped as well as images is the idea of GMRW (Shrivastava and Owens,
    ECCV 2024).

    Args:
        shift: most px that are cut off at a side, at least 0; no place moves farther. A window of radius R reaches over
            ``4 R`` px, of which the motion in the video needs a part.

    Raises:
        ConfigError: a negative shift.
    """

    def __init__(self, shift: float = 12.) -> None:
        super().__init__()
        self.shift = as_number('CropWarp.shift', shift)

    def points(self, frames: Tensor) -> Tensor:
        """Draw a crop for each frame ``(B, C, H, W)``: ``(B, 2, H, W)`` px (x, y), where in the frame each pixel of the
        result lies. At most a quarter of a side is cut off at each end."""
        height, width = frames.shape[-2:]
        cut = [torch.rand(len(frames), 2, 2).to(frames) * min(self.shift, (side - 1) / 4) for side in (width, height)]
        first = torch.stack([near[:, 0, 0] for near in cut], dim=1)
        last = torch.stack([side - 1 - far[:, 1, 0] for side, far in zip((width, height), cut)], dim=1)
        scale = (last - first) / first.new_tensor([max(width - 1, 1), max(height - 1, 1)])
        return first[:, :, None, None] + scale[:, :, None, None] * pixel_grid(height, width, frames)

    def forward(self, frames: Tensor, points: Tensor) -> Tensor:
        """Frames ``(B, C, H, W)`` as the crops ``points`` show them, bilinear: the same shape."""
        return sample(frames, points, padding='border')

    def extra_repr(self) -> str:
        """The constructor's arguments."""
        return f'shift={self.shift}'
