"""Points carried from frame to frame by flow."""
from __future__ import annotations

from typing import Callable, Tuple

import torch
from torch import Tensor

from mmrefine.errors import TeacherError
from mmrefine.geometry import carry_points, points_come_back, points_inside
from mmrefine.structures.tracks import Tracks, check_queries

# step t -> flow from frame t to frame t + 1 and back, (1, 2, H, W) px each
Steps = Callable[[int], Tuple[Tensor, Tensor]]


def chain_flow(steps: Steps, count: int, size: Tuple[int, int], queries: Tensor) -> Tracks:
    """Follow points to the end of a clip, step by step.

    A point is seen as long as each step came back: ``e <= 0.01 (|f| + |b|) + 0.5 px`` where the point lies, and the
    point is inside the frame. What was lost once is not found again, but carried on with the motion around it.

    Args:
        steps: gives the flow of step t; asked in rising order, once each.
        count: frames of the clip.
        size: (height, width) of the frames, px.
        queries: ``(N, 3)``: frame, y, x.

    Raises:
        InputError: a query that is not in the clip.
        TeacherError: flow that is not finite.
    """
    queries = check_queries(queries, count, size)
    points = queries.new_full((len(queries), count, 2), float('nan'))
    visible = queries.new_zeros(len(queries), count)
    begins, every = queries[:, 0].long(), torch.arange(len(queries), device=queries.device)
    points[every, begins], visible[every, begins] = queries[:, [2, 1]], 1.
    for t in range(count - 1):
        begun = begins <= t
        if not bool(begun.any()):
            continue
        there, back = (flow.float().to(queries.device) for flow in steps(t))
        if not bool(there.isfinite().all() and back.isfinite().all()):
            raise TeacherError(f'the flow between the frames {t} and {t + 1} is not finite; check that the checkpoint '
                               'belongs to the network')
        at = points[begun, t]
        moved = carry_points(at, there[0])
        points[begun, t + 1] = moved
        held = points_come_back(at, there, back) & points_inside(moved, size)
        visible[begun, t + 1] = visible[begun, t] * held.float()
    return Tracks(points, visible, queries, size)
