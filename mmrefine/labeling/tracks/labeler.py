"""Stage 1 for long-range tracks: ask there and back, keep what holds (Refine, Sun et al. 2024)."""
from __future__ import annotations

import copy
import hashlib
from dataclasses import replace
from typing import Any, Callable, Dict, List, Mapping, Optional, Sequence, Tuple, Union

import numpy as np
import torch
from torch import Tensor

from mmrefine.errors import ConfigError
from mmrefine.fileio.codecs.tracks import TracksCodec
from mmrefine.geometry import track_speed
from mmrefine.labeling.description import full_config, with_contents
from mmrefine.labeling.second_network import own_bytes
from mmrefine.labeling.tracks.verdicts import TrackVerdicts, check_part, judge_tracks
from mmrefine.labeling.tracks.views import check_look
from mmrefine.registry import BALANCERS, FILTERS, LABELERS, QUERIES, TEACHER_VIEWS
from mmrefine.structures import (GivenTracks, LabelBatch, Labeled, LabelUnit, QuerySource, TrackBalance, TrackEstimator,
                                 TrackFilter, TrackLook, Tracks, TrackView, as_frames)
from mmrefine.values import as_count, brief


@LABELERS.register_module()
class TrackLabeler:
    """Turns a teacher's view of clips into tracks. Implements ``Labeler``.

    The queries lie in the first frame of the clip. The view asks the teacher for the ways from there to the last frame
    and back, and a track becomes part of the label if all filters keep it. No track is dropped to fill a chunk or a
    batch. A clip without queries, or of which no track is kept, becomes an empty label.

    Args:
        view: config of the part of ``TEACHER_VIEWS`` that asks the teacher: ``DirectTracks`` or ``ArbitratedTracks``.
            None for a teacher that brings tracks of its own (:class:`~mmrefine.models.StoredTracks`).
        queries: config of the part of ``QUERIES`` that says where tracks begin; None where ``view`` is.
        filters: configs of the parts of ``FILTERS`` for tracks; none keeps everything.
        most: tracks in a label at most; None: all. Which ones depends on the key of the label, ``seed`` and
            ``balance`` only.
        balance: config of the part of ``BALANCERS`` for tracks that says which tracks are preferred where there are
            more than ``most``; None: every kept one has the same chance.
        seed: of that draw, at least 0.

    Raises:
        ConfigError: a value that is invalid, a view or filter of flow, or a view without queries or the reverse.
    """

    codec = TracksCodec()

    def __init__(self,
                 view: Optional[Dict[str, Any]],
                 queries: Optional[Dict[str, Any]],
                 filters: Sequence[Dict[str, Any]] = (),
                 most: Optional[int] = None,
                 balance: Optional[Dict[str, Any]] = None,
                 seed: int = 0) -> None:
        self.most = None if most is None else as_count('TrackLabeler.most', most)
        self.seed = as_count('TrackLabeler.seed', seed, 0)
        if (view is None) != (queries is None):
            raise ConfigError('TrackLabeler takes a view and queries, or None for both where the teacher brings tracks '
                              f'of its own (StoredTracks), got view={brief(view)} and queries={brief(queries)}')
        self.view: Optional[TrackView] = None if view is None else TEACHER_VIEWS.build(view)
        if hasattr(self.view, 'uses_middles'):
            raise ConfigError(f'TrackLabeler.view: {type(self.view).__name__} asks for flow; use DirectTracks or '
                              'ArbitratedTracks')
        self.queries: Optional[QuerySource] = None if queries is None else QUERIES.build(queries)
        self.filters: List[TrackFilter] = [FILTERS.build(config) for config in filters]
        for part in self.filters:
            check_part('filters', part, torch.bool, 'TrackCycleFilter')
        self.balance: Optional[TrackBalance] = None if balance is None else BALANCERS.build(balance)
        if self.balance is not None:
            if most is None:
                raise ConfigError('TrackLabeler.balance chooses among the kept tracks, so it needs most, such as '
                                  'most=128; set it or leave balance out')
            check_part('balance', self.balance, torch.float32, 'TrackNovelty')
        self._described: Dict[str, Any] = dict(
            type=type(self).__name__,
            view=None if view is None else full_config(self.view, view),
            queries=None if queries is None else with_contents(self.queries, queries),
            filters=[with_contents(part, config) for part, config in zip(self.filters, filters)],
            most=self.most,
            **({} if balance is None else dict(balance=full_config(self.balance, balance))),
            seed=self.seed)

    def describe(self) -> Dict[str, Any]:
        """What decides over the labels beside teacher and frames; JSON-able, defaults included."""
        return copy.deepcopy(self._described)

    def keys(self, unit: LabelUnit) -> List[str]:
        """The key of the one label that a clip becomes."""
        return [unit.key]

    def extra_frames(self, unit: LabelUnit, usable: Callable[[int], bool]) -> List[int]:
        """Numbers of the frames between those of a clip, if the view wants to see them and they are ``usable``, in
        reading order."""
        if self.view is None or not getattr(self.view, 'needs_between', False):
            return []
        return [number for step in _steps(unit) for number in step if usable(number)]

    def pass_sizes(self, size: Tuple[int, int], units: int) -> List[Tuple[Tuple[int, int], int]]:
        """The sizes (height, width) in which the teacher is shown frames of ``size``, and how many clips at a time: one
        by one, whatever the batch."""
        return [] if self.view is None else [(shown, 1) for shown in self.view.pass_sizes(size)]

    def own_bytes(self, size: Tuple[int, int], teacher: Any = None) -> int:
        """Bytes that filters with networks of their own must hold at once; 0 if not known.

        Args:
            size: (height, width) of the frames, px.
            teacher: has no say in it.
        """
        return own_bytes(self.filters, size)

    def memory_settings(self) -> List[str]:
        """Which config keys to lower so that the teacher takes less memory."""
        found = {name: getattr(self.view, name) for name in ('scale', 'scales') if hasattr(self.view, name)}
        return [f'labeler.view.{name} (now {value}; another needs a new store)' for name, value in found.items()]

    @torch.no_grad()
    def label(self, teacher: TrackEstimator, batch: LabelBatch) -> List[Labeled]:
        """The labels of a batch, one for each clip, in order; each as if it were alone in its batch.

        The statistics of a label:

        * ``kept``: share of the queries whose tracks all filters keep, in [0, 1]; 0 without queries;
        * ``tracks``: in the label, at most ``most``;
        * ``queries``: how many tracks the teacher was asked for;
        * ``cycle_error_median`` (the lower one of two): px, over the tracks of the label and their frames; 0 if there
          are none; left out where the teacher has no way back;
        * ``mean_speed``: :func:`~mmrefine.geometry.track_speed` of the tracks of the label, px a frame; 0 if there are
          none.

        Raises:
            ConfigError: a view for a teacher that brings tracks of its own, none for another one, or a filter that
                needs the way back where there is none.
            TeacherError: the tracks have the wrong shape, or are nan or infinite anywhere.
        """
        return [self._label(teacher, unit, images, batch.device) for unit, images in zip(batch.units, batch.frames)]

    @torch.no_grad()
    def examine(self, teacher: Union[TrackEstimator, GivenTracks], unit: LabelUnit, frames: Tensor,
                between: Sequence[Tensor] = ()) -> TrackVerdicts:
        """The tracks of a clip, what each filter says of them, and which become the label.

        Args:
            teacher: that is asked.
            unit: the clip.
            frames: its frames, ``(T, 3, H, W)`` RGB in [0, 1].
            between: for each step of the clip the frames of the video in between, ``(n, 3, H, W)``, for views that want
                them.

        Raises:
            ConfigError, TeacherError: see :meth:`label`.
        """
        self._check_teacher(teacher)
        if isinstance(teacher, GivenTracks):
            given = teacher.tracks_of(unit.scene, unit.frames, (frames.shape[-2], frames.shape[-1]))
            look = TrackLook(frames, *(part.to(frames.device) for part in given))
            points = look.there[:, 0]
        else:
            points = self.query_points(unit, frames[0])
            look = self._look(teacher, frames, between, points)
        found = judge_tracks(points, look, self.filters)
        chosen = torch.zeros_like(found.kept)
        chosen[self._chosen(unit.key, found.kept.nonzero()[:, 0], look)] = True
        return replace(found, chosen=chosen)

    def query_points(self, unit: LabelUnit, frame: Tensor) -> Tensor:
        """Where the tracks of a clip begin, ``(N, 2)`` px (x, y); none where the teacher brings tracks of its own.

        Args:
            unit: the clip.
            frame: its first one, ``(3, H, W)`` RGB in [0, 1].
        """
        if self.queries is None:
            return frame.new_zeros(0, 2)
        points = self.queries.points(frame, unit.scene, unit.frames[0])
        if points.dim() != 2 or points.shape[1] != 2:
            raise ValueError(f'{type(self.queries).__name__} must return points (N, 2), got {tuple(points.shape)}')
        return points

    def _label(self, teacher: TrackEstimator, unit: LabelUnit, images: Mapping[int, np.ndarray],
               device: str) -> Labeled:
        frames = as_frames([images[number] for number in unit.frames], device)
        between = [[images[number] for number in step if number in images] for step in _steps(unit)]
        found = self.examine(teacher, unit, frames,
                             [as_frames(step, device) if step else frames[:0] for step in between])
        points, look, kept = found.points, found.look, found.kept
        chosen = found.chosen.nonzero()[:, 0]
        there, errors = look.there[chosen].float(), look.cycle_errors[chosen]
        x, y = points[chosen].float().unbind(dim=1)
        label = Tracks(there.cpu(), look.visible[chosen].float().cpu(),
                       torch.stack([torch.zeros_like(x), y, x], dim=1).cpu(), (frames.shape[-2], frames.shape[-1]))
        trip = {} if isinstance(teacher, GivenTracks) and not teacher.has_way_back else dict(
            cycle_error_median=_rounded(errors.median()) if len(chosen) else 0.)
        return Labeled(unit.key, label, dict(
            kept=_rounded(kept.double().mean()) if len(points) else 0.,
            tracks=float(len(chosen)),
            queries=float(len(points)),
            **trip,
            mean_speed=_rounded(track_speed(there).double().mean()) if len(chosen) else 0.))

    def _check_teacher(self, teacher: Any) -> None:
        """Refuse a teacher that does not fit the settings."""
        name, given = type(teacher).__name__, isinstance(teacher, GivenTracks)
        if given != (self.view is None):
            raise ConfigError(
                'labeler.view and labeler.queries must be None for StoredTracks, whose tracks begin where they begin '
                'and cannot be asked about other points or sizes' if given else
                f'labeler.view and labeler.queries are None, and the teacher ({name}) brings no tracks of its own; set '
                "both, such as view=dict(type='DirectTracks') and queries=dict(type='TextureQueries')")
        needing = [type(part).__name__ for part in self.filters if getattr(part, 'needs_back', False)]
        if given and needing and not teacher.has_way_back:
            raise ConfigError(f'labeler.filters has {needing[0]}, which needs the way back of the tracks, and '
                              'StoredTracks has none; give it files of the way back (back=…), or verify by '
                              'TrackColorFilter, TrackPatchFilter and TrackFlowFilter')

    def _look(self, teacher: TrackEstimator, frames: Tensor, between: Sequence[Tensor], points: Tensor) -> TrackLook:
        if not len(points):
            nowhere = frames.new_zeros(0, len(frames), 2)
            return TrackLook(frames, nowhere, nowhere, nowhere[..., 0])
        assert self.view is not None  # _check_teacher
        more = dict(between=between) if getattr(self.view, 'needs_between', False) else {}
        look = self.view.look(teacher, frames, points, **more)
        check_look(look, len(points), f'the teacher view ({type(self.view).__name__})')
        return look

    def _chosen(self, key: str, kept: Tensor, look: TrackLook) -> Tensor:
        """At most ``most`` of the tracks that are kept, in order."""
        if self.most is None or len(kept) <= self.most:
            return kept
        number = int.from_bytes(hashlib.sha256(f'{self.seed}/{key}'.encode('utf-8', 'surrogateescape')).digest(), 'big')
        rng = np.random.default_rng(number)
        if self.balance is None:
            drawn = rng.permutation(len(kept))[:self.most]
        else:
            chances = self.balance(look)[kept].double().cpu().numpy()
            drawn = rng.choice(len(kept), self.most, replace=False, p=chances / chances.sum())
        return kept[torch.from_numpy(np.sort(drawn)).to(kept.device)]


def _steps(unit: LabelUnit) -> List[range]:
    """The numbers of the frames of the video between those of a clip, for each step of it."""
    return [range(one + way, two, way) for one, two in zip(unit.frames, unit.frames[1:])
            for way in ((1 if two > one else -1), )]


def _rounded(value: Tensor) -> float:
    """Six decimals, so that the order of summation (threads, device) does not show in a manifest."""
    return round(float(value), 6)
