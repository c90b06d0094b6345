"""The scores of the flow benchmarks by part of the frame: speed, matched or not, foreground, … (docs/metrics.md).

Each part is a :class:`FlowTally` of its own, so a part of many pairs is pooled over its pixels, as the official
evaluators do it, and never a mean of means.
"""
from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, Dict, Mapping, Optional, Tuple

import torch
from torch import Tensor

from mmrefine.errors import MMRefineError
from mmrefine.evaluation.flow.endpoint_error import (FlowTally, check_finite, comparable, flow_angles, flow_errors,
                                                     tally_pixels)
from mmrefine.geometry import lands_inside
from mmrefine.structures.figures import Figure

SPEED_EDGES = (10., 40.)  # px
SPEED_PARTS = ('s0-10', 's10-40', 's40+')
# region as the data set draws it -> the part where it is true, the part where it is not
REGION_PARTS: Dict[str, Tuple[Optional[str], Optional[str]]] = {
    'unmatched': ('unmatched', 'matched'),
    'invalid': (None, 'valid'),
    'noc': ('noc', None),
    'foreground': ('fg', 'bg'),
    'detail': ('highdetail', 'lowdetail'),
    'nonrigid': ('nonrigid', 'rigid'),
    'sky': ('sky', 'notsky'),
}
PART_FIGURES = ('EPE', 'Fl')
SPRING_FIGURES = ('1px_out', 'EPE', 'Fl', 'WAUC')
FIGURES = (
    *FlowTally.figures,
    *(Figure(f'{far}px_out', '%', 'lower', table='benchmark') for far in (1, 3, 5)),
    Figure('AAE', 'deg', 'lower', table='benchmark'),
    Figure('WAUC', '%', 'higher', table='benchmark'),
)


@dataclass(frozen=True)
class BenchmarkTally:
    """What one or many pairs add to the scores of the whole frame and of its parts.

    A pair whose data set does not draw a region adds nothing to its parts. ``part_figures`` names the scores that each
    part gets.
    """
    whole: FlowTally = FlowTally()
    parts: Mapping[str, FlowTally] = field(default_factory=dict)
    part_figures: Tuple[str, ...] = PART_FIGURES

    def __add__(self, other: 'BenchmarkTally') -> 'BenchmarkTally':
        names = dict.fromkeys([*self.parts, *other.parts])
        parts = {name: self.parts.get(name, FlowTally()) + other.parts.get(name, FlowTally()) for name in names}
        return BenchmarkTally(self.whole + other.whole, parts, max(self.part_figures, other.part_figures, key=len))

    @property
    def figures(self) -> Tuple[Figure, ...]:
        """Those of the whole frame, then those of its parts."""
        figures = [figure for figure in FIGURES if figure.name in self.part_figures]
        parts = (replace(figure, name=f'{figure.name}_{part}', headline=False, table='benchmark', part=part)
                 for part in self.parts for figure in figures)
        return (*FIGURES, *parts)

    @property
    def size(self) -> int:
        """Pixels with truth."""
        return self.whole.pixels

    def scores(self) -> Dict[str, float]:
        """All scores of the whole frame by name, and ``EPE_<part>``, …; parts without a pixel are left out."""
        scores = {**self.whole.scores(), **self.whole.more_scores()}
        for part, tally in self.parts.items():
            found = {**tally.scores(), **tally.more_scores()}
            scores.update({f'{figure}_{part}': found[figure] for figure in self.part_figures if figure in found})
        return scores


def judge_sample(pred: Tensor, fields: Mapping[str, Any]) -> BenchmarkTally:
    """Score the flow of one sample against whatever truth came with it.

    Args:
        pred: ``(2, H, W)`` px.
        fields: of a :class:`~mmrefine.structures.FlowSample`: ``subpixel_flow``, which is judged as Spring's, else
            ``flow``; ``weight`` (everywhere if absent), ``regions``, ``key``.

    Returns:
        the tally; empty without truth.

    Raises:
        MMRefineError: the flow is not finite, or not of the size of the truth; it names the pair.
    """
    key = fields.get('key', 'without a key')
    check_finite(pred, key)
    target, subpixels = fields.get('flow'), fields.get('subpixel_flow')
    truth = target if subpixels is None else subpixels[0]
    if truth is None:
        return BenchmarkTally()
    regions = fields.get('regions') or {}
    parts = {'the network\'s flow': pred, **{f'its region {name!r}': region for name, region in regions.items()}}
    for name, part in parts.items():
        if part.shape[-2:] != truth.shape[-2:]:
            raise MMRefineError(f'pair {key}: {name} has shape {tuple(part.shape)}, its truth {tuple(truth.shape)}; '
                                'judge at the size of the truth, without resizing or cropping the frames')
    if subpixels is not None:
        return tally_spring(pred, subpixels, regions)
    weight = fields.get('weight')
    valid = torch.ones_like(truth[:1], dtype=torch.bool) if weight is None else weight > 0
    return tally_benchmark(pred, truth, valid, regions)


