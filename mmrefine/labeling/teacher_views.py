"""What the teacher sees and the student does not."""
from __future__ import annotations

from typing import Optional, Sequence

import torch
from torch import Tensor

from mmrefine.errors import ConfigError, TeacherError
from mmrefine.geometry import resize, resize_flow
from mmrefine.registry import TEACHER_VIEWS
from mmrefine.structures import FlowEstimator

from .both_ways import MirroredTeacher, Names


@TEACHER_VIEWS.register_module()
class CascadeView:
    """The teacher looks at the frames in several sizes, each look starting from the last.

    ``f_k = teacher(R_k I1, R_k I2, start = S_k f_(k-1))`` and the answer is the last ``f_K`` in
    pixels of the frames, with ``R_k`` a resize to ``(round(s_k H), round(s_k W))`` and ``S_k`` the
    same resize of a flow, vectors included. ``scales=(1.,)`` is the teacher of Refine (PAPERS.md
    A.2), bit for bit; ``(1., 2.)`` shows it small motion and thin parts twice as large, while the
    first look keeps large motion within the reach of its search.

    Args:
        scales: sizes of the frames as factors of their own, in the order of the looks.
        warm_start: start from the last look if the teacher can (``accepts_flow_init``); otherwise
            each look starts from rest and only the last one matters.

    Raises:
        ConfigError: no scales, or one that is not above 0.
    """

    def __init__(self, scales: Sequence[float] = (1., 2.), warm_start: bool = True) -> None:
        if not scales or not all(0 < scale < float('inf') for scale in scales):
            raise ConfigError('CascadeView.scales must be one or more finite factors above 0 '
                              f'such as (1.0, 2.0), got {scales!r}')
        self.scales = tuple(float(scale) for scale in scales)
        self.warm_start = warm_start

    def __call__(self, teacher: FlowEstimator, frames1: Tensor, frames2: Tensor) -> Tensor:
        """The motion from ``frames1`` to ``frames2``.

        Args:
            teacher: whom to ask.
            frames1: ``(B, 3, H, W)`` RGB in [0, 1].
            frames2: the same shape.

        Returns:
            ``(B, 2, H, W)`` px.

        Raises:
            TeacherError: the teacher gave no flow, or one of another size than it was shown.
        """
        height, width = frames1.shape[-2:]
        warm = self.warm_start and teacher.accepts_flow_init
        # without a warm start the earlier looks would be paid for and thrown away
        scales = self.scales if warm else self.scales[-1:]
        flow: Optional[Tensor] = None
        for scale in scales:
            # a side of one pixel has no extent by which vectors could be scaled
            size = (max(round(scale * height), min(height, 2)),
                    max(round(scale * width), min(width, 2)))
            start = None if flow is None else resize_flow(flow, size)
            flows = teacher.estimate(resize(frames1, size), resize(frames2, size), flow_init=start)
            wanted = (len(frames1), 2, *size)
            found = tuple(flows[-1].shape) if len(flows) else None
            if found != wanted:
                raise TeacherError(
                    f'the teacher ({type(teacher).__name__}) gave '
                    f'{"no flow" if found is None else f"a flow of shape {found}"} for frames of '
                    f'{size[0]}x{size[1]} px, wanted {wanted}; estimate() must return full-size '
                    'flows in px, coarse to fine')
            flow = flows[-1]
        assert flow is not None  # scales is never empty
        return resize_flow(flow, (height, width))

    def both(self, teacher: FlowEstimator, frames1: Tensor, frames2: Tensor, names: Optional[Names] = None) -> Tensor:
        """The motion forward, then backward, ``(2 B, 2, H, W)`` px; a teacher that can looks at each frame once."""
        return self(MirroredTeacher(teacher, names), torch.cat([frames1, frames2]), torch.cat([frames2, frames1]))
