"""Does a pixel look the same where it lands?"""
from __future__ import annotations

from torch import Tensor

from .warp import backwarp, lands_inside


def color_residual(frames1: Tensor, frames2: Tensor, flow: Tensor) -> Tensor:
    """How much a pixel's colour changes along its motion, in grey levels of 255.

    ``c(p) = 255 mean_RGB | I2(p + f(p)) - I1(p) |``, bilinear (Refine, PAPERS.md A.2).

    Args:
        frames1: ``(B, 3, H, W)`` RGB in [0, 1].
        frames2: the same shape.
        flow: ``(B, 2, H, W)`` px, frame 1 -> frame 2.

    Returns:
        ``(B, 1, H, W)`` grey levels; ``inf`` where ``p + f(p)`` leaves the frame, where the
        reference compares with mid-grey (A.9, 2).
    """
    residual = 255 * (backwarp(frames2, flow) - frames1).abs().mean(dim=1, keepdim=True)
    return residual.masked_fill(~lands_inside(flow), float('inf'))
