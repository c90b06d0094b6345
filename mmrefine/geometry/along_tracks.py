"""What frames show along tracks, and how fast tracks are."""
from __future__ import annotations

from typing import Tuple

import torch
from torch import Tensor

from mmrefine.geometry.color import luma
from mmrefine.geometry.cycle import cycle_error
from mmrefine.geometry.grid import sample

ALPHA, BETA = 0.01, 0.5  # of the motion there and back; px


def sample_along(images: Tensor, points: Tensor, padding: str = 'zeros') -> Tensor:
    """Values of the frames at the points of tracks, bilinear, pixel centres at integers.

    Args:
        images: ``(T, C, H, W)``, one for each frame.
        points: ``(N, T, ..., 2)`` px (x, y), finite.
        padding: what lies outside, see :func:`~mmrefine.geometry.grid.sample`.

    Returns:
        ``(N, T, ..., C)``.
    """
    if not points.numel():
        return images.new_zeros(*points.shape[:-1], images.shape[1])  # grid_sample refuses to sample nowhere
    at = points.flatten(2, -2) if points.dim() > 3 else points[:, :, None]
    values = sample(images, at.permute(1, 3, 0, 2), padding)  # (T, C, N, P)
    return values.permute(2, 0, 3, 1).reshape(*points.shape[:-1], images.shape[1])


def patches_along(images: Tensor, points: Tensor, radius: int) -> Tensor:
    """Square patches of the frames around the points of tracks, bilinear; outside the frame its edge is repeated.

    Args:
        images: ``(T, C, H, W)``, one for each frame.
        points: ``(N, T, 2)`` px (x, y), finite.
        radius: a patch has ``P = (2 radius + 1)^2`` px.

    Returns:
        ``(N, T, P, C)``.
    """
    steps = torch.arange(-radius, radius + 1, dtype=points.dtype, device=points.device)
    offsets = torch.stack([steps.repeat(len(steps)), steps.repeat_interleave(len(steps))], dim=1)
    return sample_along(images, points[:, :, None] + offsets, 'border')


def points_inside(points: Tensor, size: Tuple[int, int]) -> Tensor:
    """Whether points lie between the outermost pixel centres of a frame; False for nan and inf.

    Args:
        points: ``(..., 2)`` px (x, y).
        size: (height, width) of the frame, px.

    Returns:
        bool ``(...)``.
    """
    x, y = points.unbind(-1)
    return (x >= 0) & (x <= size[1] - 1) & (y >= 0) & (y <= size[0] - 1)


def color_change(frames: Tensor, points: Tensor) -> Tensor:
    """How much the colour of a point changes along its track, in grey levels of 255.

    ``mean_t>0 | I_t(p_t) - I_0(p_0) |_2`` over R, G and B, bilinear.

    Args:
        frames: ``(T, 3, H, W)`` RGB in [0, 1].
        points: ``(N, T, 2)`` px (x, y), finite.

    Returns:
        ``(N,)`` from 0 to 442 grey levels; ``inf`` for a track that leaves the frame; 0 in a clip of one frame.
    """
    colors = 255 * sample_along(frames, points)
    change = (colors[:, 1:] - colors[:, :1]).norm(dim=-1).sum(dim=1) / max(points.shape[1] - 1, 1)
    return change.masked_fill(~points_inside(points, (frames.shape[-2], frames.shape[-1])).all(dim=1), float('inf'))


def patch_mismatch(frames: Tensor, points: Tensor, radius: int = 3, noise: float = 2.) -> Tensor:
    """How little the surroundings of a point look like those of its query: 1 - zero-mean normalised correlation.

    ``1 - cov(a, b) / (sigma_a sigma_b + noise^2)`` of the brightness in a square patch around the point of the first
    frame and around that of frame t, bilinear; blind to gain and offset. A flat patch gives 1, and so does what is
    unlike; outside the frame its edge is repeated.

    Args:
        frames: ``(T, 3, H, W)`` RGB in [0, 1].
        points: ``(N, T, 2)`` px (x, y), finite.
        radius: the patch has ``2 radius + 1`` px on a side.
        noise: of the camera, grey levels of 255; contrast below it is no evidence.

    Returns:
        ``(N, T)`` in [0, 2]; about 0 in the first frame where there is texture.
    """
    patches = patches_along(luma(frames), points, radius)[..., 0]
    patches = patches - patches.mean(dim=-1, keepdim=True)
    spread = patches.square().mean(dim=-1).sqrt()
    likeness = (patches * patches[:, :1]).mean(dim=-1) / (spread * spread[:, :1] + noise**2)
    return 1 - likeness.clamp(-1., 1.)


def track_speed(points: Tensor) -> Tensor:
    """The length of a track by the number of its frames, ``sum_t | p_(t+1) - p_t | / T``, px a frame.

    As in the code of Refine (Sun et al. 2024) the T - 1 steps are divided by T.

    Args:
        points: ``(N, T, 2)`` px.

    Returns:
        ``(N,)`` px a frame.
    """
    return points.diff(dim=1).norm(dim=-1).sum(dim=1) / max(points.shape[1], 1)


def carry_points(points: Tensor, flow_fw: Tensor) -> Tensor:
    """Points of frame t as they lie in frame t + 1: ``p' = p + flow_fw(p)``, bilinear.

    A point outside of the frame moves as the nearest pixel of its edge does, so it may come back.

    Args:
        points: ``(N, 2)`` px (x, y), of frame t.
        flow_fw: ``(2, H, W)`` px, frame t -> frame t + 1.

    Returns:
        ``(N, 2)`` px.

    Raises:
        ValueError: other shapes.
    """
    if points.dim() != 2 or points.shape[1] != 2 or flow_fw.dim() != 3 or len(flow_fw) != 2:
        raise ValueError(f'points (N, 2) need a flow (2, H, W), got {tuple(points.shape)} and {tuple(flow_fw.shape)}')
    return points + sample(flow_fw[None], points.t()[None, :, :, None], padding='border')[0, :, :, 0].t()


def points_come_back(points: Tensor, flow_fw: Tensor, flow_bw: Tensor) -> Tensor:
    """Whether the flow at points survives its round trip: ``e <= 0.01 (|f| + |b|) + 0.5 px``, bilinear; ``e`` is
    :func:`~mmrefine.geometry.cycle_error`.

    Args:
        points: ``(N, 2)`` px (x, y), of frame t; one outside of the frame counts as the nearest pixel of its edge.
        flow_fw: ``(1, 2, H, W)`` px, frame t -> frame t + 1.
        flow_bw: the same shape, frame t + 1 -> frame t.

    Returns:
        bool ``(N,)``.
    """
    bound = ALPHA * (flow_fw.norm(dim=1, keepdim=True) + flow_bw.norm(dim=1, keepdim=True)) + BETA
    return sample(bound - cycle_error(flow_fw, flow_bw), points.t()[None, :, :, None], 'border')[0, 0, :, 0] >= 0
