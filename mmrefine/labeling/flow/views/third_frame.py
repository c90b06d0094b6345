"""The motion of both frames of a pair to a third one, as far as the third may be believed."""
from __future__ import annotations

from typing import Callable, Optional, Sequence, Tuple, Union

import torch
from torch import Tensor

from mmrefine.errors import TeacherError
from mmrefine.labeling.flow.filters.consistency import PairContext
from mmrefine.labeling.flow.filters.pair_guards import PairGuard
from mmrefine.structures import FlowEstimator


def motion_to_third(view: Callable[..., Tensor],
                    teacher: FlowEstimator,
                    frames1: Tensor,
                    frames2: Tensor,
                    frames3: Union[Tensor, Sequence[Optional[Tensor]]],
                    guards: Sequence[PairGuard] = ()) -> Tuple[Optional[Tensor], Optional[Tensor]]:
    """The motion of both frames to the third one of their scene.

    Args:
        view: a part of ``TEACHER_VIEWS``.
        teacher: whom it asks.
        frames1: ``(B, 3, H, W)`` RGB in [0, 1].
        frames2: the same shape.
        frames3: as many ``(3, H, W)``, or None for a pair that has none.
        guards: a third frame that one of them refuses, seen from either frame, is as good as none.

    Returns:
        from ``frames1`` and from ``frames2``, each ``(B, 2, H, W)`` px, nan all over for pairs without a third frame; None if no pair
        has one.

    Raises:
        ValueError: third frames of another number or shape.
        TeacherError: motion of the wrong size, or not finite.
    """
    if len(frames3) != len(frames1) or any(frame is not None and frame.shape != frames1.shape[1:] for frame in frames3):
        found = [None if frame is None else tuple(frame.shape) for frame in frames3]
        raise ValueError(f'frames3 must be {len(frames1)} frames of shape {tuple(frames1.shape[1:])} or None, got {found}')
    there = {i: frame for i, frame in enumerate(frames3) if frame is not None}
    if not there:
        return None, None
    pairs, third = list(there), torch.stack(list(there.values()))
    # a call of its own: the motion of the label is the same to the bit, with such a filter or without
    one, two = torch.cat([frames1[pairs], frames2[pairs]]), torch.cat([third, third])
    found3 = view(teacher, one, two)
    check_motion(found3, third, ('first-to-third', 'second-to-third'), pairs)
    # nobody asks for the way back
    ctx = PairContext(one, two, found3.float(), found3.new_full(found3.shape, float('nan'), dtype=torch.float))
    believed = torch.ones(len(pairs), dtype=torch.bool, device=found3.device)
    for guard in guards:
        believed = believed & guard.passes(ctx).view(2, -1).all(dim=0)
    to_third = found3.new_full((2, *frames1[:, :2].shape), float('nan'), dtype=torch.float)
    to_third[:, pairs] = ctx.flow_fw.view(2, len(pairs), *found3.shape[1:]).masked_fill(~believed.view(1, -1, 1, 1, 1), float('nan'))
    return to_third[0], to_third[1]


def check_motion(flow: Tensor,
                 frames: Tensor,
                 directions: Tuple[str, str] = ('forward', 'backward'),
                 pairs: Optional[Sequence[int]] = None) -> None:
    """Refuse what no label can be made of; ``flow`` holds the one direction, then the other.

    ``pairs``: the places of the pairs in their batch, if not all of them are here.
    """
    wanted = (2 * len(frames), 2, *frames.shape[-2:])
    if tuple(flow.shape) != wanted:
        raise TeacherError(f'the teacher view gave motion of shape {tuple(flow.shape)}, wanted '
                           f'{wanted} for {len(frames)} frame pairs, {directions[0]} and {directions[1]}')
    lost = (~torch.isfinite(flow)).any(dim=1).double().mean(dim=(1, 2)).cpu()
    if bool((lost > 0).any()):
        worst = int(lost.argmax())
        direction, place = directions[worst // len(frames)], worst % len(frames)
        raise TeacherError(
            f"the teacher's {direction} motion of pair {pairs[place] if pairs else place} of the batch is nan "
            f'or infinite in {float(lost[worst]):.2%} of the frame; check the teacher checkpoint, '
            'or label in full precision')
