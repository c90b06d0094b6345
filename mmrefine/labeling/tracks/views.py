"""How a tracker is asked about a clip: at one size and stride, or at several whose answers are combined."""
from __future__ import annotations

from itertools import product
from typing import Any, Dict, List, Optional, Sequence, Tuple

import torch
from torch import Tensor

from mmrefine.errors import ConfigError, TeacherError
from mmrefine.geometry import patch_mismatch, resize, resize_points
from mmrefine.labeling.flow.views.arbiter import geometric_median
from mmrefine.labeling.flow.views.passes import scaled_size
from mmrefine.registry import TEACHER_VIEWS
from mmrefine.structures import TrackEstimator, TrackLook
from mmrefine.values import as_count, as_number

# name -> the dimensions of frames (..., H, W) that are turned round
MIRRORS = {'horizontal': (-1, ), 'vertical': (-2, ), 'both': (-2, -1)}


@TEACHER_VIEWS.register_module()
class DirectTracks:
    """The teacher is shown the clip once. Implements ``TrackView``.

    Its points come back in px of the frames, whatever the size in which they were shown.

    Args:
        scale: size of the frames that are shown as a factor of their own. CroHD is labelled at 768x1280 in Refine (Sun
            et al. 2024), Horse30 at 256x448.
        stride: frames of the video from one that is shown to the next. A clip with a longer stride is then shown with
            frames of the video in between, through which the points are followed; what comes back are the points in the
            frames of the clip. None: the clip alone.

    Raises:
        ConfigError: a scale that is not above 0, or a stride below 1.
    """
    described_if_set = ('stride', )

    def __init__(self, scale: float = 1., stride: Optional[int] = None) -> None:
        self.scale = as_number('DirectTracks.scale', scale, '(0, inf)')
        self.stride = None if stride is None else as_count('DirectTracks.stride', stride)

    @property
    def needs_between(self) -> bool:
        """Whether it wants to see the frames of the video between those of a clip."""
        return self.stride is not None

    def look(self, teacher: TrackEstimator, frames: Tensor, points: Tensor,
             between: Sequence[Tensor] = ()) -> TrackLook:
        """What the teacher saw; see :class:`~mmrefine.structures.TrackView`."""
        return track_pass(teacher, frames, points, self.scale, _every(between, self.stride))

    def pass_sizes(self, size: Tuple[int, int]) -> List[Tuple[int, int]]:
        """The size (height, width) px in which the teacher is shown frames of ``size``."""
        return [scaled_size(size, self.scale)]


