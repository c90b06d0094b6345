"""How far tracks may be off, by following them back: a measure that every tracker has."""
from __future__ import annotations

from dataclasses import replace
from typing import Any, Callable, Dict, List, Sequence, Tuple

import torch
from torch import Tensor

from mmrefine.models.trackers.ways import queries_of
from mmrefine.structures.tracks import Tracks

Follow = Callable[[Callable[[int], Tensor], int, Tuple[int, int], Tensor], Tracks]  # as StreamTracker.track_stream

PIECE = 7  # steps that are followed back at a time: a window of PIPs has eight frames
# A way back goes astray as the way there does, and so hides a part of what was lost. With this factor two thirds of the
# points of the small PIPs that are expected to be right within 2 px are (benchmarks/track_errors.py --raw
# --first-seed 61000 --clips 2); no unit.
FACTOR = 2.4


def with_round_trips(follow: Follow, frame: Callable[[int], Tensor], count: int, size: Tuple[int, int],
                     queries: Tensor) -> Tracks:
    """Follow points, then follow them back piece by piece, which says how far they may be off.

    The video is cut into pieces of 7 steps. From the last frame of a piece points are followed back to its first one,
    or to that of their query if it is later; how far from the way there they arrive is what they may have lost in this
    piece, in each of its steps the same, and losses add up along the way; the sum, times 2.4, is the expected error.
    Points that a tracker knows before their query, too, are judged there by the way forth. The frames of one piece are
    in memory, so it does not grow with the video; each frame is asked for twice, and all takes about twice the time.

    Args:
        follow: as :meth:`~mmrefine.structures.StreamTracker.track_stream`.
        frame: gives frame t, ``(3, H, W)`` RGB in [0, 1]; asked in rising order, then from the first on again.
        count: frames of the video.
        size: (height, width) of the frames, px.
        queries: ``(N, 3)``: frame, y, x.

    Returns:
        the tracks of ``follow``, with their error.

    Raises:
        InputError: a query that is not in the video.
        TeacherError: points that are not finite.
    """
    tracks = follow(frame, count, size, queries)
    begins, last = tracks.queries[:, 0].long(), count - 1
    known, numbers = tracks.points.isfinite().all(dim=-1), torch.arange(count, device=begins.device)
    after, before = numbers > begins[:, None], numbers < begins[:, None]
    lost = torch.zeros_like(tracks.visible)  # px, from the frame before or, before the query, from the frame after
    clip: List[Tensor] = []
    for first in range(0, last, PIECE):
        end = min(first + PIECE, last)
        back, forth = known[:, end] & after[:, end], known[:, first] & before[:, first]
        if not bool((back | forth).any()):
            clip = []
            continue
        clip = clip[-1:]  # the seam is in two pieces; the others are let go before more come
        clip += [frame(t) for t in range(first + bool(clip), end + 1)]
        for rows, backwards in ((back, True), (forth, False)):
            entries = begins[rows].clamp(first, end) - first  # in which frame the way from the query enters the piece
            gap = _gap(follow, clip, tracks.points[rows, first:end + 1], entries, size, backwards)
            steps = end - first - entries if backwards else entries
            frames, judged = (slice(first + 1, end + 1), after) if backwards else (slice(first, end), before)
            lost[rows, frames] += (gap / steps)[:, None] * judged[rows, frames]
    error = (lost * after).cumsum(1) * after + (lost * before).flip(1).cumsum(1).flip(1) * before
    return replace(tracks, error=(FACTOR * error).masked_fill(~known, float('nan')))


class RoundTripErrors:
    """Makes a :class:`~mmrefine.structures.ErrorTracker` of a tracker that has ``track_stream``."""
    track_stream: Follow

    def track_with_errors(self, frame: Callable[[int], Tensor], count: int, size: Tuple[int, int],
                          queries: Tensor) -> Tracks:
        """``track_stream``, with errors by the way back of each piece of the video; see :func:`with_round_trips`."""
        return with_round_trips(self.track_stream, frame, count, size, queries)

    def describe_errors(self) -> Dict[str, Any]:
        """What decides over expected errors beside weights and network; JSON-able."""
        return dict(by='round trips', steps=PIECE, factor=FACTOR)


def _gap(follow: Follow, clip: Sequence[Tensor], points: Tensor, entries: Tensor, size: Tuple[int, int],
         backwards: bool) -> Tensor:
    """How far from where they entered a clip points arrive that are followed through it the other way, ``(N,)`` px, at
    most height + width.

    Args:
        follow: see :func:`with_round_trips`.
        clip: its frames.
        points: ``(N, T, 2)`` px, known from the entry to the last frame, or from the first to the entry if not
            ``backwards``.
        entries: ``(N,)``, frames of the clip.
        size: (height, width) of the frames, px.
        backwards: whether the other way is that from the last frame to the first.
    """
    if not len(points):
        return points.new_zeros(0)
    order: List[int] = list(range(len(clip) - 1, -1, -1) if backwards else range(len(clip)))
    asked = queries_of(points[:, order[0]], size)
    way = follow(lambda k: clip[order[k]], len(clip), size, asked).points.to(points.device)[:, order]
    every = torch.arange(len(points), device=points.device)
    return (way - points)[every, entries].norm(dim=-1).clamp(max=float(sum(size)))
