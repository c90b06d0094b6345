"""Warping: where pixels land, and what an image holds there."""
from __future__ import annotations

from torch import Tensor

from mmrefine.geometry.grid import pixel_grid, sample


def landing_points(flow: Tensor) -> Tensor:
    """Where each pixel lands, ``p + f(p)``: ``(B, 2, H, W)`` px, (x, y)."""
    return flow + pixel_grid(flow.shape[-2], flow.shape[-1], flow)


def lands_inside(flow: Tensor) -> Tensor:
    """Whether ``p + f(p)`` lies between the outermost pixel centres: bool ``(B, 1, H, W)``.

    False for nan and inf.
    """
    x, y = landing_points(flow).unbind(1)
    height, width = flow.shape[-2:]
    return ((x >= 0) & (x <= width - 1) & (y >= 0) & (y <= height - 1))[:, None]


def backwarp(image: Tensor, flow: Tensor, padding: str = 'zeros') -> Tensor:
    """Frame 2 seen from frame 1: ``w(p) = image(p + f(p))``, bilinear.

    Args:
        image: ``(B, C, H, W)`` of frame 2 (colours, features, a backward flow, ...).
        flow: ``(B, 2, H, W)`` px, frame 1 -> frame 2.
        padding: what lies outside frame 2, see :func:`~mmrefine.geometry.grid.sample`.

    Returns:
        ``(B, C, H, W)`` on the pixels of frame 1.
    """
    return sample(image, landing_points(flow), padding)
