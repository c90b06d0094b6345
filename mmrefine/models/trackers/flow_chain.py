"""Points carried from frame to frame by flow."""
from __future__ import annotations

from typing import Callable, Tuple

import torch
from torch import Tensor

from mmrefine.errors import TeacherError
from mmrefine.geometry import carry_points, points_come_back, points_inside, sample
from mmrefine.models.trackers.steps import ChainSteps
from mmrefine.structures import Look
from mmrefine.structures.tracks import Tracks, check_queries

Looks = Callable[[int, int], Look]  # earlier and later frame -> the motion from the one to the other, of one pair


def chain_flow(looks: Looks, count: int, size: Tuple[int, int], queries: Tensor,
               steps: ChainSteps = ChainSteps(), with_errors: bool = False) -> Tracks:
    """Follow points to the end of a clip, along the steps that are to be trusted most.

    A step is survived where it comes back, ``e <= 0.01 (|f| + |b|) + 0.5 px`` where the point lies, and the point is
    inside the frame; any but the shortest only if it is expected to be off by at most ``steps.limit``. Of the steps
    that lead to a frame, a point takes the one after which its expected error is the least, of those that it survives
    and that begin where it is seen; then it is seen. So a point that is hidden for a while is found again if a step
    leads over that while. A point that no step keeps in sight is carried on all the same, by the shortest step.

    Args:
        looks: gives the motion between two frames, with its expected error where ``steps`` has a choice; asked in
            rising order of the later frame, once for each pair.
        count: frames of the clip.
        size: (height, width) of the frames, px.
        queries: ``(N, 3)``: frame, y, x.
        steps: by default only those from each frame to the next.
        with_errors: whether the tracks have their expected error, px: those of the steps that a point has taken, as
            ``steps`` adds them up. ``looks`` then gives the error of each motion.

    Raises:
        InputError: a query that is not in the clip.
        TeacherError: flow that is not finite.
    """
    queries = check_queries(queries, count, size)
    points = queries.new_full((len(queries), count, 2), float('nan'))
    visible, errors = queries.new_zeros(len(queries), count), queries.new_zeros(len(queries), count)
    begins, every = queries[:, 0].long(), torch.arange(len(queries), device=queries.device)
    points[every, begins], visible[every, begins] = queries[:, [2, 1]], 1.
    firsts = begins.unique().tolist()
    for t in range(1, count):
        for s in steps.sources(t, firsts):
            asked = every[steps.takes(s, t, begins)]
            if not len(asked):
                continue
            look = looks(s, t)
            there, back = (flow.float().to(queries.device) for flow in (look.flow_fw, look.flow_bw))
            if not bool(there.isfinite().all() and back.isfinite().all()):
                raise TeacherError(f'the flow between the frames {s} and {t} is not finite; check that the checkpoint '
                                   'belongs to the network')
            at = points[asked, s]
            moved = carry_points(at, there[0])
            held = points_come_back(at, there, back) & points_inside(moved, size)
            seen, error = visible[asked, s] * held.float(), errors[asked, s]
            if look.error_fw is not None:
                step = sample(look.error_fw.float().to(at), at.t()[None, :, :, None], 'border')[0, 0, :, 0]
                error = steps.added(error, step)
                seen = seen * (points[asked, t, 0].isnan() | (step <= steps.limit))
            better = points[asked, t, 0].isnan() | (seen > visible[asked, t])
            better |= (seen == visible[asked, t]) & (seen > 0) & (error < errors[asked, t])
            asked = asked[better]
            points[asked, t], visible[asked, t], errors[asked, t] = moved[better], seen[better], error[better]
    known = points.isfinite().all(dim=-1)
    return Tracks(points, visible, queries, size, errors.masked_fill(~known, float('nan')) if with_errors else None)
