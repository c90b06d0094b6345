"""Thresholds for a promise: "of what you keep, 95 % shall be right", without ground truth.

Frames of the user's own are warped by motions like those of the video and recorded as it was, so the truth is known;
the teacher labels frame and warp, and what comes back as well as on the video counts as much as it does there. Each
setting of the filters shows how much it keeps of the video, and how much of that is right on the warps. Ours, not the
paper's, which uses constants.
"""
from __future__ import annotations

import math
from typing import Any, Dict, Iterator, List, Mapping, NamedTuple, Optional, Sequence, Tuple

import numpy as np
import torch
from torch import Tensor

from mmrefine.errors import InputError, NoLabelsError
from mmrefine.geometry import SMALLEST_SIDE, cycle_error
from mmrefine.labeling.calibration.result import Calibration
from mmrefine.labeling.calibration.sweep import Sweep
from mmrefine.labeling.calibration.video_profile import VideoProfile
from mmrefine.labeling.flow.labeler import FlowLabeler
from mmrefine.registry import LABELERS
from mmrefine.structures import FlowEstimator, PairBatch, PairContext
from mmrefine.values import as_count, as_number

Pair = Tuple[Tensor, Tensor]
PIXELS = 20000  # of a pair that are looked at: neighbours say the same
CYCLE_EDGES = (0.03, 0.06, 0.12, 0.25, 0.5, 1., 2., float('inf'))  # px; the last group leaves the frame
GROUPS = len(CYCLE_EDGES) + 1
MOST = 20.  # times that a pixel of a warp may count: what is common in the video and rare on the warps is hardly known


def check_promise(precision: float,
                  within: float,
                  relative: float,
                  warps: int,
                  pace: float,
                  name: str = 'calibrate') -> None:
    """Refuse what cannot be promised.

    Raises:
        ConfigError: a value out of range; names the key as ``<name>.<key>``.
    """
    as_number(f'{name}.precision', precision, '(0, 1)', '; 0.95 is a good start')
    as_number(f'{name}.within', within, '(0, inf)', ' px: no motion is known without an error')
    as_number(f'{name}.relative', relative)
    as_number(f'{name}.pace', pace)
    as_count(f'{name}.warps', warps)


