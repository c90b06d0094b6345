"""Stage 1 of self-training on one page: ask both ways, verify, weigh (Refine, PAPERS.md A.2)."""
from __future__ import annotations

import copy
import inspect
from dataclasses import dataclass
from typing import Any, Callable, Dict, List, Optional, Sequence, Tuple, Union

import torch
from torch import Tensor

from mmrefine.errors import ConfigError
from mmrefine.fileio.codecs.flow import FlowCodec
from mmrefine.geometry import color_residual, cycle_error, lands_inside
from mmrefine.labeling.flow.filters.consistency import PairContext
from mmrefine.labeling.flow.filters.pair_guards import PairGuard
from mmrefine.labeling.flow.views.both_ways import Middle, Middles, Names, check_middles, look_both_ways
from mmrefine.labeling.flow.views.third_frame import check_motion, motion_to_third
from mmrefine.registry import BALANCERS, DENSIFIERS, FILTERS, LABELERS, TEACHER_VIEWS
from mmrefine.structures import FlowEstimator, FlowLabel, LabelBatch, Labeled, LabelUnit, as_frames
from mmrefine.values import as_share


@dataclass(frozen=True)
class PairLabels:
    """What became of one frame pair.

    Args:
        forward: motion from frame 1 to frame 2, on the CPU.
        backward: motion from frame 2 to frame 1, if it was asked for.
        stats: of the forward label, see :func:`label_stats`; with pair guards also 1 or 0 for each, ``passed_<class name>``; with
            a filter that needs a third frame 1 or 0 for whether there was one, ``third``; with
            ``densify`` the mean weight after it, ``densified``; with ``balance`` the mean weight before it, ``unbalanced``; with a view
            that has ``last_shares``, such as :class:`~mmrefine.labeling.ArbitratedView`, what it says of the direction.
        stats_backward: of the backward label.
    """
    forward: FlowLabel
    backward: Optional[FlowLabel]
    stats: Dict[str, float]
    stats_backward: Optional[Dict[str, float]]


