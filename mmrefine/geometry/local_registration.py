"""Motion measured in the picture itself: by how much a small window has to move to look like the other frame."""
from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from mmrefine.geometry.vectors import lengths
from mmrefine.geometry.warp import backwarp
from mmrefine.geometry.window import box_mean


def register_locally(frames1: Tensor,
                     frames2: Tensor,
                     flow: Tensor,
                     radius: int = 3,
                     steps: int = 2,
                     damping: float = 2.5,
                     furthest: float = 1.) -> Tensor:
    """The flow, moved a little so that frame 2 explains the window around each pixel better.

    Steps of Lucas and Kanade (IJCAI 1981) from the given flow: ``d = -(mean g g^T + damping^2 I)^-1 mean g e``, with
    the slope ``g`` of the mean of both frames and their difference ``e``, frame 2 warped back. Slopes and differences
    are without their means over the window, so a change of brightness moves nothing; the three channels count alike.
    Motion that is a few tenths of a pixel off is set right where there is texture. Where a window has none, or shows
    what only one of the frames has, the flow may get worse.

    Args:
        frames1: ``(B, 3, H, W)`` RGB in [0, 1].
        frames2: the same shape.
        flow: ``(B, 2, H, W)`` px, frame 1 -> frame 2.
        radius: of the window, which falls off linearly to nothing at ``2 radius + 1`` px.
        steps: how many.
        damping: slopes that do not count, grey levels of 255 per px.
        furthest: longest step, px.

    Returns:
        ``(B, 2, H, W)`` px.
    """

    def window(image: Tensor) -> Tensor:
        return box_mean(box_mean(image, radius), radius)

    least = (damping / 255)**2
    for _ in range(steps):
        warped = backwarp(frames2, flow, 'border')
        middle = F.pad((frames1 + warped) / 2, [1] * 4, mode='replicate')
        slope_x = (middle[..., 1:-1, 2:] - middle[..., 1:-1, :-2]) / 2
        slope_y = (middle[..., 2:, 1:-1] - middle[..., :-2, 1:-1]) / 2
        gx, gy, change = (image - window(image) for image in (slope_x, slope_y, warped - frames1))
        products = torch.stack([gx * gx, gy * gy, gx * gy, gx * change, gy * change]).mean(dim=2)
        xx, yy, xy, xe, ye = (part[:, None] for part in window(products.transpose(0, 1)).unbind(1))
        xx, yy = xx + least, yy + least
        step = torch.cat([xy * ye - yy * xe, xy * xe - xx * ye], dim=1) / (xx * yy - xy * xy)
        far = lengths(step).clamp(min=1e-6)
        flow = flow + step * (far.clamp(max=furthest) / far)
    return flow
