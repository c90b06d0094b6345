"""Whether there is texture at a pixel that its motion can be measured by."""
from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from mmrefine.geometry.color import luma
from mmrefine.geometry.window import box_mean


def texture_strength(frames: Tensor, radius: int = 3) -> Tensor:
    """Gradient in the direction where it is weakest, in grey levels per px.

    ``s(p) = sqrt(lambda_min(mean_window g g^T))`` with the Sobel gradient ``g`` of the brightness: 0 in flat areas and
    along straight edges, whose motion along themselves cannot be seen (aperture problem); large at corners and in
    texture. Shi & Tomasi, CVPR 1994. Independent noise of ``n`` grey levels alone gives about ``0.4 n``.

    Args:
        frames: ``(B, 3, H, W)`` RGB in [0, 1].
        radius: the window has ``2 radius + 1`` px on a side.

    Returns:
        ``(B, 1, H, W)`` grey levels per px, not negative.
    """
    grey = F.pad(luma(frames), [1] * 4, mode='replicate')
    slope, smooth = grey.new_tensor([-.5, 0., .5]), grey.new_tensor([.25, .5, .25])
    gx = F.conv2d(grey, torch.outer(smooth, slope)[None, None])
    gy = F.conv2d(grey, torch.outer(slope, smooth)[None, None])
    xx, yy, xy = (box_mean(product, radius) for product in (gx * gx, gy * gy, gx * gy))
    smaller = (xx + yy) / 2 - (((xx - yy) / 2)**2 + xy**2).sqrt()
    return smaller.clamp(min=0).sqrt()
