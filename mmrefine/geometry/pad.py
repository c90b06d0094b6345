"""Padding of frames for networks that need sides in multiples of 8 or 64."""
from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor


class FramePad:
    """Replicate the border up to the next multiple of ``divisor``, and cut it off again.

    Rows and columns are added on both sides (RAFT's "sintel" padding), the odd one at the bottom
    and the right.

    Args:
        height: of the frames, px.
        width: of the frames, px.
        divisor: what both sides must be a multiple of, px.
        least: smallest side after padding, px (the top of a pyramid needs at least one cell).
    """

    def __init__(self, height: int, width: int, divisor: int, least: int = 0) -> None:
        least = -(-least // divisor) * divisor
        extra_y = max(-height % divisor, least - height)
        extra_x = max(-width % divisor, least - width)
        self.top, self.left = extra_y // 2, extra_x // 2
        self.bottom, self.right = extra_y - self.top, extra_x - self.left

    def pad(self, image: Tensor) -> Tensor:
        """``(B, C, H, W)`` with its border repeated."""
        if not (self.top or self.left or self.bottom or self.right):
            return image
        return F.pad(image, [self.left, self.right, self.top, self.bottom], mode='replicate')

    def crop(self, image: Tensor) -> Tensor:
        """``(..., H + padding, W + padding)`` without the padding."""
        height, width = image.shape[-2:]
        return image[..., self.top:height - self.bottom, self.left:width - self.right]
