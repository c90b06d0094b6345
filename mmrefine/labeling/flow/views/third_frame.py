"""The motion of both frames of a pair to a third one, as far as the third may be believed."""
from __future__ import annotations

from typing import Mapping, Optional, Sequence, Tuple

import torch
from torch import Tensor

from mmrefine.errors import TeacherError
from mmrefine.labeling.flow.filters.pair_guards import all_pass
from mmrefine.structures import FlowEstimator, Guard, LookRequest, PairBatch, PairContext, View


def motion_to_third(view: View, teacher: FlowEstimator, batch: PairBatch,
                    guards: Sequence[Guard] = ()) -> Tuple[Optional[Tensor], Optional[Tensor]]:
    """The motion of both frames to the third one of their scene.

    Args:
        view: a part of ``TEACHER_VIEWS``.
        teacher: whom it asks.
        batch: with ``thirds``.
        guards: a third frame that one of them refuses, seen from either frame, is as good as none.

    Returns:
        from ``frames1`` and from ``frames2``, each ``(B, 2, H, W)`` px, nan all over for pairs without a third frame;
        None if no pair has one.

    Raises:
        TeacherError: motion of the wrong size, or not finite.
    """
    thirds = () if batch.thirds is None else batch.thirds
    there = {i: frame for i, frame in enumerate(thirds) if frame is not None}
    if not there:
        return None, None
    pairs, third = list(there), torch.stack(list(there.values()))
    # a call of its own: the motion of the label is the same to the bit, with such a filter or without
    asked = PairBatch(torch.cat([batch.frames1[pairs], batch.frames2[pairs]]), torch.cat([third, third]))
    look = view.look(teacher, asked, LookRequest(backward=False))
    halves = {'first-to-third': look.flow_fw[:len(pairs)], 'second-to-third': look.flow_fw[len(pairs):]}
    check_motion(halves, third, pairs)
    ctx = PairContext(asked.frames1, asked.frames2, look.flow_fw.float(), look.flow_bw.float())
    believed = all_pass(guards, ctx).view(2, -1).all(dim=0)
    motion = ctx.flow_fw.unflatten(0, (2, -1)).masked_fill(~believed.view(1, -1, 1, 1, 1), float('nan'))
    to_third = motion.new_full((2, *batch.frames1[:, :2].shape), float('nan'))
    to_third[:, pairs] = motion
    return to_third[0], to_third[1]


def check_motion(motions: Mapping[str, Tensor], frames: Tensor, pairs: Optional[Sequence[int]] = None) -> None:
    """Refuse what no label can be made of.

    Args:
        motions: of each direction, by its name in the message.
        frames: ``(B, 3, H, W)``, one for each pair.
        pairs: the places of the pairs in their batch, if not all of them are here.

    Raises:
        TeacherError: motion of another shape than ``(B, 2, H, W)``, or nan or infinite anywhere.
    """
    wanted = (len(frames), 2, *frames.shape[-2:])
    lost = []
    for direction, motion in motions.items():
        if tuple(motion.shape) != wanted:
            raise TeacherError(f'the teacher view gave {direction} motion of shape {tuple(motion.shape)}, wanted '
                               f'{wanted} for {len(frames)} frame pairs')
        shares = (~torch.isfinite(motion)).any(dim=1).double().mean(dim=(1, 2)).tolist()
        lost += [(share, direction, i) for i, share in enumerate(shares)]
    share, direction, place = max(lost, key=lambda one: one[0])
    if share > 0:
        place = pairs[place] if pairs else place
        raise TeacherError(f"the teacher's {direction} motion of pair {place} of the batch is nan or infinite in "
                           f'{share:.2%} of the frame; check the teacher checkpoint, or label in full precision')
