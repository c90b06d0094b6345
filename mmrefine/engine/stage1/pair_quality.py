"""What the quality of the labels of one pair is judged by: from memory while they are made, or from disk."""
from __future__ import annotations

from typing import Any, Dict, List, Mapping, Sequence, Type

import cv2
import numpy as np
import torch
from torch import Tensor

from mmrefine.evaluation.labels.sums import LabelSums, sum_label
from mmrefine.labeling import CutGuard, DuplicateFrameGuard, PairContext, PairGuard, StillPairGuard
from mmrefine.structures import FlowLabel


def look_at_pair(frames1: Tensor, frames2: Tensor, labels: Sequence[FlowLabel], stats: Sequence[Mapping[str, Any]]) -> List[LabelSums]:
    """Sum up the labels of a pair of frames, one by one.

    What the guards of the labeler said is believed; where a guard was not asked, the pair is judged now: duplicates by the frames, cuts
    by the frames and the stored motion, whose gaps are filled from the nearest labelled pixel. A pair of which nothing was kept is not
    judged for a cut, and does no harm as one.

    Args:
        frames1: ``(1, 3, H, W)`` RGB in [0, 1], on the CPU.
        frames2: the same shape.
        labels: forward, and backward if the store has it, as they are stored.
        stats: their statistics, at least of the forward one.

    Returns:
        one for each of the ``stats``.
    """
    frames, sums = (frames1, frames2), []
    for way, its in enumerate(stats):
        one, two = frames[way], frames[1 - way]
        back = labels[1 - way] if len(labels) > 1 else None
        sums.append(sum_label(labels[way], one[0], two[0], back, _kinds(labels[way], its, one, two)))
    return sums


def _kinds(label: FlowLabel, stats: Mapping[str, Any], frames1: Tensor, frames2: Tensor) -> Dict[str, bool]:
    """Whether a pair is a duplicate, a cut, or still, as far as that can be told."""
    guards: Dict[str, Type[PairGuard]] = dict(duplicates=DuplicateFrameGuard, cuts=CutGuard, still=StillPairGuard)
    said = {kind: stats.get(f'passed_{guard.__name__}') for kind, guard in guards.items()}
    kinds = {kind: passed == 0 for kind, passed in said.items() if passed is not None}
    if 'duplicates' not in kinds:
        kinds['duplicates'] = _is_refused(DuplicateFrameGuard(), frames1, frames2, label.flow)
    if 'cuts' not in kinds and bool((label.weight > 0).any()):
        kinds['cuts'] = _is_refused(CutGuard(), frames1, frames2, fill_gaps(label))
    return kinds


def _is_refused(guard: PairGuard, frames1: Tensor, frames2: Tensor, flow: Tensor) -> bool:
    # neither of the two guards looks at the way back
    return not bool(guard.passes(PairContext(frames1, frames2, flow[None], torch.zeros_like(flow)[None]))[0])


def fill_gaps(label: FlowLabel) -> Tensor:
    """The motion ``(2, H, W)`` px of a label, where it has none that of the nearest pixel that has; 0 if none has."""
    gaps = (label.weight[0] == 0).numpy()
    if gaps.all() or not gaps.any():
        return label.flow
    _, nearest = cv2.distanceTransformWithLabels(gaps.astype(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)
    flow = label.flow.flatten(1)
    source = np.zeros(int(nearest.max()) + 1, np.int64)
    source[nearest[~gaps]] = np.flatnonzero(~gaps)
    return flow[:, torch.from_numpy(source[nearest].ravel())].view_as(label.flow)
