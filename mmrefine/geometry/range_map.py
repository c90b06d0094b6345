"""The range map: how often each pixel of frame 2 is where a pixel of frame 1 goes."""
from __future__ import annotations

from typing import Optional

import torch
from torch import Tensor

from mmrefine.geometry.warp import landing_points

# claims are added up as whole numbers: no order of summation (threads, device) changes their sum
_UNIT = 2**16


def range_map(flow: Tensor, counted: Optional[Tensor] = None) -> Tensor:
    """How many pixels of frame 1 land at each pixel of frame 2.

    Each pixel counts 1 in all, spread bilinearly over the four pixels around its landing point; what falls outside is
    lost. Of a backward flow it says how much of each pixel of frame 1 is seen in frame 2: 0 where nothing of frame 2
    comes from there. Source: Wang et al., Occlusion Aware Unsupervised Learning of Optical Flow, CVPR 2018, section
    3.2. It has no gradient.

    Args:
        flow: ``(B, 2, H, W)`` px, (x, y), frame 1 -> frame 2.
        counted: bool ``(B, 1, H, W)``, which pixels count. Default: all whose motion is a finite number.

    Returns:
        ``(B, 1, H, W)``, not negative, exact to 2^-16 a pixel.
    """
    batch, _, height, width = flow.shape
    flow = flow.detach()
    if counted is None:
        counted = torch.isfinite(flow).all(dim=1, keepdim=True)
    # points far away would overflow as whole numbers; what is not counted (nan, too) adds nothing to the pixel (0, 0)
    limits = flow.new_tensor([width, height]).view(1, 2, 1, 1)
    points = torch.where(counted, torch.minimum(landing_points(flow).clamp(min=-2.), limits), torch.zeros_like(flow))
    first = points.floor()
    x1, y1 = (points - first).unbind(1)
    column, row = first.long().unbind(1)
    claims = torch.zeros(batch, height * width, dtype=torch.long, device=flow.device)
    for dy, share_y in ((0, 1 - y1), (1, y1)):
        for dx, share_x in ((0, 1 - x1), (1, x1)):
            y, x = row + dy, column + dx
            there = counted[:, 0] & (y >= 0) & (y < height) & (x >= 0) & (x < width)
            at = y.clamp(0, height - 1) * width + x.clamp(0, width - 1)
            share = (share_x * share_y * there * _UNIT).round().long()
            claims.scatter_add_(1, at.flatten(1), share.flatten(1))
    return claims.view(batch, 1, height, width).to(flow.dtype) / _UNIT
