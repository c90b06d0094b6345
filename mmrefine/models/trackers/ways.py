"""The way back of tracks: from where they end up to where they began."""
from __future__ import annotations

from typing import Callable, Tuple

import torch
from torch import Tensor

from mmrefine.structures.tracks import Tracks


def there_and_back(follow: Callable[[Tensor, bool], Tracks], points: Tensor,
                   size: Tuple[int, int]) -> Tuple[Tensor, Tensor, Tensor]:
    """Follow points from the first frame of a clip to the last, and from where they end up back to the first.

    Points that end up outside the frame are followed from the nearest pixel of its border, so that their way back does
    not lead to where they came from.

    Args:
        follow: follows queries ``(N, 3)`` (frame, y, x) through the clip, backwards if its second argument is True:
            then frame 0 is the last one.
        points: ``(N, 2)`` px (x, y), in the first frame.
        size: (height, width) of the frames, px.

    Returns:
        the way there ``(N, T, 2)`` px, the way back in the same order of frames, and how surely each point is seen on
        the way there, ``(N, T)`` in [0, 1].
    """
    there = follow(queries_of(points, size), False)
    back = follow(queries_of(there.points[:, -1].to(points.device), size), True)
    return there.points, back.points.flip(1), there.visible


def queries_of(points: Tensor, size: Tuple[int, int]) -> Tensor:
    """Points ``(N, 2)`` px of the first frame as queries ``(N, 3)`` (frame, y, x), those outside moved to the
    border."""
    inside = torch.minimum(points.clamp(min=0.), points.new_tensor([size[1] - 1., size[0] - 1.]))
    return torch.cat([torch.zeros_like(inside[:, :1]), inside.flip(1)], dim=1)