def calibrate(teacher: FlowEstimator,
              labeler: Mapping[str, Any],
              pairs: Sequence[Pair],
              precision: float = 0.95,
              within: float = 1.,
              relative: float = 0.05,
              warps: int = 4,
              pace: float = 1.5,
              seed: int = 0,
              device: str = 'cpu',
              least: float = 0.01) -> Calibration:
    """Choose the thresholds of a labeler's filters that keep most among those that keep the promise.

    The first frames of the even pairs choose, those of the odd pairs judge. On each of them ``warps`` motions are drawn
    (:func:`~mmrefine.geometry.random_warp`), and recorded with noise, compression and drift like those of the video
    (:meth:`~mmrefine.labeling.VideoProfile.warp`). A motion is right if its error is less than
    ``max(within, relative |truth|)``, whether its pixel is visible or hidden; as in the quality of labels against
    ground truth, precision is the share of the weight that is right and coverage the mean weight.

    Coverage is that of ``pairs`` themselves. Precision is that of the warps, where each pixel counts as often as its
    cycle error occurs in ``pairs``, relative to how often it occurs on the warps: whatever else makes the video harder
    than its warps shows in the round trip.

    Of the settings with the wanted precision the one with the greatest coverage is taken; if there is none, the most
    precise one of those that keep ``least`` of the pixels, and ``reached`` and ``note`` say so. Of equals, the
    strictest. What is tuned are the filters whose class has a :class:`~mmrefine.labeling.Threshold`; the others judge
    along as they are, except guards, which judge pairs and not pixels. Floor, growth and balance of the labeler come
    after the filters and are not part of the promise.

    Asking for more precision never gives more coverage on the frames that choose.

    Args:
        teacher: whose motion becomes the labels.
        labeler: config of a ``FlowLabeler``.
        pairs: neighbouring frames ``(3, H, W)`` RGB in [0, 1] from all over the video, at least two pairs, each 32 px a
            side or more; each is asked for twice, so they need not be in memory together.
        precision: wanted share of what is kept that is right, in (0, 1).
        within: px, above 0.
        relative: share of the true motion, at least 0.
        warps: of each frame, at least 1.
        pace: the warps move 1 to this many times as fast as the teacher saw the video move, at least 0. A teacher far
            from home sees less motion than there is: 1 promises too much.
        seed: of the motions; the same seed gives the same calibration.
        device: where the teacher lives.
        least: share of the pixels that a setting must keep to count, in (0, 1): the precision of a handful of pixels
            means nothing.

    Raises:
        ConfigError: a value out of range, or no filter can be tuned.
        InputError: too few or too small frames.
        TeacherError: the motion cannot be used.
        NoLabelsError: no setting keeps anything worth counting.
    """
    check_promise(precision, within, relative, warps, pace)
    as_number('calibrate.least', least, '(0, 1)')
    if len(pairs) < 2:
        raise InputError('a calibration needs at least 2 frame pairs, one to choose and one to judge, '
                         f'got {len(pairs)}; give it more frames, or set the thresholds by hand')
    sweep = Sweep(labeler)
    plain: FlowLabeler = LABELERS.build(dict(type=labeler['type'], view=labeler['view'], directions='both'))
    video: List[_Count] = []

    def seen() -> Iterator[PairContext]:
        for number, pair in enumerate(pairs):
            ctx = _context(plain, teacher, *_checked(pair), device)
            video.append(_count(sweep, ctx, torch.zeros_like(ctx.flow_fw[:, 0]), np.random.default_rng((seed, number))))
            yield ctx

    profile = VideoProfile.of(seen())
    made, hidden = [], []
    for i, pair in enumerate(pairs):
        counts = []
        for number in range(warps):
            rng = np.random.default_rng((seed, i, number))
            warp = profile.warp(rng, pair[0], pace)
            ctx = _context(plain, teacher, warp.frames1, warp.frames2, device)
            counts.append(_count(sweep, ctx, _right(ctx.flow_fw, warp.flow, within, relative), rng))
            hidden.append(float((~warp.visible).float().mean()))
        made.append(_Count(*(np.sum(parts, axis=0) for parts in zip(*counts))))
    odds = _odds(made, video)
    chooses, judges = _Sums(made[::2], video[::2], odds), _Sums(made[1::2], video[1::2], odds)
    best, reached = _choose(chooses, precision, least, sweep)
    rows: List[Dict[str, Any]] = [
        dict(
            thresholds=thresholds,
            precision=judges.precision(i),
            coverage=judges.coverage(i),
            chosen_precision=chooses.precision(i),
            chosen_coverage=chooses.coverage(i)) for i, thresholds in enumerate(sweep.settings)
    ]
    row, before = rows[best], rows[sweep.before]
    error = judges.error(best)
    return Calibration(
        thresholds=sweep.settings[best],
        target=float(precision),
        within=float(within),
        relative=float(relative),
        reached=reached,
        precision=judges.precision(best),
        precision_error=error,
        coverage=judges.coverage(best),
        chosen_precision=row['chosen_precision'],
        chosen_coverage=row['chosen_coverage'],
        before={key: before[key] for key in ('thresholds', 'precision', 'coverage')},
        table=rows,
        note=_note(row, precision, reached, error, labeler),
        material=dict(
            frames=len(pairs),
            warps=len(pairs) * warps,
            pixels=int(sum(count.pixels.sum() for count in made)),
            seed=seed,
            motion=[round(float(np.quantile(profile.speeds, q)), 3) for q in (0.5, 0.95)],
            noise=round(profile.noise, 3),
            drift=round(max(profile.drifts), 3),
            grain=round(profile.grain, 3),
            qualities=profile.qualities,
            hidden=round(math.fsum(hidden) / len(hidden), 4)))


class _Count(NamedTuple):
    """Sums over pixels, by group of cycle error: the weight a setting keeps and what of it is right
    ``(settings, GROUPS)``; pixels."""
    weight: np.ndarray
    hits: np.ndarray
    pixels: np.ndarray


def _count(sweep: Sweep, ctx: PairContext, right: Tensor, rng: np.random.Generator) -> _Count:
    error = cycle_error(ctx.flow_fw, ctx.flow_bw).flatten()
    some = torch.as_tensor(np.sort(rng.permutation(len(error))[:PIXELS]))
    groups = torch.bucketize(error[some], torch.tensor(CYCLE_EDGES), right=True)
    weight, hits = sweep.sums(ctx, right, some, groups, GROUPS)
    return _Count(weight, hits, np.bincount(groups.numpy(), minlength=GROUPS))


