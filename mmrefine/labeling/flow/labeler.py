"""Stage 1 of self-training on one page: ask both ways, verify, weigh (Refine, Sun et al. 2024)."""
from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any, Callable, Dict, List, Mapping, Optional, Sequence, Tuple

import torch
from torch import Tensor

from mmrefine.errors import ConfigError
from mmrefine.fileio.codecs.flow import FlowCodec
from mmrefine.geometry import lands_inside
from mmrefine.labeling.description import full_config, with_contents
from mmrefine.labeling.flow.filters.pair_guards import PairGuard
from mmrefine.labeling.flow.label_statistics import label_stats, rounded
from mmrefine.labeling.flow.views.third_frame import check_motion, motion_to_third
from mmrefine.labeling.second_network import own_bytes
from mmrefine.registry import BALANCERS, DENSIFIERS, FILTERS, LABELERS, TEACHER_VIEWS
from mmrefine.structures import (FlowEstimator, FlowLabel, LabelBatch, Labeled, LabelUnit, LookRequest, NamedFrame,
                                 PairBatch, PairContext, View, as_frames)
from mmrefine.values import as_choice, as_number

# pairs -> weight; pairs and weight -> flow and weight; pairs, flow and weight -> weight
Filter = Callable[[PairContext], Tensor]
Densifier = Callable[[PairContext, Tensor], Tuple[Tensor, Tensor]]
Balancer = Callable[[PairContext, Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class PairLabels:
    """What became of one frame pair.

    Args:
        forward: motion from frame 1 to frame 2, on the CPU.
        backward: motion from frame 2 to frame 1, if it was asked for.
        stats: of the forward label, see :func:`label_stats`; with pair guards also 1 or 0 for each,
            ``passed_<class name>``; with a filter that needs a third frame 1 or 0 for whether there was one, ``third``;
            with ``densify`` the mean weight after it, ``densified``; with ``balance`` the mean weight before it,
            ``unbalanced``; with a view that weighs its passes, such as :class:`~mmrefine.labeling.ArbitratedView`, the
            share of each in the motion, ``from_<pass>``; with a verifier the mean error that is to be expected, px,
            ``expected_error``.
        stats_backward: of the backward label.
    """
    forward: FlowLabel
    backward: Optional[FlowLabel]
    stats: Dict[str, float]
    stats_backward: Optional[Dict[str, float]]


@LABELERS.register_module()
class FlowLabeler:
    """Turns a teacher's view of frame pairs into flow labels. Implements ``Labeler``.

    The view is asked once, for both directions, and once more for the motion of both frames to a third one if a filter
    needs it. A pixel's weight is the product of what the filters give it, and never less than ``floor`` where the
    motion lands inside the frame: verified pixels are the easy ones, and a student that sees only those forgets the
    rest. A pair that a :class:`~mmrefine.labeling.PairGuard` refuses weighs 0 everywhere, floor or not. A guard that
    recognises shots (``tells_shots``) is asked about the third frame, too, and about the frames between the two of a
    pair: what it refuses has no say.

    What was verified may grow (``densify``) before the floor is laid, and the weights of the finished label may be
    shared out anew (``balance``), the floor's too; neither changes what the filters verified.

    Args:
        view: config of the part of ``TEACHER_VIEWS`` that asks the teacher.
        filters: configs of the parts of ``FILTERS``; none keeps everything.
        directions: ``'forward'`` or ``'both'``: which labels to make (both flows are needed for the cycle check anyway,
            so the second label is free).
        min_kept: a label of which the filters keep less than this share, in [0, 1], is not believed at all: its weight
            is 0 everywhere, floor or not.
        floor: least weight in [0, 1] of a motion that lands inside; 0 is the paper's hard choice.
        densify: config of the part of ``DENSIFIERS`` that grows the label; None leaves it.
        balance: config of the part of ``BALANCERS`` that shares out the weights; None leaves them.

    Raises:
        ConfigError: a value that is invalid.
    """

    codec = FlowCodec()

    def __init__(self,
                 view: Dict[str, Any],
                 filters: Sequence[Dict[str, Any]] = (),
                 directions: str = 'forward',
                 min_kept: float = 0.,
                 floor: float = 0.,
                 densify: Optional[Dict[str, Any]] = None,
                 balance: Optional[Dict[str, Any]] = None) -> None:
        self.directions = as_choice('FlowLabeler.directions', directions, ('forward', 'both'))
        self.min_kept = as_number('FlowLabeler.min_kept', min_kept, '[0, 1]')
        self.floor = as_number('FlowLabeler.floor', floor, '[0, 1]')
        self.view: View = TEACHER_VIEWS.build(view)
        self.filters: List[Filter] = [FILTERS.build(config) for config in filters]
        # their say also counts for the other frames that a label is made or judged by
        self.shot_guards = [part for part in self.filters if isinstance(part, PairGuard) and part.tells_shots]
        self.densify: Optional[Densifier] = DENSIFIERS.build(densify) if densify else None
        self.balance: Optional[Balancer] = BALANCERS.build(balance) if balance else None
        self._described: Dict[str, Any] = dict(
            type=type(self).__name__,
            view=with_contents(self.view, view),
            filters=[with_contents(part, config) for part, config in zip(self.filters, filters)],
            directions=directions,
            min_kept=self.min_kept,
            floor=self.floor)
        # only where there is one: labels that were made before these parts existed are still the same labels
        if densify:
            self._described['densify'] = full_config(self.densify, densify)
        if balance:
            self._described['balance'] = full_config(self.balance, balance)

    def describe(self) -> Dict[str, Any]:
        """What decides over the labels beside teacher and frames; JSON-able, defaults included."""
        return copy.deepcopy(self._described)

    @property
    def needs_third(self) -> bool:
        """Whether a filter asks for the motion to a third frame (``needs_third = True``)."""
        return bool(self._filters_with_third())

    @property
    def needs_middle(self) -> bool:
        """Whether the view looks at the frames between the two of a pair."""
        return self.view.uses_middles

    def keys(self, unit: LabelUnit) -> List[str]:
        """The keys of the labels that a pair becomes: its own, and that of its reverse if both directions are
        labelled."""
        return [unit.key, unit.backward_key] if self.directions == 'both' else [unit.key]

    def extra_frames(self, unit: LabelUnit, usable: Callable[[int], bool]) -> List[int]:
        """Numbers of the frames between the two of a pair and of a third one, if they are needed and ``usable``, in
        reading order.

        The third frame is the next one at the pair's own step; at the end of a scene that before the pair.
        """
        first, last = unit.frames
        way = 1 if last > first else -1
        middles = filter(usable, range(first + way, last, way)) if self.needs_middle else ()
        early, late = sorted(unit.frames)
        thirds = filter(usable, (2 * late - early, 2 * early - late)) if self.needs_third else iter(())
        return [*middles, *[number for number in [next(thirds, None)] if number is not None]]

    def pass_sizes(self, size: Tuple[int, int], units: int) -> List[Tuple[Tuple[int, int], int]]:
        """The sizes (height, width) in which the teacher is shown ``units`` pairs of frames of ``size``, and how many
        pairs at a time.

        Empty if the view does not say.
        """
        return [(shown, 2 * units) for shown in self.view.pass_sizes(size)]

    def own_bytes(self, size: Tuple[int, int], teacher: Any = None) -> int:
        """Bytes that filters, or a view, with networks of their own must hold at once; 0 if not known.

        Args:
            size: (height, width) of the frames, px.
            teacher: whose passes the view weighs; None: a network.
        """
        view = self.view.peak_bytes(size, teacher) if hasattr(self.view, 'peak_bytes') else 0
        return max(view, own_bytes(self.filters, size))

    def memory_settings(self) -> List[str]:
        """Which config keys to lower so that the teacher takes less memory."""
        scales = getattr(self.view, 'scales', None)
        return [] if scales is None else [f'labeler.view.scales (now {scales}; other scales need a new store)']

    def label(self, teacher: FlowEstimator, batch: LabelBatch) -> List[Labeled]:
        """The labels of a batch, :meth:`keys` of each pair in order.

        Raises:
            ConfigError: the teacher has no motion backwards (``one_way``), and the labels need it.
            TeacherError: the motion has the wrong size, or is nan or infinite anywhere.
        """
        if getattr(teacher, 'one_way', False):
            self._check_one_way(teacher)
        found: List[Labeled] = []
        for unit, labels in zip(batch.units, self.label_pairs(teacher, self._pairs_of(batch))):
            found.append(Labeled(unit.key, labels.forward, labels.stats))
            if labels.backward is not None:
                found.append(Labeled(unit.backward_key, labels.backward, labels.stats_backward or {}))
        return found

    @torch.no_grad()
    def label_pairs(self, teacher: FlowEstimator, batch: PairBatch) -> List[PairLabels]:
        """The labels of a batch of frame pairs; the same input gives the same labels.

        Args:
            teacher: whose motion becomes the label.
            batch: the pairs. Their ``thirds`` are only for filters that need them (:attr:`needs_third`), which judge
                nothing in a pair without one; their ``middles`` only for a view that uses them (:attr:`needs_middle`),
                which looks directly at a pair without any.

        Returns:
            one per pair.

        Raises:
            ConfigError: a filter needs a third frame and ``thirds`` is None.
            TeacherError: the motion has the wrong size, or is nan or infinite anywhere.
        """
        if batch.thirds is None and self.needs_third:
            raise ConfigError(f'FlowLabeler.filters has {self._filters_with_third()}, which needs a third frame of the '
                              'scene, and was given two frames; give thirds, or leave the filter out')
        needs_plain = getattr(self.balance, 'needs_plain', False)
        look = self.view.look(teacher, batch, LookRequest(plain=needs_plain, guards=self.shot_guards))
        check_motion(dict(forward=look.flow_fw, backward=look.flow_bw), batch.frames1)
        plain_fw, plain_bw = (None if plain is None else plain.float() for plain in (look.plain_fw, look.plain_bw))
        third1, third2 = (motion_to_third(self.view, teacher, batch, self.shot_guards) if self.needs_third
                          else (None, None))
        ctx = PairContext(batch.frames1, batch.frames2, look.flow_fw.float(), look.flow_bw.float(), third1, third2,
                          plain_fw, plain_bw, look.error_fw, look.error_bw)
        forward, stats = self._directed(ctx, look.shares_fw)
        if self.directions == 'forward':
            return [PairLabels(label, None, own, None) for label, own in zip(forward, stats)]
        backward, stats_backward = self._directed(ctx.reversed(), look.shares_bw)
        return [PairLabels(*labels) for labels in zip(forward, backward, stats, stats_backward)]

    @staticmethod
    def _pairs_of(batch: LabelBatch) -> PairBatch:
        """The frames of a batch as the view takes them; what is not between the two of a pair is its third frame."""

        def frame(i: int, number: int) -> Tensor:
            return as_frames([batch.frames[i][number]], batch.device)[0]

        names: Tuple[List[str], List[str]] = ([], [])
        thirds: List[Optional[Tensor]] = []
        middles: List[List[NamedFrame]] = []
        for i, unit in enumerate(batch.units):
            for side, name in zip(names, unit.names):
                side.append(f'{unit.scene}/{name}')
            early, late = sorted(unit.frames)
            numbers = sorted(batch.frames[i], reverse=unit.frames[0] > unit.frames[1])
            middles.append([NamedFrame(frame(i, number), f'{unit.scene}/{batch.names[i][number]}')
                            for number in numbers if early < number < late])
            thirds.append(next((frame(i, number) for number in numbers if not early <= number <= late), None))
        one, two = ([frames[unit.frames[side]] for unit, frames in zip(batch.units, batch.frames)] for side in (0, 1))
        return PairBatch(as_frames(one, batch.device), as_frames(two, batch.device), thirds, names, middles)

    def _check_one_way(self, teacher: Any) -> None:
        """Refuse a teacher that knows no motion backwards where it is asked for."""
        needs = [type(part).__name__ for part in self.filters if getattr(part, 'needs_backward', False)]
        needs += ["directions='both'"] if self.directions == 'both' else []
        if needs:
            raise ConfigError(f'{getattr(teacher, "root", "the teacher")}: has no motion backwards, and the labeler '
                              f'has {" and ".join(needs)}; add it, or do without a round trip: '
                              "labeler.directions='forward', and filters by colour instead, such as CensusFilter")

    def _filters_with_third(self) -> str:
        return ', '.join(type(part).__name__ for part in self.filters if getattr(part, 'needs_third', False))

    def _directed(self, ctx: PairContext,
                  shares: Sequence[Mapping[str, float]]) -> Tuple[List[FlowLabel], List[Dict[str, float]]]:
        verified = torch.ones_like(ctx.flow_fw[:, :1])
        passed: Dict[str, Tensor] = {}
        for part in self.filters:
            weight = part(ctx)
            if weight.shape != verified.shape:
                # three channels would broadcast without a word
                raise ValueError(f'{type(part).__name__} must return weights of shape {tuple(verified.shape)}, '
                                 f'got {tuple(weight.shape)}')
            verified = verified * weight.to(verified.dtype)
            if isinstance(part, PairGuard):
                name = f'passed_{type(part).__name__}'
                # a guard may stand in a config twice, with other settings
                passed[name] = passed.get(name, 1) * weight.flatten(1).amin(dim=1)
        flow, grown = self.densify(ctx, verified) if self.densify else (ctx.flow_fw, verified)
        believed = verified.double().mean(dim=(1, 2, 3), keepdim=True) >= self.min_kept
        for verdict in passed.values():
            believed = believed & (verdict > 0).view(-1, 1, 1, 1)
        unbalanced = torch.maximum(grown, self.floor * lands_inside(flow)) * believed
        weight = self.balance(ctx, flow, unbalanced) if self.balance else unbalanced
        stats = label_stats(ctx, verified, weight, flow)
        for i, found in enumerate(stats):
            found.update({name: float(verdict[i]) for name, verdict in passed.items()})
            if self.needs_third:
                found['third'] = 0. if ctx.third1 is None else float(not bool(ctx.third1[i].isnan().any()))
            if self.densify:
                found['densified'] = rounded(grown[i].double().mean())
            if self.balance:
                found['unbalanced'] = rounded(unbalanced[i].double().mean())
            if ctx.error_fw is not None:
                found['expected_error'] = rounded(ctx.error_fw[i].double().mean())
            if shares:
                found.update({name: rounded(share) for name, share in shares[i].items()})
        return [FlowLabel(f.cpu(), w.cpu()) for f, w in zip(flow, weight)], stats