@TEACHER_VIEWS.register_module()
class ArbitratedTracks:
    """The teacher is shown the clip in several sizes and strides, and a track is what the passes come to together,
    without truth. Implements ``TrackView``.

    There is a pass for each size at each stride. A pass whose stride a clip does not allow, because there are no frames
    in between, is left out where it would show what another one shows.

    Each pass weighs by how well the track comes back and how well the picture around the point matches that around the
    query::

        w_k(t) = (r / r_k)^trust  exp(-picture (c_k(t) - c(t)))

    ``r_k`` is the longest distance between the ways there and back of pass k in any frame: a track that went astray
    once is doubtful in all frames after it, which the ways there and back share. ``r`` is the least of the ``r_k``, and
    what is below 0.1 px counts as 0.1. ``c_k(t)`` is :func:`~mmrefine.geometry.patch_mismatch` in frame t, ``c(t)`` the
    least of them. A pass that is not better than the first one by either number (by more than 0.01 in the mismatch) has
    no say in that frame, so a further pass that is broken changes nothing. Where the passes disagree, their weighted
    geometric median is with the better one and not in between; within 0.5 px it is their mean. The way back and the
    visibility are combined with the same shares. Ours, not the paper's.

    Args:
        scales: sizes of the frames as factors of their own; the first, at the first stride, is the one that the others
            have to beat.
        strides: frames of the video from one that is shown to the next, see :class:`DirectTracks`, such as
            ``(None, 1)`` for the clip alone and for all frames from its first to its last. None: the clip alone.
        mirrors: names of :data:`MIRRORS`: for each of them as many passes again, over mirrored frames, in which the
            network makes other errors. None: no such passes.
        trust: power of the ratio of cycle errors, no unit, at least 0; 0 does without.
        picture: per unit of mismatch, at least 0; 0 does without.
        radius: of the patch, which has ``2 radius + 1`` px on a side.

    Raises:
        ConfigError: no scales, one twice or not above 0, the same of strides, an unknown mirror, or a
            setting out of range.
    """
    described_if_set = ('strides', 'mirrors')

    # px; round trips that are shorter than this do not differ
    STILL = 0.1
    # mismatches that are closer than this do not differ
    ALIKE = 0.01
    # px; passes that are closer than this agree, and their mean counts
    AGREE = 0.5

    def __init__(self,
                 scales: Sequence[float] = (1., 2.),
                 trust: float = 2.,
                 picture: float = 10.,
                 radius: int = 3,
                 strides: Optional[Sequence[Optional[int]]] = None,
                 mirrors: Optional[Sequence[str]] = None) -> None:
        name = 'ArbitratedTracks'
        self.scales = [as_number(f'{name}.scales', scale, '(0, inf)') for scale in scales]
        if not self.scales or len(set(self.scales)) < len(self.scales):
            raise ConfigError(f'{name}.scales must be one or more factors that differ, such as (1.0, 2.0), got '
                              f'{scales!r}')
        self.strides = [None if stride is None else as_count(f'{name}.strides', stride)
                        for stride in ((None, ) if strides is None else strides)]
        if not self.strides or len(set(self.strides)) < len(self.strides):
            raise ConfigError(f'{name}.strides must be one or more numbers of frames that differ, or None for that of '
                              f'the clip, such as (None, 1), got {strides!r}')
        self.mirrors = list(mirrors or ())
        if len(set(self.mirrors)) < len(self.mirrors) or not set(self.mirrors) <= set(MIRRORS):
            raise ConfigError(f'{name}.mirrors must be some of {", ".join(MIRRORS)}, each once, got {mirrors!r}')
        self.trust, self.picture = as_number(f'{name}.trust', trust), as_number(f'{name}.picture', picture)
        self.radius = as_count(f'{name}.radius', radius)

    @property
    def needs_between(self) -> bool:
        """Whether it wants to see the frames of the video between those of a clip."""
        return self.strides != [None]

    def look(self, teacher: TrackEstimator, frames: Tensor, points: Tensor,
             between: Sequence[Tensor] = ()) -> TrackLook:
        """What the passes come to; see :class:`~mmrefine.structures.TrackView`."""
        seen: Dict[Any, TrackLook] = {}  # by what is shown
        for mirror, stride, scale in product([None, *self.mirrors], self.strides, self.scales):
            some = _every(between, stride)
            shown = mirror, scale, sum(map(len, some))
            if shown not in seen:
                seen[shown] = track_pass(teacher, frames, points, scale, some, mirror)
        looks = list(seen.values())
        if len(looks) == 1:
            return looks[0]
        there, back, visible = (torch.stack(parts) for parts in zip(
            *((look.there, look.back, look.visible) for look in looks)))
        # (K, N, T, 2) px as K fields of vectors, (K, N, 2, T, 1)
        _, shares = geometric_median(there.transpose(2, 3)[..., None], self._weights(looks)[:, :, None, :, None],
                                     self.AGREE)
        shares = shares[:, :, 0, :, 0]
        there, back = ((shares[..., None] * part).sum(dim=0) for part in (there, back))
        plain = seen.get((None, 1., 0))
        return TrackLook(frames, there, back, (shares * visible).sum(dim=0).clamp(0., 1.),
                         None if plain is None else plain.there)

    def pass_sizes(self, size: Tuple[int, int]) -> List[Tuple[int, int]]:
        """The sizes (height, width) px in which the teacher is shown frames of ``size``."""
        passes = (1 + len(self.mirrors)) * len(self.strides)
        return passes * [scaled_size(size, scale) for scale in self.scales]

    def _weights(self, looks: Sequence[TrackLook]) -> Tensor:
        """How much each pass counts, ``(K, N, T)`` from 0 to 1."""
        trips = torch.stack([look.cycle_errors.amax(dim=1, keepdim=True) for look in looks]).clamp(min=self.STILL)
        unlike = torch.stack([patch_mismatch(look.frames, look.there, self.radius) for look in looks])
        # what has no say does not differ
        trips = trips if self.trust > 0 else torch.ones_like(trips)
        unlike = unlike if self.picture > 0 else torch.ones_like(unlike)
        weights = (trips.amin(dim=0) / trips).pow(self.trust) * torch.exp(-self.picture * (unlike - unlike.amin(dim=0)))
        beaten = (trips >= trips[:1]) & (unlike >= unlike[:1] - self.ALIKE)
        beaten[0] = False
        return weights.masked_fill(beaten, 0.)


