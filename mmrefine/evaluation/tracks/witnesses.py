"""What speaks for or against the tracks of a network on a clip whose truth nobody knows.

The same three witnesses as for flow (:mod:`mmrefine.evaluation.flow.witnesses`): round trips, colours, known motion.
"""
from __future__ import annotations

from typing import Dict, Optional, Sequence

import torch
from torch import Tensor

from mmrefine.evaluation.guard.comparison import Observation, mean_observation
from mmrefine.evaluation.guard.measures import FLOORS, limited
from mmrefine.evaluation.guard.objections import LEAST_KEPT, worse_by_all
from mmrefine.geometry import patches_along, points_inside
from mmrefine.structures.figures import LABEL_FREE, Figure

FIGURES = (
    Figure('cycle', '', 'lower', title='what a round trip misses, of the motion', decided_by=LABEL_FREE),
    Figure('color', 'grey levels', 'lower', title='colour along the tracks', decided_by=LABEL_FREE),
    Figure('warp', 'px', 'lower', title='error on known motion', decided_by=LABEL_FREE),
    Figure('motion', 'px', title='mean way of a track', decided_by=LABEL_FREE),
    Figure('confirmed', '%', title='tracks whose motion the colours confirm', decided_by=LABEL_FREE),
)
PATCH = 2  # px around a point
# a track is confirmed where its patches differ by so much less than those of a point that stands still, and by a grey
# level at least
CONFIRMING_RATIO, CONFIRMING_LEVELS = 2 / 3, 1.
LEAST_CONFIRMED = 5.  # % of the tracks, mean over the samples; what is less is no motion that could be lost


def track_witnesses(frames: Tensor, there: Tensor, back: Tensor, warp: float = float('nan')) -> Dict[str, float]:
    """What is seen of a network on one clip.

    Args:
        frames: ``(T, 3, H, W)`` RGB in [0, 1].
        there: ``(N, T, 2)`` px (x, y), from the first frame to the last.
        back: the same shape, from the last points back to the first frame, in the order of the frames.
        warp: mean error on clips of known motion, px, at most 20 for each point; nan where there are none.

    Returns:
        ``cycle``, the mean distance of the ways there and back, at most 20 px for each point; divided by 1 px more than
        ``motion``, the mean distance of a track from where it begins, px. ``color``, the mean difference of the patches
        of 5x5 px along the tracks from those at their queries, grey levels of 255; points outside the frame count like
        the worst tenth of the others. ``warp`` as it was given. ``confirmed``, % of the tracks whose patches differ
        clearly less than those of a point that stands still.
    """
    there, back = there.float(), back.float()
    error = limited((there - back).double().norm(dim=-1))
    way = (there - there[:, :1]).norm(dim=-1)
    motion = float(torch.where(way.isfinite(), way, torch.zeros_like(way)).double().mean())
    moved, still = _changes(frames, there), _changes(frames, there[:, :1].expand_as(there))
    inside = points_inside(there, (frames.shape[-2], frames.shape[-1]))
    color = 255.
    if bool(inside[:, 1:].any()):
        seen = moved[:, 1:][inside[:, 1:]].double()
        color = float(torch.where(inside, moved.double(), torch.quantile(seen, 0.9))[:, 1:].mean())
    of_track, of_rest = moved[:, 1:].mean(dim=1), still[:, 1:].mean(dim=1)
    confirmed = inside.all(dim=1) & (of_track < (CONFIRMING_RATIO * of_rest).minimum(of_rest - CONFIRMING_LEVELS))
    return dict(cycle=float(error.mean()) / (1 + motion), color=color, warp=float(warp), motion=motion,
                confirmed=100 * float(confirmed.double().mean()))


def objection(teacher: Sequence[Observation], candidate: Sequence[Observation]) -> Optional[str]:
    """Why a tracker must not be handed back whatever its score says; None if nothing speaks against it.

    As for flow: it is worse by more than 1 % both by the colours and by known motion (by the colours alone where there
    is none), or it has lost the motion: the colours confirm less than half as many of its tracks as of the teacher's.

    Args:
        teacher: of the original network, see :func:`track_witnesses`, on one or more clips.
        candidate: of the candidate, on the same clips.
    """
    names = dict(color='the colours along its tracks', warp='its errors on known motion')
    worse = worse_by_all(teacher, candidate, names, FLOORS)
    if worse is not None:
        return worse
    before, after = (mean_observation(seen)['confirmed'] for seen in (teacher, candidate))
    if before > LEAST_CONFIRMED and after < LEAST_KEPT * before:
        return (f'has lost the motion: the colours confirm {after:.1f} % of its tracks, and {before:.1f} % of those of '
                'the original network')
    return None


def _changes(frames: Tensor, points: Tensor) -> Tensor:
    """How much the surroundings of points differ from those at their queries: ``(N, T)`` grey levels of 255."""
    patches = 255 * patches_along(frames, points.nan_to_num(-1e4), PATCH)
    return (patches - patches[:, :1]).abs().mean(dim=(-1, -2))
