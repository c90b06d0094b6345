"""Where to start tracks: dense windows around points of interest, as in Refine (arXiv 2401.00850), or a grid."""
from __future__ import annotations

from typing import Tuple

import torch
from torch import Tensor


def query_windows(points: Tensor, side: int, size: Tuple[int, int], border: int = 0) -> Tuple[Tensor, Tensor]:
    """Every pixel of a square window around each point of interest, so that one point becomes ``side^2`` queries.

    As in the code of Refine a window reaches from ``x - side // 2`` to ``x + (side - 1) // 2`` around the rounded
    point: 24 px for heads (CroHD), 40 px for keypoints (Horse30). Unlike there, a pixel in several windows is asked for
    once, for the nearest of their points, and pixels outside the frame are left out.

    Args:
        points: ``(N, 2)`` px (x, y); those that are not finite have no window.
        side: of a window, px, at least 1.
        size: (height, width) of the frame, px.
        border: px along the edges of the frame that are left out.

    Returns:
        queries ``(M, 2)`` float32 px (x, y), ordered by rows, and the index of the point that each belongs to,
        ``(M,)`` int64.

    Raises:
        ValueError: points of another shape, or a side below 1.
    """
    if points.dim() != 2 or points.shape[1] != 2 or side < 1:
        raise ValueError(
            f'windows need points (N, 2) and a side of at least 1 px, got {tuple(points.shape)} and {side}')
    height, width = size
    owners = torch.full((height * width, ), -1, dtype=torch.int64)
    nearest = torch.full((height * width, ), float('inf'))
    steps = torch.arange(side) - side // 2
    for number in points.isfinite().all(dim=1).nonzero()[:, 0].tolist():
        x, y = points[number].round().long().cpu()
        xs, ys = x + steps, y + steps
        xs, ys = xs[(xs >= border) & (xs < width - border)], ys[(ys >= border) & (ys < height - border)]
        pixels = (ys[:, None] * width + xs).flatten()
        distance = ((ys[:, None] - points[number, 1].cpu())**2 + (xs - points[number, 0].cpu())**2).flatten()
        distance = distance.to(nearest.dtype)  # squared, px
        closer = distance < nearest[pixels]
        nearest[pixels[closer]], owners[pixels[closer]] = distance[closer], number
    asked = (owners >= 0).nonzero()[:, 0]
    queries = torch.stack([asked % width, asked // width], dim=1).to(torch.float32)
    return queries.to(points.device), owners[asked].to(points.device)


def query_grid(size: Tuple[int, int], step: int, border: int = 0) -> Tensor:
    """Queries on a regular grid over the frame, for videos without points of interest; centred in the frame.

    Args:
        size: (height, width), px.
        step: from one to the next, px, at least 1.
        border: px along the edges that are left out.

    Returns:
        ``(M, 2)`` float32 px (x, y), by rows.

    Raises:
        ValueError: a step below 1.
    """
    if step < 1:
        raise ValueError(f'the step of a grid must be at least 1 px, got {step}')
    ys, xs = (_centred(length - 2 * border, step) + border for length in size)
    return torch.stack([xs.repeat(len(ys)), ys.repeat_interleave(len(xs))], dim=1)


def _centred(length: int, step: int) -> Tensor:
    count = max(-(-length // step), 0)
    return torch.arange(count) * step + max(length - 1 - (count - 1) * step, 0) // 2 * 1.
