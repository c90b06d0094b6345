"""Tracks in both directions in time: there and back, and from queries anywhere in a clip."""
from __future__ import annotations

from typing import TYPE_CHECKING, Callable, Sequence, Tuple

import torch
from torch import Tensor

from mmrefine.structures.tracks import Tracks

if TYPE_CHECKING:
    from mmrefine.structures import TrackEstimator, TrackSample


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


def track_both_ways(model: 'TrackEstimator', frames: Tensor, queries: Tensor) -> Tracks:
    """:func:`follow_both_ways` through frames ``(T, 3, H, W)`` RGB in [0, 1].

    Args:
        model: the tracker.
        frames: of the clip.
        queries: ``(N, 3)``: frame, y, x; px of these frames.

    Raises:
        InputError: a query that is not in the clip.
        TeacherError: points that are not finite.
    """
    return follow_both_ways(
        lambda way, asked: model.track(frames if way[0] == 0 else frames.flip(0), asked), len(frames), queries)


def follow_both_ways(follow: Callable[[Sequence[int], Tensor], Tracks], count: int, queries: Tensor) -> Tracks:
    """Follow points from their queries to the end of a clip, and back to its first frame.

    Args:
        follow: follows queries ``(N, 3)`` through the frames of these numbers, in this order; the frame of a query is
            an index into them.
        count: frames of the clip.
        queries: ``(N, 3)``: frame, y, x.

    Returns:
        tracks that are known in every frame.
    """
    found = follow(range(count), queries)
    later = queries[:, 0] > 0
    if not bool(later.any()):
        return found
    reverse = queries[later].clone()
    reverse[:, 0] = count - 1 - reverse[:, 0]
    back = follow(range(count - 1, -1, -1), reverse)
    points, visible, rows = found.points.clone(), found.visible.clone(), later.to(found.points.device)
    earlier = torch.arange(count, device=rows.device) < queries[later, :1].to(rows.device)
    points[rows] = torch.where(earlier[..., None], back.points.flip(1), points[rows])
    visible[rows] = torch.where(earlier, back.visible.flip(1), visible[rows])
    return Tracks(points, visible, found.queries, found.size)


def predict_sample(model: 'TrackEstimator', frames: Tensor, sample: 'TrackSample') -> None:
    """Fill ``pred_points`` and ``pred_visible`` of a clip.

    Points are followed from the ``queries`` of the sample, where it has any: to the end of the clip, and with
    ``query_mode='strided'`` back to its first frame, too. Else from its ``points`` in the first frame, those outside
    moved to the border.

    Args:
        model: the tracker, in evaluation mode.
        frames: ``(T, 3, H, W)`` RGB in [0, 1].
        sample: of this clip.

    Raises:
        InputError: a query that is not in the clip.
        TeacherError: points that are not finite.
    """
    queries = sample.get('queries')
    if queries is None:
        queries = queries_of(sample.points[:, 0], (frames.shape[-2], frames.shape[-1]))
    if sample.get('query_mode') == 'strided':
        found = track_both_ways(model, frames, queries.to(frames.device))
    else:
        found = model.track(frames, queries.to(frames.device))
    sample.pred_points, sample.pred_visible = found.points, found.visible
