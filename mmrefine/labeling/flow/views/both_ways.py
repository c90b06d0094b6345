"""The motion both ways, for what the two ways have in common only once where the teacher can do that."""
from __future__ import annotations

from typing import Any, Callable, Dict, Hashable, List, NamedTuple, Optional, Sequence, Tuple

import torch
from torch import Tensor

from mmrefine.errors import TeacherError
from mmrefine.structures import FlowEstimator

# for each frame of the first and of the second argument what names its picture
Names = Tuple[Sequence[Hashable], Sequence[Hashable]]


class Middle(NamedTuple):
    """A frame between the two of a pair.

    Args:
        frame: ``(3, H, W)`` RGB in [0, 1].
        name: of its picture, in the manner of :data:`Names`; None if it has none.
    """
    frame: Tensor
    name: Optional[Hashable] = None


# for each pair the frames between its two, in the order from frame 1 to frame 2
Middles = Sequence[Sequence[Middle]]


def both_ways(teacher: FlowEstimator,
              frames1: Tensor,
              frames2: Tensor,
              start: Optional[Tensor] = None,
              names: Optional[Names] = None,
              iters: Optional[int] = None) -> Tensor:
    """The teacher's motion forward, then backward.

    A teacher with ``estimate_both(frames1, frames2, flow_init_fw, flow_init_bw, names)``, as
    :class:`~mmrefine.models.FrozenTeacher` has it, is asked for both at once; any other for a batch of both ways.

    Args:
        teacher: whom to ask.
        frames1: ``(B, 3, H, W)`` RGB in [0, 1].
        frames2: the same shape.
        start: ``(2 B, 2, H, W)`` px, forward then backward, if the teacher ``accepts_flow_init``.
        names: see :class:`~mmrefine.models.FrameMemory`; they change nothing but the time it takes.
        iters: of a teacher that iterates; None: its own number, and it is not told any.

    Returns:
        ``(2 B, 2, H, W)`` px.

    Raises:
        TeacherError: the teacher gave no flow, or one of another size than it was shown.
    """
    at_once, more = getattr(teacher, 'estimate_both', None), asking(iters)
    if at_once is not None:
        start_fw, start_bw = (None, None) if start is None else start.chunk(2)
        flows = [torch.cat(at_once(frames1, frames2, flow_init_fw=start_fw, flow_init_bw=start_bw, names=names, **more))]
    else:
        flows = teacher.estimate(torch.cat([frames1, frames2]), torch.cat([frames2, frames1]), flow_init=start, **more)
    return last_flow(teacher, flows, 2 * len(frames1), (frames1.shape[-2], frames1.shape[-1]))


def asking(iters: Optional[int]) -> Dict[str, Any]:
    """What a teacher is told of its iterations; nothing if it is to take its own number, so that any teacher will do."""
    return {} if iters is None else dict(iters=iters)


def last_flow(teacher: FlowEstimator, flows: Sequence[Tensor], pairs: int, size: Tuple[int, int]) -> Tensor:
    """The answer among what a teacher gave, ``(pairs, 2, H, W)`` px.

    Raises:
        TeacherError: the teacher gave no flow, or one of another size than the ``(height, width)`` it was shown.
    """
    wanted = (pairs, 2, *size)
    found = tuple(flows[-1].shape) if len(flows) else None
    if found != wanted:
        raise TeacherError(f'the teacher ({type(teacher).__name__}) gave {"no flow" if found is None else f"a flow of shape {found}"} '
                           f'for frames of {size[0]}x{size[1]} px, wanted {wanted}; estimate() must return full-size flows in px, '
                           'coarse to fine')
    return flows[-1]


def check_middles(middles: Middles, frames: Tensor) -> None:
    """Refuse frames in between that do not fit the first frames ``(B, 3, H, W)`` of the pairs, by their shapes.

    Raises:
        ValueError: they are of another number of pairs, or of another shape.
    """
    shapes = [[tuple(middle.frame.shape) for middle in its] for its in middles]
    wanted = tuple(frames.shape[1:])
    if len(shapes) != len(frames) or any(shape != wanted for its in shapes for shape in its):
        raise ValueError(f'middles must be for {len(frames)} pairs a list of frames of shape {wanted} each, got {shapes}')


class MirroredTeacher:
    """A teacher for a view whose every question is a batch of pairs followed by the same pairs turned round.

    That is ``estimate(cat[f1, f2], cat[f2, f1])``, asked as :func:`both_ways` does. Only for a view that treats all pairs of its
    batch alike: nothing here checks it. Implements ``FlowEstimator``.

    Args:
        teacher: who is asked in the end.
        names: of the frames ``f1`` and ``f2``; only if the view shows every one in each size at most once, and never turned or cut.
    """

    def __init__(self, teacher: FlowEstimator, names: Optional[Names] = None) -> None:
        self.teacher, self.names = teacher, names

    @property
    def accepts_flow_init(self) -> bool:
        """Whether ``flow_init`` may be given."""
        return self.teacher.accepts_flow_init

    def estimate(self,
                 frames1: Tensor,
                 frames2: Tensor,
                 flow_init: Optional[Tensor] = None,
                 iters: Optional[int] = None) -> List[Tensor]:
        """One flow ``(2 B, 2, H, W)`` px; ``frames1`` is ``cat[f1, f2]`` and ``frames2`` is ``cat[f2, f1]``."""
        first, second = frames1.chunk(2)
        return [both_ways(self.teacher, first, second, flow_init, self.names, iters)]


def look_both_ways(view: Callable[..., Tensor],
                   teacher: FlowEstimator,
                   frames1: Tensor,
                   frames2: Tensor,
                   names: Optional[Names] = None,
                   middles: Optional[Middles] = None) -> Tensor:
    """What a view makes of the pairs and of the pairs turned round, forward then backward.

    A view with a method ``both(teacher, frames1, frames2, names)`` decides itself how to ask; any other is called with a batch of
    both ways. A view that composes (``needs_middle = True``) gets the frames in between as a further argument.

    Args:
        view: a part of ``TEACHER_VIEWS``.
        teacher: whom it asks.
        frames1: ``(B, 3, H, W)`` RGB in [0, 1].
        frames2: the same shape.
        names: of the frames in ``frames1`` and in ``frames2``, if their caller has any.
        middles: see :class:`Middle`, for each pair those in between; None: no pair has any. Other views do without them.

    Returns:
        ``(2 B, 2, H, W)`` px.
    """
    both: Any = getattr(view, 'both', None)
    if getattr(view, 'needs_middle', False):
        return both(teacher, frames1, frames2, names, middles)
    if both is not None:
        return both(teacher, frames1, frames2, names)
    return view(teacher, torch.cat([frames1, frames2]), torch.cat([frames2, frames1]))