def _odds(made: Sequence[_Count], video: Sequence[_Count]) -> np.ndarray:
    """How much more frequent each group of cycle error is in the video than on the warps; 0 where the warps have
    none of it."""
    here, there = (np.sum([count.pixels for count in counts], axis=0) for counts in (made, video))
    found = np.minimum((there / there.sum()) / np.maximum(here / here.sum(), 1e-12), MOST)
    return np.where(here > 0, found, 0.)


class _Sums:
    """What the settings do on the warps of several frames, and how much they keep of the pairs of these."""

    def __init__(self, made: Sequence[_Count], video: Sequence[_Count], odds: np.ndarray) -> None:
        self.weight = np.stack([count.weight @ odds for count in made])
        self.hits = np.stack([count.hits @ odds for count in made])
        self.kept = np.sum([count.weight for count in video], axis=(0, 2)) / sum(count.pixels.sum() for count in video)

    def precision(self, i: int) -> Optional[float]:
        weight = float(self.weight[:, i].sum())
        return float(self.hits[:, i].sum()) / weight if weight > 0 else None

    def coverage(self, i: int) -> float:
        return float(self.kept[i])

    def error(self, i: int) -> Optional[float]:
        """Standard error of the precision as a ratio of sums over frames."""
        count, precision = len(self.weight), self.precision(i)
        if count < 2 or precision is None:
            return None
        residual = self.hits[:, i] - precision * self.weight[:, i]
        return float(np.sqrt((residual**2).sum() * count / (count - 1)) / self.weight[:, i].sum())


def _checked(pair: Pair) -> Tuple[Tensor, Tensor]:
    """As a batch of one."""
    height, width = pair[0].shape[-2:]
    if min(height, width) < SMALLEST_SIDE:
        raise InputError(f'a calibration needs frames of at least {SMALLEST_SIDE} px a side, got {width} x {height}; '
                         'use larger frames, or set the thresholds by hand')
    return pair[0][None], pair[1][None]


def _context(labeler: FlowLabeler, teacher: FlowEstimator, frames1: Tensor, frames2: Tensor,
             device: str) -> PairContext:
    """The pairs as the filters see them, on the CPU."""
    labels = labeler.label_pairs(teacher, PairBatch(frames1.to(device), frames2.to(device)))
    forward, backward = [label.forward for label in labels], [label.backward for label in labels]
    return PairContext(frames1, frames2, torch.stack([label.flow for label in forward]),
                       torch.stack([label.flow for label in backward if label is not None]))


def _right(flow: Tensor, truth: Tensor, within: float, relative: float) -> Tensor:
    error = (flow - truth).double().norm(dim=1)
    return error < (relative * truth.double().norm(dim=1)).clamp(min=within)


def _choose(sums: _Sums, target: float, least: float, sweep: Sweep) -> Tuple[int, bool]:
    """The setting to take, and whether it reaches the target."""
    rated = [(i, sums.precision(i), sums.coverage(i)) for i in range(len(sweep.settings))]
    counted = [(i, p, c) for i, p, c in rated if p is not None and c >= least]
    if not counted:
        raise NoLabelsError(f'no thresholds keep {least:.0%} of the pixels of the video, the loosest '
                            f'{rated[-1][2]:.2%}; look at the other filters of labeler.filters, and check that the '
                            'checkpoint belongs to the model')
    good = [one for one in counted if one[1] >= target]
    # settings go from strict to loose, and of equals max() takes the first
    best = max(good, key=lambda one: (one[2], one[1])) if good else max(counted, key=lambda one: (one[1], one[2]))
    return best[0], bool(good)


def _note(row: Mapping[str, Any], target: float, reached: bool, error: Optional[float],
          labeler: Mapping[str, Any]) -> str:
    found = 'nothing'
    if row['precision'] is not None:
        found = f'{row["coverage"]:.1%} of the pixels, {row["precision"]:.1%} of them right'
    spread = '' if error is None else f' (standard error {error:.1%})'
    if not reached:
        text = (f'precision {target:.1%} is out of reach: the most precise thresholds have '
                f'{row["chosen_precision"]:.1%} on the warps that choose, and keep {found}{spread} on the others; they '
                'were taken: ask for less, or add a filter that sees other errors')
    else:
        text = (f'precision {target:.1%} is predicted: on frames that did not choose, these thresholds keep '
                f'{found}{spread}')
        if row['precision'] is None or (error is not None and row['precision'] < target - 2 * error):
            text += '; that is short of it, so calibrate on more frames or ask for more'
    after = [key for key in ('floor', 'densify', 'balance') if labeler.get(key)]
    if after:
        text += f'; what {" and ".join(after)} of the labeler add or reweigh comes after the filters and is not covered'
    return text
