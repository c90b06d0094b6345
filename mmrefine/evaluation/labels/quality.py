"""How good are labels: what was kept, where, at which speeds, and how well it fits, with or without ground truth.

A record of a scene, and of all of them together::

    {"verdict": "amber", "reason": "…", "findings": {"fast": "amber"},
     "labels": 20, "kept": 0.61, "verified": 0.61,
     "speed": {"bins_px": ["0-0.5", …], "share": […], "kept": […]},  of the pixels; null if the store does not say it
     "regions": [[…], […], […]],                                     kept share of 3 x 3 parts of the frame
     "cycle_error": {"of": "pixels", "edges_px": […], "share": […], "mean": 0.08, "known": 0.97},
     "color_residual": 2.1,
     "explained": 0.31,                                              colour change along the motion / in place
     "duplicates": {"pairs": 1, "judged": 20, "weight": 0.04}, "cuts": {…}, "still": {…},
     "truth": {"labels": 20, "EPE": 0.31, "precision": 0.96, "coverage": 0.61,
               "speed": {"bins_px": […], "share": […], "EPE": […], "precision": […], "coverage": […]}}}

A share of nothing is null. Everything is weighed by the label weight, as the losses do it; ``verified`` is the mean
weight before a floor or a balance changed it, if the store says it. The speeds of pixels that were not kept are gone
from a store, so :func:`speed_stats` counts them when a label is made, by the teacher's motion.
"""
from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar, Dict, Iterable, List, Mapping, Optional, Tuple

import numpy as np
import torch
from torch import Tensor

from mmrefine.evaluation.labels.sums import CYCLE_EDGES, LabelSums, bins_of, count_by, region_pixels, sum_label
from mmrefine.evaluation.labels.verdict import SPEED_BINS, SPEED_EDGES, overall_verdict, verdict
from mmrefine.evaluation.tallies import Sums, sum_by_scene
from mmrefine.geometry.stillness import STILL_SHARE
from mmrefine.structures import FlowLabel
from mmrefine.structures.figures import LABEL_FREE, Figure
from mmrefine.structures.pairs import FAR

PRECISE_PX = 1.
LEAST_CHANGE = 0.1  # grey levels a pixel, in place; where pictures change less, they say nothing of the motion
KINDS = ('duplicates', 'cuts', 'still')
SPEED_PREFIX = 'speed_'


def speed_stats(label: FlowLabel) -> Dict[str, float]:
    """Statistics for the store, while the motion that was not kept is still known.

    For each speed bin, as shares of the frame: ``speed_<bin>_pixels`` that move so fast, and ``speed_<bin>_kept``,
    their weight. Pixels whose motion the teacher does not know are in no bin.
    """
    known = (label.flow.abs() < FAR).all(dim=0).numpy()
    bins, weight = _speed_bins(label.flow)[known], label.weight[0].numpy()[known]
    size = known.size
    counts, weights = count_by(bins, None, len(SPEED_BINS)), count_by(bins, weight, len(SPEED_BINS))
    found: Dict[str, float] = {}
    for name, count, weight in zip(SPEED_BINS, counts, weights):
        found[f'{SPEED_PREFIX}{name}_pixels'] = round(float(count) / size, 6)
        found[f'{SPEED_PREFIX}{name}_kept'] = round(float(weight) / size, 6)
    return found


def _zeros(bins: int) -> Any:
    return field(default_factory=lambda: np.zeros(bins))


