"""Stage 1 for long-range tracks: ask there and back, keep what holds (Refine, Sun et al. 2024)."""
from __future__ import annotations

import copy
import hashlib
from dataclasses import dataclass
from typing import Any, Callable, Dict, List, Optional, Sequence, Tuple, Union

import numpy as np
import torch
from torch import Tensor

from mmrefine.errors import ConfigError
from mmrefine.fileio.codecs.tracks import TracksCodec
from mmrefine.geometry import track_speed
from mmrefine.labeling.description import full_config
from mmrefine.labeling.tracks.views import check_look
from mmrefine.registry import BALANCERS, FILTERS, LABELERS, QUERIES, TEACHER_VIEWS
from mmrefine.structures import (LabelBatch, Labeled, LabelUnit, QuerySource, TrackBalance, TrackEstimator, TrackFilter,
                                 TrackLook, Tracks, TrackView, as_frames)
from mmrefine.values import as_count


@dataclass(frozen=True)
class TrackVerdicts:
    """What a labeler thinks of the tracks of a clip.

    Args:
        points: ``(N, 2)`` px (x, y), where they begin.
        look: what the teacher saw of them.
        passed: by filter, in their order, which tracks it keeps: bool ``(N,)``. The second of two filters of one class
            has a 2 behind its name.
        kept: bool ``(N,)``, those that all filters keep.
    """
    points: Tensor
    look: TrackLook
    passed: Dict[str, Tensor]
    kept: Tensor