@LABELERS.register_module()
class FlowLabeler:
    """Turns a teacher's view of a frame pair into labels.

    The view is asked once, for both directions as one batch, and once more for the motion of both
    frames to a third one if a filter needs it. A pixel's weight is the product of
    what the filters give it, and never less than ``floor`` where the motion lands inside the
    frame: verified pixels are the easy ones, and a student that sees only those forgets the rest. A
    pair that a :class:`~mmrefine.labeling.PairGuard` refuses weighs 0 everywhere, floor or not. A guard that tells shots apart is asked
    about the third frame, too, and about the frames between the two of a pair: what it refuses has no say.

    What was verified may grow (``densify``) before the floor is laid, and the weights of the finished label may be shared out anew
    (``balance``), the floor's too; neither changes what the filters verified.

    Args:
        view: config of the part of ``TEACHER_VIEWS`` that asks the teacher.
        filters: configs of the parts of ``FILTERS``; none keeps everything.
        directions: ``'forward'`` or ``'both'``: which labels to make (both flows are needed for
            the cycle check anyway, so the second label is free).
        min_kept: a label of which the filters keep less than this share, in [0, 1], is not
            believed at all: its weight is 0 everywhere, floor or not.
        floor: least weight in [0, 1] of a motion that lands inside; 0 is the paper's hard choice.
        densify: config of the part of ``DENSIFIERS`` that grows the label; None leaves it.
        balance: config of the part of ``BALANCERS`` that shares out the weights; None leaves them.

    Raises:
        ConfigError: a value that cannot be meant.
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
        if directions not in ('forward', 'both'):
            raise ConfigError(
                f"FlowLabeler.directions must be 'forward' or 'both', got {directions!r}")
        self.view: Callable[..., Tensor] = TEACHER_VIEWS.build(view)
        self.filters: List[Callable[[PairContext], Tensor]] = [FILTERS.build(f) for f in filters]
        # their say also counts for the other frames that a label is made or judged by
        self.shot_guards = [part for part in self.filters if isinstance(part, PairGuard) and part.tells_shots]
        if hasattr(self.view, 'shot_guards'):
            self.view.shot_guards = self.shot_guards
        self.directions = directions
        self.min_kept, self.floor = as_share('FlowLabeler.min_kept', min_kept), as_share('FlowLabeler.floor', floor)
        self.densify: Optional[Callable[[PairContext, Tensor], Tuple[Tensor, Tensor]]] = DENSIFIERS.build(densify) if densify else None
        self.balance: Optional[Callable[..., Tensor]] = BALANCERS.build(balance) if balance else None
        if getattr(self.balance, 'needs_plain', False) and hasattr(self.view, 'wants_plain'):
            self.view.wants_plain = True
        self._described: Dict[str, Any] = dict(
            type=type(self).__name__,
            view=_whole_config(self.view, view),
            filters=[_whole_config(part, config) for part, config in zip(self.filters, filters)],
            directions=directions,
            min_kept=self.min_kept,
            floor=self.floor)
        # only where there is one: labels that were made before these parts existed are still the same labels
        if densify:
            self._described['densify'] = _whole_config(self.densify, densify)
        if balance:
            self._described['balance'] = _whole_config(self.balance, balance)

    def describe(self) -> Dict[str, Any]:
        """What decides over the labels beside teacher and frames; JSON-able, defaults included."""
        return copy.deepcopy(self._described)

    @property
    def needs_third(self) -> bool:
        """Whether a filter asks for the motion to a third frame (``needs_third = True``)."""
        return bool(self._asking_for_third())

    @property
    def needs_middle(self) -> bool:
        """Whether the view makes use of the frames between the two of a pair (``needs_middle = True``)."""
        return bool(getattr(self.view, 'needs_middle', False))

    def keys(self, unit: LabelUnit) -> List[str]:
        """The keys of the labels that a pair becomes: its own, and the reversed one's if both directions are labelled."""
        return [unit.key, unit.backward_key] if self.directions == 'both' else [unit.key]

    def extra_frames(self, unit: LabelUnit, usable: Callable[[int], bool]) -> List[int]:
        """Numbers of the frames between the two of a pair and of a third one, if they are needed and ``usable``, in reading order.

        The third frame is the next one at the pair's own step; at the end of a scene that before the pair.
        """
        first, last = unit.frames
        way = 1 if last > first else -1
        middles = filter(usable, range(first + way, last, way)) if self.needs_middle else ()
        early, late, step = min(first, last), max(first, last), abs(last - first)
        thirds = filter(usable, (late + step, early - step)) if self.needs_third else iter(())
        third = next(thirds, None)
        return [*middles, *([] if third is None else [third])]

    def pass_sizes(self, size: Tuple[int, int], units: int) -> List[Tuple[Tuple[int, int], int]]:
        """The sizes (height, width) in which the teacher is shown ``units`` pairs of frames of ``size``, and how many pairs at a time.

        Empty if the view does not tell.
        """
        scales = getattr(self.view, 'scales', ())
        return [((max(round(scale * size[0]), min(size[0], 2)), max(round(scale * size[1]), min(size[1], 2))), 2 * units)
                for scale in scales]

    def memory_settings(self) -> List[str]:
        """Which config keys to lower so that the teacher takes less memory."""
        scales = getattr(self.view, 'scales', None)
        return [] if scales is None else [f'labeler.view.scales (now {scales}; other scales need a new store)']

    def label(self, teacher: FlowEstimator, batch: LabelBatch) -> List[Labeled]:
        """The labels of a batch, :meth:`keys` of each pair in order.

        Raises:
            TeacherError: the motion has the wrong size, or is nan or infinite anywhere.
        """
        one, two = (as_frames([frames[unit.frames[i]] for unit, frames in zip(batch.units, batch.frames)], batch.device)
                    for i in (0, 1))
        names = [[f'{unit.scene}/{unit.names[i]}' for unit in batch.units] for i in (0, 1)]
        thirds: List[Optional[Tensor]] = []
        middles: List[List[Middle]] = []
        for unit, frames, its_names in zip(batch.units, batch.frames, batch.names):
            early, late = sorted(unit.frames)
            ahead = sorted(frames, reverse=unit.frames[0] > unit.frames[1])
            middles.append([Middle(as_frames([frames[n]], batch.device)[0], f'{unit.scene}/{its_names[n]}')
                            for n in ahead if early < n < late])
            thirds.append(next((as_frames([frames[n]], batch.device)[0] for n in ahead if not early <= n <= late), None))
        labels = self.label_pairs(teacher, one, two, thirds if self.needs_third else None, (names[0], names[1]),
                                  middles if self.needs_middle else None)
        found: List[Labeled] = []
        for unit, label in zip(batch.units, labels):
            found.append(Labeled(unit.key, label.forward, label.stats))
            if label.backward is not None:
                found.append(Labeled(unit.backward_key, label.backward, label.stats_backward or {}))
        return found

    @torch.no_grad()
    def label_pairs(self,
                    teacher: FlowEstimator,
                    frames1: Tensor,
                    frames2: Tensor,
                    frames3: Optional[Union[Tensor, Sequence[Optional[Tensor]]]] = None,
                    names: Optional[Names] = None,
                    middles: Optional[Middles] = None) -> List[PairLabels]:
        """The labels of a batch of frame pairs; the same input gives the same labels.

        Args:
            teacher: whose motion becomes the label.
            frames1: ``(B, 3, H, W)`` RGB in [0, 1].
            frames2: the same shape.
            frames3: a third frame of each scene, ``(B, 3, H, W)``, or for each pair one
                ``(3, H, W)``, or None where it has none. Only for filters that need it
                (:attr:`needs_third`), which judge nothing in a pair without one.
            names: of the pictures in ``frames1`` and in ``frames2``; a teacher that knows how encodes
                each name once along a video.
            middles: for each pair the frames between its two, in the order from frame 1 to frame 2, none or several; None: no pair
                has any. Only for a view that composes (:attr:`needs_middle`), which looks directly at a pair without one.

        Returns:
            one per pair.

        Raises:
            ConfigError: a filter needs a third frame and ``frames3`` is None.
            ValueError: frames of the wrong or of different shapes, or ``middles`` of another number of pairs.
            TeacherError: the motion has the wrong size, or is nan or infinite anywhere.
        """
        if frames1.dim() != 4 or frames1.shape[1] != 3 or frames1.shape != frames2.shape:
            raise ValueError('frames1 and frames2 must both be (B, 3, H, W), '
                             f'got {tuple(frames1.shape)} and {tuple(frames2.shape)}')
        if frames3 is None and self.needs_third:
            raise ConfigError(f'FlowLabeler.filters has {self._asking_for_third()}, which needs a third frame of the scene, and was '
                              'given two frames; give frames3, or leave the filter out')
        if middles is not None:
            check_middles(middles, frames1)
        both = look_both_ways(self.view, teacher, frames1, frames2, names, middles)
        # before the view is asked again
        shares = [{key: round(share, 6) for key, share in its.items()} for its in getattr(self.view, 'last_shares', ())]
        seen: Optional[Tensor] = getattr(self.view, 'last_plain', None)
        plains = (None, None) if seen is None else seen.float().chunk(2)
        check_motion(both, frames1)
        flow_fw, flow_bw = both.float().chunk(2)
        third1, third2 = None, None
        if frames3 is not None and self.needs_third:
            third1, third2 = motion_to_third(self.view, teacher, frames1, frames2, frames3, self.shot_guards)
        ctx = PairContext(frames1, frames2, flow_fw, flow_bw, third1, third2)
        forward, stats = self._directed(ctx, plains[0])
        for its, share in zip(stats, shares):
            its.update(share)
        if self.directions == 'forward':
            return [PairLabels(label, None, its, None) for label, its in zip(forward, stats)]
        backward, stats_backward = self._directed(ctx.swapped(), plains[1])
        for its, share in zip(stats_backward, shares[len(frames1):]):
            its.update(share)
        return [PairLabels(*pair) for pair in zip(forward, backward, stats, stats_backward)]

    def _asking_for_third(self) -> str:
        return ', '.join(type(part).__name__ for part in self.filters if getattr(part, 'needs_third', False))

    def _directed(self, ctx: PairContext, plain: Optional[Tensor]) -> Tuple[List[FlowLabel], List[Dict[str, float]]]:
        verified = torch.ones_like(ctx.flow_fw[:, :1])
        passed: Dict[str, Tensor] = {}
        for part in self.filters:
            weight = part(ctx)
            if weight.shape != verified.shape:
                # three channels would broadcast without a word (PAPERS.md A.9, 1)
                raise ValueError(f'{type(part).__name__} must return weights of shape '
                                 f'{tuple(verified.shape)}, got {tuple(weight.shape)}')
            verified = verified * weight.to(verified.dtype)
            if isinstance(part, PairGuard):
                name = f'passed_{type(part).__name__}'
                # a guard may stand in a config twice, with other settings
                passed[name] = passed.get(name, 1) * weight.flatten(1).amin(dim=1)
        flow, grown = self.densify(ctx, verified) if self.densify else (ctx.flow_fw, verified)
        weight = torch.maximum(grown, self.floor * lands_inside(flow))
        believed = verified.double().mean(dim=(1, 2, 3), keepdim=True) >= self.min_kept
        for verdict in passed.values():
            believed = believed & (verdict > 0).view(-1, 1, 1, 1)
        believed_weight = weight * believed
        weight = believed_weight
        if self.balance:
            more = dict(plain=plain) if getattr(self.balance, 'needs_plain', False) else {}
            weight = self.balance(flow, believed_weight, **more)
        labels = [FlowLabel(f.cpu(), w.cpu()) for f, w in zip(flow, weight)]
        stats = label_stats(ctx, verified, weight, flow)
        for i, its in enumerate(stats):
            its.update({name: float(verdict[i]) for name, verdict in passed.items()})
            if self.needs_third:
                its['third'] = 0. if ctx.third1 is None else float(not bool(ctx.third1[i].isnan().any()))
            if self.densify:
                its['densified'] = _mean(grown[i])
            if self.balance:
                its['unbalanced'] = _mean(believed_weight[i])
        return labels, stats


