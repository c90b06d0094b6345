"""Brightness constancy: does a pixel keep its colour along its motion?"""
from __future__ import annotations

import torch
from torch import Tensor

from mmrefine.geometry.vectors import lengths
from mmrefine.geometry.warp import backwarp, lands_inside

# IEC 61966-2-1: linear sRGB to CIE XYZ under D65; its rows sum to the white point, so every grey has a = b = 0
SRGB_TO_XYZ = ((0.4124564, 0.3575761, 0.1804375), (0.2126729, 0.7151522, 0.0721750), (0.0193339, 0.1191920, 0.9503041))
LUMA = (0.299, 0.587, 0.114)


def color_residual(frames1: Tensor, frames2: Tensor, flow: Tensor) -> Tensor:
    """How much a pixel's colour changes along its motion, in grey levels of 255.

    ``c(p) = 255 mean_RGB | I2(p + f(p)) - I1(p) |``, bilinear: the colour test of Refine (Sun et al.,
    arXiv 2401.00850).

    Args:
        frames1: ``(B, 3, H, W)`` RGB in [0, 1].
        frames2: the same shape.
        flow: ``(B, 2, H, W)`` px, frame 1 -> frame 2.

    Returns:
        ``(B, 1, H, W)`` grey levels; ``inf`` where ``p + f(p)`` leaves the frame, where the code of Refine
        compares with mid-grey.
    """
    residual = 255 * (backwarp(frames2, flow) - frames1).abs().mean(dim=1, keepdim=True)
    return residual.masked_fill(~lands_inside(flow), float('inf'))


def lab_residual(frames1: Tensor, frames2: Tensor, flow: Tensor) -> Tensor:
    """How much a pixel's colour changes along its motion as an eye sees it: the colour difference CIE76.

    ``c(p) = | Lab(I2(p + f(p))) - Lab(I1(p)) |``, the Euclidean distance of :func:`lab` colours, bilinear in RGB.

    Args:
        frames1: ``(B, 3, H, W)`` sRGB in [0, 1].
        frames2: the same shape.
        flow: ``(B, 2, H, W)`` px, frame 1 -> frame 2.

    Returns:
        ``(B, 1, H, W)``, about 2.3 for a just noticeable difference, 100 from black to white;
        ``inf`` where ``p + f(p)`` leaves the frame.
    """
    residual = lengths(lab(backwarp(frames2, flow)) - lab(frames1))
    return residual.masked_fill(~lands_inside(flow), float('inf'))


def lab(frames: Tensor) -> Tensor:
    """CIE L*a*b* of sRGB frames under D65: ``(B, 3, H, W)`` in [0, 1] -> the same shape, L in [0, 100],
    a and b about +-100.
    """
    linear = torch.where(frames <= 0.04045, frames / 12.92, ((frames.clamp(min=0) + 0.055) / 1.055)**2.4)
    matrix = frames.new_tensor(SRGB_TO_XYZ)
    xyz = torch.einsum('ij,bjhw->bihw', matrix / matrix.sum(dim=1, keepdim=True), linear)
    knee = 6 / 29  # below its cube the cube root is continued by its tangent
    root = torch.where(xyz > knee**3, xyz.clamp(min=knee**3)**(1 / 3), xyz / (3 * knee**2) + 4 / 29)
    x, y, z = root.unbind(1)
    return torch.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], dim=1)


def luma(frames: Tensor) -> Tensor:
    """The luma of each pixel, ITU-R BT.601: ``(B, 3, H, W)`` RGB in [0, 1] -> ``(B, 1, H, W)`` grey levels of 255."""
    return 255 * (frames * frames.new_tensor(LUMA).view(1, 3, 1, 1)).sum(dim=1, keepdim=True)