def track_pass(teacher: TrackEstimator, frames: Tensor, points: Tensor, scale: float = 1.,
               between: Sequence[Tensor] = (), mirror: Optional[str] = None) -> TrackLook:
    """What a teacher sees in one pass.

    Args:
        teacher: whom to ask.
        frames: ``(T, 3, H, W)`` RGB in [0, 1].
        points: ``(N, 2)`` px (x, y) of the frames, in the first one.
        scale: size of the frames that are shown as a factor of their own.
        between: frames that are shown in between, too, for each of the T - 1 steps ``(K, 3, H, W)``; empty: none.
        mirror: how the frames are mirrored that are shown, one of :data:`MIRRORS`, or None.

    Returns:
        points in px of the frames, in these and not in those in between, float32, where the frames live.

    Raises:
        TeacherError: the teacher gave no tracks, or other shapes than it was asked for, or values that are not finite.
    """
    size = (frames.shape[-2], frames.shape[-1])
    shown = scaled_size(size, scale)
    name = type(teacher).__name__
    if not isinstance(teacher, TrackEstimator):
        raise TeacherError(f'the teacher ({name}) follows no points, it has no track_both(); tracks are labelled by a '
                           'tracker such as PIPs')
    clip, own = _with_between(frames, between)
    picture, first = resize(clip, shown), resize_points(points, size, shown)
    if mirror is not None:
        picture, first = picture.flip(MIRRORS[mirror]), _mirrored(first, shown, mirror)
    answer = teacher.track_both(picture, first)
    if not isinstance(answer, (tuple, list)) or [isinstance(part, Tensor) for part in answer] != [True] * 3:
        raise TeacherError(f'the teacher ({name}) gave no tracks, track_both() must return the ways there and back and '
                           'the visibility')
    there, back, visible = (part.to(frames.device, torch.float32) for part in answer)
    if there.shape[-1:] == back.shape[-1:] == (2, ):  # else check_look() says what is wrong
        if mirror is not None:
            there, back = (_mirrored(part, shown, mirror) for part in (there, back))
        there, back = (resize_points(part, shown, size) for part in (there, back))
    look = TrackLook(clip, there, back, visible)
    check_look(look, len(points), f'the teacher ({name})')
    return look if clip is frames else TrackLook(frames, there[:, own], back[:, own], visible[:, own])


def _mirrored(points: Tensor, size: Tuple[int, int], mirror: str) -> Tensor:
    """Points ``(..., 2)`` px (x, y) of frames of ``size`` = (height, width) in their mirrored frames, and back."""
    x, y = points.unbind(dim=-1)
    x = size[1] - 1 - x if -1 in MIRRORS[mirror] else x
    y = size[0] - 1 - y if -2 in MIRRORS[mirror] else y
    return torch.stack([x, y], dim=-1)


def _every(between: Sequence[Tensor], stride: Optional[int]) -> List[Tensor]:
    """Of the frames between those of a clip every ``stride``-th of each step; None: none of them."""
    return [] if stride is None else [some[stride - 1::stride] for some in between]


def _with_between(frames: Tensor, between: Sequence[Tensor]) -> Tuple[Tensor, List[int]]:
    """A clip with the frames in between, and which of all these are those of the clip."""
    if not any(map(len, between)):
        return frames, list(range(len(frames)))
    parts, own = [frames[:1]], [0]
    for t, some in enumerate(between, start=1):
        parts += [some, frames[t:t + 1]]
        own.append(own[-1] + len(some) + 1)
    return torch.cat(parts), own


def check_look(look: TrackLook, count: int, source: str) -> None:
    """Refuse what no label can be made of.

    Args:
        look: at a clip.
        count: of the points that were asked for.
        source: who gave it, for the message.

    Raises:
        TeacherError: shapes of another number of points or frames, nan or inf anywhere, or a visibility outside [0, 1].
    """
    frames = len(look.frames)
    parts = dict(there=look.there, back=look.back, visible=look.visible)
    wanted = dict(there=(count, frames, 2), back=(count, frames, 2), visible=(count, frames))
    for part, values in parts.items():
        if tuple(values.shape) != wanted[part]:
            raise TeacherError(f'{source} gave {part} of shape {tuple(values.shape)}, wanted {wanted[part]} for '
                               f'{count} points in {frames} frames')
    for part, values in parts.items():
        lost = (~values.isfinite()).flatten(1).any(dim=1)
        if bool(lost.any()):
            raise TeacherError(f'{source} gave {part} that is nan or infinite in {int(lost.sum())} of {count} tracks; '
                               'check the teacher checkpoint, or label in full precision')
    if count and not (0 <= float(look.visible.min()) and float(look.visible.max()) <= 1):
        raise TeacherError(f'{source} gave a visibility from {float(look.visible.min()):g} to '
                           f'{float(look.visible.max()):g}, it must lie in [0, 1]')
