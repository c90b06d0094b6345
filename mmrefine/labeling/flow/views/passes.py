"""Single passes of a teacher over frame pairs, and what views that are made of passes in several sizes have in
common."""
from __future__ import annotations

from typing import Any, Dict, List, NamedTuple, Optional, Sequence, Tuple, Union

import torch
from torch import Tensor

from mmrefine.errors import ConfigError, TeacherError
from mmrefine.geometry import resize, resize_flow
from mmrefine.structures import FlowEstimator, PairBatch, TwoWayEstimator
from mmrefine.values import as_count

# one number for all scales, or one for each; None leaves it to the network
Iters = Union[None, int, Sequence[Optional[int]]]


class Pass(NamedTuple):
    """How the teacher is shown frames once.

    Args:
        scale: size of the frames as a factor of their own.
        iters: iterations of a teacher that iterates; None: its own number.
    """
    scale: float
    iters: Optional[int] = None


# what the student will see, if it starts from rest
PLAIN = Pass(1.)


class ScaledView:
    """What views have in common whose passes show the frames in several sizes.

    Args:
        scales: sizes of the frames as factors of their own, in the order of the passes.
        iters: iterations, one number or one for each of ``scales``.

    Raises:
        ConfigError: no scales, one that is not above 0, or iterations below 1 or for another number of scales.
    """
    # settings that are described only where they are set: labels that were made before there were any are still the
    # same labels
    described_if_set = ('iters', )
    uses_middles = False

    def __init__(self, scales: Sequence[float], iters: Iters) -> None:
        name = type(self).__name__
        if not scales or not all(0 < scale < float('inf') for scale in scales):
            raise ConfigError(f'{name}.scales must be one or more finite factors above 0 such as (1.0, 2.0), '
                              f'got {scales!r}')
        self.scales = tuple(float(scale) for scale in scales)
        each = tuple(iters) if isinstance(iters, (list, tuple)) else (iters, ) * len(self.scales)
        if len(each) != len(self.scales):
            raise ConfigError(f'{name}.iters must be one number or one for each of the {len(self.scales)} scales, '
                              f'got {iters!r}')
        self.passes = [Pass(scale, None if count is None else as_count(f'{name}.iters', count))
                       for scale, count in zip(self.scales, each)]

    def pass_sizes(self, size: Tuple[int, int]) -> List[Tuple[int, int]]:
        """The sizes (height, width) px in which the teacher is shown frames of ``size``."""
        return [scaled_size(size, scale) for scale in self.scales]

    def further_plain_pass(self, teacher: FlowEstimator, batch: PairBatch, passes: Sequence[Pass],
                           backward: bool) -> Optional[Tensor]:
        """What the student will see, where none of the ``passes`` of a view that shows the frames' own size shows
        it; else None."""
        if PLAIN in passes or PLAIN.scale not in self.scales:
            return None
        return run_pass(teacher, batch, PLAIN, backward=backward)


def scaled_size(size: Tuple[int, int], scale: float) -> Tuple[int, int]:
    """The size (height, width) px of scaled frames; a side of one pixel would have no extent by which vectors could
    be scaled."""
    height, width = (max(round(scale * side), min(side, 2)) for side in size)
    return height, width


def run_pass(teacher: FlowEstimator,
             batch: PairBatch,
             one: Pass,
             start: Optional[Tensor] = None,
             backward: bool = True) -> Tensor:
    """The motion that a teacher sees in one pass, forward, then backward.

    A ``TwoWayEstimator`` is asked for both directions at once, any other for a batch of both.

    Args:
        teacher: whom to ask.
        batch: the pairs, in any size.
        one: the size in which they are shown.
        start: ``(2 B, 2, h, w)`` or, without the way back, ``(B, 2, h, w)`` px of its own size, where the teacher
            starts; only if it ``accepts_flow_init``.
        backward: False: the motion forward alone.

    Returns:
        ``(2 B, 2, H, W)`` or ``(B, 2, H, W)`` px of the size that was shown.

    Raises:
        TeacherError: the teacher gave no flow, or one of another size than it was shown.
        ConfigError: iterations for a network that does not iterate.
    """
    size = scaled_size(batch.size, one.scale)
    first, second = resize(batch.frames1, size), resize(batch.frames2, size)
    start = None if start is None else resize_flow(start, size)
    # nothing if the teacher is to take its own number, so that any teacher will do
    more: Dict[str, Any] = {} if one.iters is None else dict(iters=one.iters)
    flows: Sequence[Tensor]
    if not backward:
        flows = teacher.estimate(first, second, flow_init=start, **more)
    elif isinstance(teacher, TwoWayEstimator):
        starts = (None, None) if start is None else start.chunk(2)
        flows = [torch.cat(teacher.estimate_both(first, second, starts[0], starts[1], names=batch.names, **more))]
    else:
        flows = teacher.estimate(torch.cat([first, second]), torch.cat([second, first]), flow_init=start, **more)
    found, wanted = [tuple(flow.shape) for flow in flows[-1:]], (len(batch) * (1 + backward), 2, *size)
    if found != [wanted]:
        given = f'a flow of shape {found[0]}' if found else 'no flow'
        raise TeacherError(f'the teacher ({type(teacher).__name__}) gave {given} for frames of {size[0]}x{size[1]} px, '
                           f'wanted {wanted}; estimate() must return full-size flows in px, coarse to fine')
    return flows[-1]
