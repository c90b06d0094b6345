"""Means over the square window around each pixel."""
from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor


def box_mean(image: Tensor, radius: int) -> Tensor:
    """Mean over the ``(2 radius + 1)^2`` px around each pixel, of those that lie in the frame:
    ``(B, C, H, W)`` as given.
    """
    # rows, then columns: the part of a window that lies in the frame is a rectangle, too
    rows = F.avg_pool2d(image, (1, 2 * radius + 1), stride=1, padding=(0, radius), count_include_pad=False)
    return F.avg_pool2d(rows, (2 * radius + 1, 1), stride=1, padding=(radius, 0), count_include_pad=False)