@dataclass
class LabelTally(Sums):
    """What one or many labels add to the record: sums, which are added and never averaged.

    ``pixels`` of the frames and the ``weight`` on them, also by region and by speed; ``speed_known`` counts the pixels
    of labels whose store says their speeds. ``cycle`` is the weight by cycle error, ``cycle_pairs`` the pairs by the
    median that their statistics say. ``kinds`` has a row (pairs, judged, weight, weight of the judged) for each of
    ``KINDS``. ``colors`` has the change of colour along the teacher's motion and in place, of pairs with a label that
    are no cuts. The ``truth`` arrays are by true speed: pixels, weight, weighted error, weight within 1 px.
    """
    figures: ClassVar[Tuple[Figure, ...]] = (
        Figure('kept', '', 'higher', headline=True, title='mean weight of a pixel', decided_by=LABEL_FREE),
        Figure('verified', '', 'higher', title='mean weight before a floor or a balance', decided_by=LABEL_FREE),
        Figure('cycle_error', 'px', 'lower', title='cycle error, mean', decided_by=LABEL_FREE),
        Figure('color_residual', 'grey levels', 'lower', title='colour residual', decided_by=LABEL_FREE),
        Figure('EPE', 'px', 'lower'),
        Figure('precision', '', 'higher', title='share of the weight within 1 px'),
        Figure('coverage', '', 'higher', title='weight where the truth is known'),
    )
    labels: int = 0
    pixels: int = 0
    weight: float = 0.
    verified: float = 0.
    verified_known: int = 0
    region_pixels: np.ndarray = _zeros(9)
    region_weight: np.ndarray = _zeros(9)
    speed_known: int = 0
    speed_pixels: np.ndarray = _zeros(len(SPEED_BINS))
    speed_weight: np.ndarray = _zeros(len(SPEED_BINS))
    cycle: np.ndarray = _zeros(len(CYCLE_EDGES))
    cycle_sum: float = 0.
    cycle_pairs: np.ndarray = _zeros(len(CYCLE_EDGES))
    color_sum: float = 0.
    color_weight: float = 0.
    colors: np.ndarray = _zeros(2)
    kinds: np.ndarray = field(default_factory=lambda: np.zeros((len(KINDS), 4)))
    truth_labels: int = 0
    truth: np.ndarray = field(default_factory=lambda: np.zeros((4, len(SPEED_BINS))))

    @property
    def size(self) -> int:
        """Pixels of the frames."""
        return self.pixels

    def scores(self) -> Dict[str, float]:
        """The figures of which anything is known, rounded to 6 decimals."""
        pixels, weight, error, within = self.truth.sum(axis=1)
        found = dict(
            kept=_ratio(self.weight, self.pixels),
            verified=_ratio(self.verified, self.verified_known),
            cycle_error=_ratio(self.cycle_sum, self.cycle.sum()),
            color_residual=_ratio(self.color_sum, self.color_weight),
            EPE=_ratio(error, weight),
            precision=_ratio(within, weight),
            coverage=_ratio(weight, pixels))
        return {name: value for name, value in found.items() if value is not None}


def tally_label(label: FlowLabel,
                stats: Mapping[str, Any],
                frame1: Tensor,
                frame2: Tensor,
                back: Optional[FlowLabel] = None,
                kinds: Optional[Mapping[str, bool]] = None) -> LabelTally:
    """The tally of one label: :func:`tally_sums` of :func:`~mmrefine.evaluation.labels.sums.sum_label`.

    Args:
        label: the label as it is stored.
        stats: its statistics in the store.
        frame1: ``(3, H, W)`` RGB in [0, 1].
        frame2: the same shape.
        back: the label of the reversed pair, if there is one.
        kinds: whether the pair is one of ``duplicates``, ``cuts``, ``still``; those that are not known are left out.
            ``still`` follows from the speeds in ``stats`` if it is not given.
    """
    return tally_sums(sum_label(label, frame1, frame2, back, kinds), stats)


def tally_sums(sums: LabelSums, stats: Mapping[str, Any]) -> LabelTally:
    """The tally of a label from the sums over its pixels and its statistics in the store."""
    total = sums.weight
    tally = LabelTally(labels=1, pixels=sums.size[0] * sums.size[1], weight=total)
    if 'verified' in stats:
        tally.verified, tally.verified_known = tally.pixels * float(stats['verified']), tally.pixels
    tally.region_pixels, tally.region_weight = region_pixels(sums.size), np.array(sums.regions)
    _add_speeds(tally, stats)
    tally.color_sum, tally.color_weight = sums.color
    if sums.cycle is not None:
        tally.cycle, tally.cycle_sum = np.array(sums.cycle[:-1]), sums.cycle[-1]
    if 'in_place' in stats and total > 0 and not sums.kinds.get('cuts'):  # across a cut colours change anyway
        tally.colors = tally.pixels * np.array([float(stats['along_motion']), float(stats['in_place'])])
    if 'cycle_error_median' in stats:
        tally.cycle_pairs[bins_of(np.array(stats['cycle_error_median']), CYCLE_EDGES)] = 1
    kinds = dict(sums.kinds)
    if tally.speed_known:
        moving = sum(stats[f'{SPEED_PREFIX}{name}_pixels'] for name in SPEED_BINS[1:])
        kinds.setdefault('still', bool(moving < STILL_SHARE))
    for row, kind in enumerate(KINDS):
        if kind in kinds:
            hit = kinds[kind]
            tally.kinds[row] = (hit, 1, total * hit, total)
    return tally


def tally_truth(label: FlowLabel, truth: Tensor, valid: Tensor) -> LabelTally:
    """Compare one label with ground truth.

    Args:
        label: the label as it is stored.
        truth: ``(2, H, W)`` px.
        valid: bool ``(H, W)``, where the truth is known; it is unknown, too, where it is not finite.

    Raises:
        ValueError: the truth has another size than the label.
    """
    if truth.shape != label.flow.shape:
        raise ValueError(f'the truth must have the shape of the label, {tuple(label.flow.shape)}, '
                         f'got {tuple(truth.shape)}')
    known = (valid & truth.isfinite().all(dim=0)).numpy()
    if not known.any():
        return LabelTally()
    error = (label.flow - truth).double().norm(dim=0).numpy()[known]
    weight, bins = label.weight[0].double().numpy()[known], _speed_bins(truth)[known]
    columns = (None, weight, weight * error, weight * (error < PRECISE_PX))
    sums = [count_by(bins, column, len(SPEED_BINS)) for column in columns]
    return LabelTally(truth_labels=1, truth=np.stack(sums))