@LABELERS.register_module()
class TrackLabeler:
    """Turns a teacher's view of clips into tracks. Implements ``Labeler``.

    The queries lie in the first frame of the clip. The view asks the teacher for the ways from there to the last frame
    and back, and a track becomes part of the label if all filters keep it. No track is dropped to fill a chunk or a
    batch. A clip without queries, or of which no track is kept, becomes an empty label.

    Args:
        view: config of the part of ``TEACHER_VIEWS`` that asks the teacher: ``DirectTracks`` or ``ArbitratedTracks``.
        queries: config of the part of ``QUERIES`` that says where tracks begin.
        filters: configs of the parts of ``FILTERS`` for tracks; none keeps everything.
        most: tracks in a label at most; None: all. Which ones depends on the key of the label, ``seed`` and
            ``balance`` only.
        balance: config of the part of ``BALANCERS`` for tracks that says which tracks are preferred where there are
            more than ``most``; None: every kept one has the same chance.
        seed: of that draw, at least 0.

    Raises:
        ConfigError: a value that is invalid, or a view or filter of flow.
    """

    codec = TracksCodec()

    def __init__(self,
                 view: Dict[str, Any],
                 queries: Dict[str, Any],
                 filters: Sequence[Dict[str, Any]] = (),
                 most: Optional[int] = None,
                 balance: Optional[Dict[str, Any]] = None,
                 seed: int = 0) -> None:
        self.most = None if most is None else as_count('TrackLabeler.most', most)
        self.seed = as_count('TrackLabeler.seed', seed, 0)
        self.view: TrackView = TEACHER_VIEWS.build(view)
        if hasattr(self.view, 'uses_middles'):
            raise ConfigError(f'TrackLabeler.view: {type(self.view).__name__} asks for flow; use DirectTracks or '
                              'ArbitratedTracks')
        self.queries: QuerySource = QUERIES.build(queries)
        self.filters: List[TrackFilter] = [FILTERS.build(config) for config in filters]
        for part in self.filters:
            _check_part('filters', part, torch.bool, 'TrackCycleFilter')
        self.balance: Optional[TrackBalance] = None if balance is None else BALANCERS.build(balance)
        if balance is not None and most is None:
            raise ConfigError('TrackLabeler.balance chooses among the kept tracks, so it needs most, such as most=128; '
                              'set it or leave balance out')
        if self.balance is not None:
            _check_part('balance', self.balance, torch.float32, 'TrackNovelty')
        self._described: Dict[str, Any] = dict(
            type=type(self).__name__,
            view=full_config(self.view, view),
            queries=dict(full_config(self.queries, queries), contents=self.queries.describe()),
            filters=[full_config(part, config) for part, config in zip(self.filters, filters)],
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
        """None: a clip needs no frames but its own."""
        return []

    def pass_sizes(self, size: Tuple[int, int], units: int) -> List[Tuple[Tuple[int, int], int]]:
        """The sizes (height, width) in which the teacher is shown frames of ``size``, and how many clips at a time: one
        by one, whatever the batch."""
        return [(shown, 1) for shown in self.view.pass_sizes(size)]

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
          are none;
        * ``mean_speed``: :func:`~mmrefine.geometry.track_speed` of the tracks of the label, px a frame; 0 if there are
          none.

        Raises:
            TeacherError: the tracks have the wrong shape, or are nan or infinite anywhere.
        """
        return [self._label(teacher, unit, as_frames([frames[number] for number in unit.frames], batch.device))
                for unit, frames in zip(batch.units, batch.frames)]

    @torch.no_grad()
    def examine(self, teacher: TrackEstimator, unit: LabelUnit, frames: Tensor) -> TrackVerdicts:
        """The tracks of a clip and what each filter says of them, also of those that do not become a label.

        Args:
            teacher: that is asked.
            unit: the clip.
            frames: its frames, ``(T, 3, H, W)`` RGB in [0, 1].

        Raises:
            TeacherError: see :meth:`label`.
        """
        points = self.query_points(unit, frames[0])
        look = self._look(teacher, frames, points)
        kept = torch.ones(len(points), dtype=torch.bool, device=frames.device)
        passed: Dict[str, Tensor] = {}
        for part in self.filters:
            name = type(part).__name__
            same = sum(known.split()[0] == name for known in passed)
            passed[f'{name} {same + 1}' if same else name] = part(look)
        for one in passed.values():
            kept &= one
        return TrackVerdicts(points, look, passed, kept)

    def query_points(self, unit: LabelUnit, frame: Tensor) -> Tensor:
        """Where the tracks of a clip begin, ``(N, 2)`` px (x, y).

        Args:
            unit: the clip.
            frame: its first one, ``(3, H, W)`` RGB in [0, 1].
        """
        points = self.queries.points(frame, unit.scene, unit.frames[0])
        if points.dim() != 2 or points.shape[1] != 2:
            raise ValueError(f'{type(self.queries).__name__} must return points (N, 2), got {tuple(points.shape)}')
        return points

    def _label(self, teacher: TrackEstimator, unit: LabelUnit, frames: Tensor) -> Labeled:
        found = self.examine(teacher, unit, frames)
        points, look, kept = found.points, found.look, found.kept
        chosen = self._chosen(unit.key, kept.nonzero()[:, 0], look)
        there, errors = look.there[chosen].float(), look.cycle_errors[chosen]
        x, y = points[chosen].float().unbind(dim=1)
        label = Tracks(there.cpu(), look.visible[chosen].float().cpu(),
                       torch.stack([torch.zeros_like(x), y, x], dim=1).cpu(), (frames.shape[-2], frames.shape[-1]))
        return Labeled(unit.key, label, dict(
            kept=_rounded(kept.double().mean()) if len(points) else 0.,
            tracks=float(len(chosen)),
            queries=float(len(points)),
            cycle_error_median=_rounded(errors.median()) if len(chosen) else 0.,
            mean_speed=_rounded(track_speed(there).double().mean()) if len(chosen) else 0.))

    def _look(self, teacher: TrackEstimator, frames: Tensor, points: Tensor) -> TrackLook:
        if not len(points):
            nowhere = frames.new_zeros(0, len(frames), 2)
            return TrackLook(frames, nowhere, nowhere, nowhere[..., 0])
        look = self.view.look(teacher, frames, points)
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


def _rounded(value: Tensor) -> float:
    """Six decimals, so that the order of summation (threads, device) does not show in a manifest."""
    return round(float(value), 6)


def _check_part(key: str, part: Union[TrackFilter, TrackBalance], dtype: torch.dtype, example: str) -> None:
    """Refuse what is no filter or balance of tracks, by what it says of two tracks that stand still for three frames.

    Raises:
        ConfigError: a part that asks for what a look at tracks has not, or gives anything but a bool (a share, for a
            balance) for each track.
    """
    still = torch.full((2, 3, 2), 8.)
    name = type(part).__name__
    try:
        found = part(TrackLook(torch.zeros(3, 3, 16, 16), still, still, torch.ones(2, 3), still))
    except (AttributeError, TypeError) as error:
        raise ConfigError(f'TrackLabeler.{key}: {name} is not for tracks ({error}); use one such as '
                          f'{example}') from error
    if found.dtype != dtype or tuple(found.shape) != (2, ):
        wanted = 'bool' if dtype == torch.bool else 'float'
        raise ConfigError(f'TrackLabeler.{key}: {name} must return a {wanted} for each track, got {found.dtype} of '
                          f'shape {tuple(found.shape)} for 2 tracks')