def label_stats(ctx: PairContext, verified: Tensor, weight: Tensor, flow: Optional[Tensor] = None) -> List[Dict[str, float]]:
    """What a person wants to know of each label, rounded to 6 decimals.

    * ``kept``: mean weight, in [0, 1];
    * ``verified``: mean of what the filters alone gave, in [0, 1];
    * ``inside``: share of pixels that land inside the frame, in [0, 1];
    * ``mean_motion``: px, weighted by ``weight``; 0 if nothing is kept;
    * ``cycle_error_median`` (the lower one of two), ``cycle_error_mean``: px, over the pixels that
      land inside; 0 if none does;
    * ``color_residual``: mean in grey levels of 255, over the pixels that land inside; 0 if none.

    All but ``mean_motion`` judge the teacher's motion, also where the label got another one.

    Args:
        ctx: the pair, batched.
        verified: ``(B, 1, H, W)`` in [0, 1].
        weight: ``(B, 1, H, W)`` in [0, 1].
        flow: ``(B, 2, H, W)`` px, the motion of the label; None: the teacher's.
    """
    inside = lands_inside(ctx.flow_fw)
    motion = (ctx.flow_fw if flow is None else flow).norm(dim=1, keepdim=True).double()
    errors = cycle_error(ctx.flow_fw, ctx.flow_bw).double()
    residuals = color_residual(ctx.frames1, ctx.frames2, ctx.flow_fw).double()
    stats = []
    for i in range(len(weight)):
        w, error, residual = weight[i].double(), errors[i][inside[i]], residuals[i][inside[i]]
        found = dict(
            kept=w.mean(),
            verified=verified[i].double().mean(),
            inside=inside[i].double().mean(),
            mean_motion=(w * motion[i]).sum() / w.sum().clamp(min=1e-12),
            cycle_error_median=error.median() if error.numel() else 0.,
            cycle_error_mean=error.sum() / max(error.numel(), 1),
            color_residual=residual.sum() / max(residual.numel(), 1))
        # rounded, so that the order of summation (threads, device) does not show in a manifest
        stats.append({key: round(float(value), 6) for key, value in found.items()})
    return stats


def _mean(weight: Tensor) -> float:
    return round(float(weight.double().mean()), 6)


def _whole_config(part: Any, config: Dict[str, Any]) -> Dict[str, Any]:
    """The config of a part with the defaults of its class filled in, JSON-able."""
    given = {k: v for k, v in config.items() if k not in ('type', '_scope_')}
    bound = inspect.signature(type(part)).bind(**given)
    bound.apply_defaults()
    unset = [k for k in getattr(part, 'described_if_set', ()) if bound.arguments[k] is None]
    return dict(type=type(part).__name__, **{k: _plain(v) for k, v in bound.arguments.items() if k not in unset})


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    # 1 and 1.0 mean the same label, so they must not differ in a fingerprint
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value
