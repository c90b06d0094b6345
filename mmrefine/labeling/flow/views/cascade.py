"""What the teacher sees and the student does not."""
from __future__ import annotations

from typing import Dict, List, Optional, Sequence, Tuple, Union

import torch
from torch import Tensor

from mmrefine.errors import ConfigError
from mmrefine.geometry import resize, resize_flow
from mmrefine.labeling.flow.views.arbitration import Arbiter, reversed_ways
from mmrefine.labeling.flow.views.both_ways import MirroredTeacher, Names, asking, last_flow
from mmrefine.registry import TEACHER_VIEWS
from mmrefine.structures import FlowEstimator
from mmrefine.values import as_count

# one number for all scales, or one for each; None leaves it to the network
Iters = Union[None, int, Sequence[Optional[int]]]

# scale and iterations of what the student will see, from rest
_PLAIN = (1., None)


@TEACHER_VIEWS.register_module()
class CascadeView:
    """The teacher looks at the frames in several sizes, each look starting from the last.

    ``f_k = teacher(R_k I1, R_k I2, start = S_k f_(k-1))`` and the answer is the last ``f_K`` in
    pixels of the frames, with ``R_k`` a resize to ``(round(s_k H), round(s_k W))`` and ``S_k`` the
    same resize of a flow, vectors included. ``scales=(1.,)`` is the teacher of Refine (PAPERS.md
    A.2), bit for bit; ``(1., 2.)`` shows it small motion and thin parts twice as large, while the
    first look keeps large motion within the reach of its search.

    ``last_plain`` is what the last answer's look at the frames' own size saw, ``(B, 2, H, W)`` px: what the student will see. None if
    there was none, or no other. Where that look has iterations of its own, the student's are asked for beside it (``wants_plain``).

    Args:
        scales: sizes of the frames as factors of their own, in the order of the looks.
        warm_start: start from the last look if the teacher can (``accepts_flow_init``); otherwise
            each look starts from rest and only the last one matters.
        iters: iterations of each look, of a teacher that iterates (RAFT, GMA): one number, or one for each of ``scales``, in which
            None leaves it to the network. Default: the network's own (``test_iters``).

    Attributes:
        wants_plain: whether somebody reads ``last_plain``, so that a teacher that would not be asked for the plain look is asked for it,
            too; :class:`~mmrefine.labeling.FlowLabeler` sets it for its balancer.

    Raises:
        ConfigError: no scales, one that is not above 0, or iterations below 1 or for another number of scales.
    """
    # settings that are described only where they are set: labels that were made before there were any are still the same labels
    described_if_set = ('iters', )

    def __init__(self, scales: Sequence[float] = (1., 2.), warm_start: bool = True, iters: Iters = None) -> None:
        self.scales = _as_scales('CascadeView', scales)
        self.iters = _as_iters('CascadeView', iters, self.scales)
        self.warm_start = warm_start
        self.wants_plain = False
        self.last_plain: Optional[Tensor] = None

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
            ConfigError: iterations for a network that does not iterate.
        """
        height, width = frames1.shape[-2:]
        warm = self.warm_start and teacher.accepts_flow_init
        looks = list(zip(self.scales, self.iters))
        if not warm:  # the earlier looks would be paid for and thrown away
            looks = looks[-1:]
        self.last_plain = _plain_look(self, teacher, frames1, frames2, looks)
        flow: Optional[Tensor] = None
        for scale, iters in looks:
            flow = _look(teacher, frames1, frames2, scale, iters, flow)
            if (scale, iters) == _PLAIN and len(looks) > 1:
                self.last_plain = flow
        assert flow is not None  # scales is never empty
        return resize_flow(flow, (height, width))

    def both(self, teacher: FlowEstimator, frames1: Tensor, frames2: Tensor, names: Optional[Names] = None) -> Tensor:
        """The motion forward, then backward, ``(2 B, 2, H, W)`` px; a teacher that can looks at each frame once."""
        return self(MirroredTeacher(teacher, names), torch.cat([frames1, frames2]), torch.cat([frames2, frames1]))


@TEACHER_VIEWS.register_module()
class ArbitratedView:
    """The teacher looks at the frames in several ways, and the motion is what the looks come to together, without truth.

    One look at each of ``scales``: all from rest but the last, which starts where the first ended, as in :class:`CascadeView`, and so
    finds motion beyond the reach of a large look from rest. One more at the last scale sees mirrored frames, from rest: its errors are
    others than those that the first look hands on. :class:`~mmrefine.labeling.Arbiter` weighs the looks, for the pair and for each
    pixel, and takes their geometric median: a single one that goes astray changes little. With one look it is :class:`CascadeView`,
    bit for bit.

    The weights need both directions. A batch that holds its own reverse, ``frames1 = cat[f1, f2]`` and ``frames2 = cat[f2, f1]`` as
    :class:`~mmrefine.labeling.FlowLabeler` asks, has them; for any other the teacher is asked for both, at twice the price.

    ``last_shares`` says what the last answer was made of: for each element of the batch the mean share, in [0, 1], of each look in the
    motion of its pixels, such as ``{'from_1x': 0.2, 'from_2x': 0.8}``. The labeler puts them into the statistics of a label.

    Args:
        scales: sizes of the frames as factors of their own, in the order of the looks.
        flip: one more look at the last size, at mirrored frames, from rest.
        warm_start: the last of several scales starts from the first look if the teacher can (``accepts_flow_init``), else from rest.
        trust: see :class:`~mmrefine.labeling.Arbiter`, power of the ratio of cycle errors.
        picture: see there, per share of the comparisons of the census.
        radius: see there, px of the frames.
        iters: see :class:`CascadeView`; a mirrored look has as many as the other one of its size.

    Attributes:
        wants_plain: see :class:`CascadeView`.

    Raises:
        ConfigError: no scales, one twice or not above 0, or a setting out of range.
    """
    described_if_set = ('iters', )

    def __init__(self,
                 scales: Sequence[float] = (1., 1.5, 2.),
                 flip: bool = True,
                 warm_start: bool = True,
                 trust: float = 3.,
                 picture: float = 30.,
                 radius: int = 16,
                 iters: Iters = None) -> None:
        self.scales = _as_scales('ArbitratedView', scales)
        self.iters = _as_iters(type(self).__name__, iters, self.scales)
        if len(set(self.scales)) < len(self.scales):
            raise ConfigError(f'ArbitratedView.scales must differ from one another, got {scales!r}')
        self.flip, self.warm_start = flip, warm_start
        self.arbiter = Arbiter(trust, picture, radius)
        self.wants_plain = False
        self.last_shares: List[Dict[str, float]] = []
        self.last_plain: Optional[Tensor] = None

    def __call__(self, teacher: FlowEstimator, frames1: Tensor, frames2: Tensor) -> Tensor:
        """The motion from ``frames1`` to ``frames2``; arguments, result and errors as of :class:`CascadeView`."""
        one_look = len(self.scales) == 1 and not self.flip
        if one_look or (len(frames1) % 2 == 0 and torch.equal(frames2, reversed_ways(frames1))):
            return self._arbitrated(teacher, teacher, frames1, frames2)
        flow = self.both(teacher, frames1, frames2)[:len(frames1)]
        del self.last_shares[len(frames1):]
        return flow

    def both(self, teacher: FlowEstimator, frames1: Tensor, frames2: Tensor, names: Optional[Names] = None) -> Tensor:
        """The motion forward, then backward, ``(2 B, 2, H, W)`` px; a teacher that can looks at each frame once in each size."""
        # a mirrored frame is another picture than the one of that name
        return self._arbitrated(MirroredTeacher(teacher, names), MirroredTeacher(teacher), torch.cat([frames1, frames2]),
                                torch.cat([frames2, frames1]))

    def _arbitrated(self, teacher: FlowEstimator, mirrored: FlowEstimator, frames1: Tensor, frames2: Tensor) -> Tensor:
        """What the looks come to; ``frames2`` is the reverse of ``frames1`` unless there is one look only."""
        flow, shares = self._settled(teacher, mirrored, frames1, frames2)
        self._note_shares(shares)
        return flow

    def _settled(self, teacher: FlowEstimator, mirrored: FlowEstimator, frames1: Tensor,
                 frames2: Tensor) -> Tuple[Tensor, Dict[str, Tensor]]:
        """What the looks come to, and the share of each in it ``(B, 1, H, W)``, by its name; sets ``last_plain``."""
        plain = _plain_look(self, teacher, frames1, frames2, list(zip(self.scales, self.iters)))
        looks = self.looks(teacher, frames1, frames2, mirrored)
        self.last_plain = looks['from_1x'] if len(looks) > 1 and _PLAIN in zip(self.scales, self.iters) else plain
        if len(looks) == 1:
            (name, flow), = looks.items()
            return flow, {name: torch.ones_like(flow[:, :1])}
        flow, shares = self.arbiter.settle(frames1, frames2, torch.stack(list(looks.values())))
        return flow, dict(zip(looks, shares))

    def _note_shares(self, shares: Dict[str, Tensor]) -> None:
        means = torch.stack(list(shares.values())).double().mean(dim=(2, 3, 4)).t().tolist()
        self.last_shares = [dict(zip(shares, its)) for its in means]

    def looks(self, teacher: FlowEstimator, frames1: Tensor, frames2: Tensor,
              mirrored: Optional[FlowEstimator] = None) -> Dict[str, Tensor]:
        """What is weighed: each look ``(B, 2, H, W)`` in px of the frames, by its name in the statistics.

        Arguments and errors as of :class:`CascadeView`; ``mirrored`` is asked instead of ``teacher`` about mirrored frames.
        """
        size = (frames1.shape[-2], frames1.shape[-1])
        looks: Dict[str, Tensor] = {}
        for scale, iters in zip(self.scales, self.iters):
            warm = looks and scale == self.scales[-1] and self.warm_start and teacher.accepts_flow_init
            start = next(iter(looks.values())) if warm else None
            looks[f'from_{scale:g}x'] = resize_flow(_look(teacher, frames1, frames2, scale, iters, start), size)
        if self.flip:
            flow = resize_flow(_look(mirrored or teacher, frames1.flip(-1), frames2.flip(-1), scale, iters), size).flip(-1)
            looks[f'from_{scale:g}x_flipped'] = flow * flow.new_tensor([-1., 1.]).view(1, 2, 1, 1)
        return looks


def _as_scales(name: str, scales: Sequence[float]) -> Tuple[float, ...]:
    if not scales or not all(0 < scale < float('inf') for scale in scales):
        raise ConfigError(f'{name}.scales must be one or more finite factors above 0 such as (1.0, 2.0), got {scales!r}')
    return tuple(float(scale) for scale in scales)


def _as_iters(name: str, iters: Iters, scales: Sequence[float]) -> Tuple[Optional[int], ...]:
    each = tuple(iters) if isinstance(iters, (list, tuple)) else (iters, ) * len(scales)
    if len(each) != len(scales):
        raise ConfigError(f'{name}.iters must be one number or one for each of the {len(scales)} scales, got {iters!r}')
    return tuple(None if count is None else as_count(f'{name}.iters', count) for count in each)


def _plain_look(view: Union[CascadeView, ArbitratedView], teacher: FlowEstimator, frames1: Tensor, frames2: Tensor,
                looks: Sequence[Tuple[float, Optional[int]]]) -> Optional[Tensor]:
    """What the student will see, if somebody wants to know and none of the looks of a view that looks at the frames' own size says it."""
    if not view.wants_plain or _PLAIN in looks or 1. not in view.scales:
        return None
    return _look(teacher, frames1, frames2, 1.)


def _look(teacher: FlowEstimator,
          frames1: Tensor,
          frames2: Tensor,
          scale: float,
          iters: Optional[int] = None,
          start: Optional[Tensor] = None) -> Tensor:
    """The motion that the teacher sees at ``scale``, in px of that size; ``start`` is in px of its own size.

    Raises:
        TeacherError: the teacher gave no flow, or one of another size than it was shown.
        ConfigError: iterations for a network that does not iterate.
    """
    height, width = frames1.shape[-2:]
    # a side of one pixel has no extent by which vectors could be scaled
    size = (max(round(scale * height), min(height, 2)), max(round(scale * width), min(width, 2)))
    start = None if start is None else resize_flow(start, size)
    flows = teacher.estimate(resize(frames1, size), resize(frames2, size), flow_init=start, **asking(iters))
    return last_flow(teacher, flows, len(frames1), size)
