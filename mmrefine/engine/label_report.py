"""The quality of the labels of a whole store, pair by pair."""
from __future__ import annotations

from typing import Any, Dict, Iterator, List, Mapping, Optional, Tuple, Type

import cv2
import numpy as np
import torch
from mmengine.dist import all_gather_object, get_dist_info
from torch import Tensor

from mmrefine.datasets.transforms import LoadTruth
from mmrefine.engine.label_run import as_frames, backward_key
from mmrefine.engine.processes import together
from mmrefine.evaluation.label_quality import (LabelTally, add_truth, quality_record, tally_label,
                                               tally_truth)
from mmrefine.fileio.label_store import LabelStore
from mmrefine.labeling import CutGuard, DuplicateFrameGuard, PairContext, PairGuard, StillPairGuard
from mmrefine.structures import FlowLabel

Results = List[Tuple[str, LabelTally]]


def judge_labels(store: LabelStore, dataset: Any) -> Dict[str, Any]:
    """The quality of all labels in ``store`` that were made of ``dataset``, see :mod:`mmrefine.evaluation.label_quality`.

    Reads one pair at a time, so memory does not grow with the video but for the sums of each pair; the processes of a distributed run
    share the pairs, and all get the same record. What the guards of the labeler said is believed; where a guard was not asked, the
    pair is judged now: duplicates by the frames, cuts by the frames and the stored motion, whose gaps are filled from the nearest
    labelled pixel. A pair of which nothing was kept is not judged for a cut, and does no harm as one.

    Args:
        store: complete.
        dataset: frame pairs without a pipeline, in either or both directions; a label of the reversed pair is found by itself.

    Returns:
        the record, with ``truth`` if ``dataset`` has a ``truth_root``.

    Raises:
        LabelStoreError: a label is missing or damaged.
        InputError: ground truth of another size than its frames.
    """
    rank, world = get_dist_info()
    # neighbours stay together: a video is decoded once, and a frame is read once for its two pairs
    mine = np.array_split(np.arange(len(dataset.pairs)), world)[rank]
    keys = {pair['key'] for pair in dataset.pairs}
    found = together(lambda: [result for i in mine for result in _judge_pair(store, dataset, int(i), keys)])
    return quality_record(result for part in all_gather_object(found) for result in part)


def judge_against_truth(store: LabelStore, dataset: Any, record: Mapping[str, Any]) -> Dict[str, Any]:
    """The record with ``truth``, for labels whose pairs have ground truth in ``dataset``; unchanged if none has.

    Args:
        store: complete.
        dataset: frame pairs whose pipeline ends in :class:`~mmrefine.datasets.transforms.PackPair`, with the truth if there is any.
        record: of :func:`judge_labels`.
    """
    results: Results = []
    for i, pair in enumerate(dataset.pairs):
        if pair['truth'] is None or not store.has(pair['key']) or pair['scene'] not in record['scenes']:
            continue
        sample = dataset[i]['data_samples']
        label = store.read(pair['key'])
        if 'flow' in sample and sample.flow.shape == label.flow.shape:  # a pipeline may crop
            results.append((pair['scene'], tally_truth(label, sample.flow, sample.weight[0] > 0)))
    return add_truth(record, results) if results else dict(record)


def _judge_pair(store: LabelStore, dataset: Any, index: int, keys: Any) -> Iterator[Tuple[str, LabelTally]]:
    """The tallies of a pair, and of its reverse if the labeler made that one on the way."""
    pair, item = dataset.pairs[index], dataset[index]
    frames1, frames2 = (as_frames([item[name]], 'cpu') for name in ('frame1', 'frame2'))
    label, back_key = store.read(pair['key']), backward_key(pair['key'])
    back = store.read(back_key) if store.has(back_key) else None
    yield pair['scene'], _tally(store, pair['key'], label, back, frames1, frames2)
    if pair['truth'] is not None:
        truth = LoadTruth().transform(item)
        flow, valid = torch.from_numpy(truth['flow']).permute(2, 0, 1), torch.from_numpy(truth['weight'][..., 0] > 0)
        yield pair['scene'], tally_truth(label, flow, valid)
    if back is not None and back_key not in keys:
        yield pair['scene'], _tally(store, back_key, back, label, frames2, frames1)


def _tally(store: LabelStore, key: str, label: FlowLabel, back: Optional[FlowLabel], frames1: Tensor, frames2: Tensor) -> LabelTally:
    stats = store.stats(key)
    return tally_label(label, stats, frames1[0], frames2[0], back, _kinds(label, stats, frames1, frames2))


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