def quality_record(results: Iterable[Tuple[str, LabelTally]]) -> Dict[str, Any]:
    """The record of a store.

    Args:
        results: (scene, tally) of each label; the same order gives the same record.

    Returns:
        the record over all labels, with those of the scenes by name under ``scenes``; see the top of this module.
    """
    total, by_scene = sum_by_scene(results)
    overall, scenes = _record(total or LabelTally()), {name: _record(tally) for name, tally in by_scene.items()}
    scenes = {name: {**verdict(scene), **scene} for name, scene in scenes.items()}
    return {**overall_verdict(overall, scenes), **overall, 'scenes': scenes}


def add_truth(record: Mapping[str, Any], results: Iterable[Tuple[str, LabelTally]]) -> Dict[str, Any]:
    """The record with ``truth`` that was found later.

    Args:
        record: as :func:`quality_record` gives it.
        results: (scene, tally) of :func:`tally_truth`, for labels of its scenes.
    """
    total, by_scene = sum_by_scene(results)
    scenes = {name: {**scene, **_truth(by_scene.get(name, LabelTally()))} for name, scene in record['scenes'].items()}
    overall = {key: value for key, value in record.items() if key != 'scenes'}
    return {**overall, **_truth(total or LabelTally()), 'scenes': scenes}


def _record(tally: LabelTally) -> Dict[str, Any]:
    known, scores = tally.speed_known > 0, tally.scores()
    return dict(
        labels=tally.labels,
        kept=scores.get('kept', 0.),
        verified=scores.get('verified'),
        speed=dict(
            bins_px=list(SPEED_BINS),
            share=_ratios(tally.speed_pixels, tally.speed_known) if known else None,
            kept=_ratios(tally.speed_weight, tally.speed_pixels) if known else None),
        regions=[_ratios(tally.region_weight[i:i + 3], tally.region_pixels[i:i + 3]) for i in (0, 3, 6)],
        cycle_error=_cycle(tally),
        color_residual=scores.get('color_residual'),
        explained=_ratio(*tally.colors) if tally.colors[1] > LEAST_CHANGE * tally.pixels else None,
        **{kind: dict(pairs=int(pairs), judged=int(judged), weight=_ratio(weight, of))
           for kind, (pairs, judged, weight, of) in zip(KINDS, tally.kinds)},
        **_truth(tally))


def _cycle(tally: LabelTally) -> Dict[str, Any]:
    """The histogram over pixels where the way back is stored, else over the pairs' medians."""
    total = float(tally.cycle.sum())
    counts = tally.cycle if total > 0 else tally.cycle_pairs
    return dict(
        of='pixels' if total > 0 else 'pairs',
        edges_px=list(CYCLE_EDGES),
        share=_ratios(counts, counts.sum()) if counts.sum() > 0 else None,
        mean=tally.scores().get('cycle_error'),
        known=_ratio(total, tally.weight))


def _truth(tally: LabelTally) -> Dict[str, Any]:
    if tally.truth_labels == 0:
        return {}
    scores, (pixels, weight, error, within) = tally.scores(), tally.truth
    speed = dict(
        bins_px=list(SPEED_BINS),
        share=_ratios(pixels, pixels.sum()),
        EPE=_ratios(error, weight),
        precision=_ratios(within, weight),
        coverage=_ratios(weight, pixels))
    return dict(truth=dict(
        labels=tally.truth_labels,
        **{name: scores.get(name) for name in ('EPE', 'precision', 'coverage')},
        speed=speed))


def _add_speeds(tally: LabelTally, stats: Mapping[str, Any]) -> None:
    names = [f'{SPEED_PREFIX}{name}' for name in SPEED_BINS]
    if all(f'{name}_pixels' in stats for name in names):
        tally.speed_known = tally.pixels
        tally.speed_pixels = tally.pixels * np.array([stats[f'{name}_pixels'] for name in names])
        tally.speed_weight = tally.pixels * np.array([stats[f'{name}_kept'] for name in names])


def _speed_bins(flow: Tensor) -> np.ndarray:
    """The number of the speed bin of each pixel of a flow ``(2, H, W)`` px."""
    return bins_of(torch.nan_to_num(flow).norm(dim=0).numpy(), SPEED_EDGES)


def _ratio(part: float, whole: float) -> Optional[float]:
    return round(float(part) / float(whole), 6) if whole > 0 else None


def _ratios(parts: np.ndarray, wholes: Any) -> List[Optional[float]]:
    return [_ratio(part, whole) for part, whole in zip(parts, np.broadcast_to(wholes, parts.shape))]