def tally_benchmark(pred: Tensor,
                    target: Tensor,
                    valid: Tensor,
                    regions: Optional[Mapping[str, Tensor]] = None) -> BenchmarkTally:
    """Score one pair, the whole frame as :func:`~mmrefine.evaluation.tally_flow` does and its parts.

    Speeds are those of the truth: ``s0-10`` below 10 px, ``s10-40`` from 10 to 40 px with both ends, ``s40+`` above.
    Where the data set draws ``occluded`` (Sintel), a pixel is unmatched if it is occluded or its true motion ends
    outside of the frame: it is not to be seen in the other frame. Where it draws ``noc`` and ``foreground`` (KITTI)
    there are also the parts ``noc_fg`` and ``noc_bg``.

    Args:
        pred: ``(2, H, W)`` px.
        target: ``(2, H, W)`` px; pixels that are not finite have no truth.
        valid: bool ``(1, H, W)``, true where there is truth.
        regions: bool ``(H, W)`` by name: ``occluded``, those of :data:`REGION_PARTS`, or any other, with the parts
            ``<name>`` and ``not_<name>``.

    Raises:
        MMRefineError: the flow is not finite somewhere.
    """
    check_finite(pred)
    pred, target, known = comparable(pred, target, valid)
    motion = target.norm(dim=0)
    drawn = {name: region.detach().cpu() for name, region in (regions or {}).items()}
    if 'occluded' in drawn:
        drawn['unmatched'] = drawn.pop('occluded') | ~lands_inside(target[None])[0, 0]
    masks = {**_speeds(motion, motion <= SPEED_EDGES[1]), **_parts(drawn)}
    return _tally(flow_errors(pred, target), motion, flow_angles(pred, target), known, masks, PART_FIGURES)


def tally_spring(pred: Tensor, subpixels: Tensor, regions: Optional[Mapping[str, Tensor]] = None) -> BenchmarkTally:
    """Score one pair of Spring, whose truth has four sub-pixels for each pixel.

    As its evaluation does: the error is that to the nearest of the four, Fl's 5 % are of the longest of the four
    motions, the speed is their mean length (``s10-40`` from 10 px to below 40 px), and a pixel of which one sub-pixel
    is unknown has no truth. The angle is that to the nearest one too; Spring has no such figure.

    Args:
        pred: ``(2, H, W)`` px.
        subpixels: ``(4, 2, H, W)`` px of the frames, nan where unknown.
        regions: bool ``(H, W)`` by name, see :data:`REGION_PARTS`.

    Raises:
        MMRefineError: the flow is not finite somewhere.
    """
    check_finite(pred)
    pred, truth = pred.detach().cpu().double(), subpixels.detach().cpu().double()
    known = truth.isfinite().flatten(0, 1).all(dim=0)
    flows = pred.expand_as(truth)
    error, nearest = flow_errors(flows, truth).min(dim=0)
    angle = flow_angles(flows, truth).gather(0, nearest[None])[0]
    lengths = truth.norm(dim=1)
    motion = lengths.mean(dim=0)
    masks = {**_speeds(motion, motion < SPEED_EDGES[1]), **_parts(regions or {})}
    return _tally(error, lengths.amax(dim=0), angle, known, masks, SPRING_FIGURES)


def _speeds(motion: Tensor, not_fast: Tensor) -> Dict[str, Tensor]:
    """The three bins; which of them 40 px itself belongs to differs between benchmarks."""
    slow = motion < SPEED_EDGES[0]
    return dict(zip(SPEED_PARTS, (slow, ~slow & not_fast, ~not_fast)))


def _parts(drawn: Mapping[str, Tensor]) -> Dict[str, Tensor]:
    """Part -> its pixels."""
    masks: Dict[str, Tensor] = {}
    for name, region in drawn.items():
        inside, outside = REGION_PARTS.get(name, (name, f'not_{name}'))
        masks.update({part: mask for part, mask in ((inside, region), (outside, ~region)) if part is not None})
    if 'noc' in drawn and 'foreground' in drawn:
        masks['noc_bg'], masks['noc_fg'] = drawn['noc'] & ~drawn['foreground'], drawn['noc'] & drawn['foreground']
    return masks


def _tally(error: Tensor, motion: Tensor, angle: Tensor, known: Tensor, masks: Mapping[str, Tensor],
           part_figures: Tuple[str, ...]) -> BenchmarkTally:
    """The tally of the known pixels, and of those in each part."""
    masks = {part: mask.detach().cpu() & known for part, mask in masks.items()}
    tallies = {part: tally_pixels(error[mask], motion[mask], angle[mask]) for part, mask in masks.items()}
    return BenchmarkTally(tally_pixels(error[known], motion[known], angle[known]), tallies, part_figures)
