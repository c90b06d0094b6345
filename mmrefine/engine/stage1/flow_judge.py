"""The quality of flow labels: what each is judged by while it is made, and the record of a whole store."""
from __future__ import annotations

from typing import Any, Collection, Dict, Iterator, List, Mapping, Optional, Sequence, Tuple, Type

import numpy as np
import torch
from mmengine.dist import all_gather_object, get_dist_info
from torch import Tensor

from mmrefine.datasets.transforms import LoadTruth
from mmrefine.engine.runtime.processes import together
from mmrefine.evaluation import speed_stats, verdict_lines
from mmrefine.evaluation.labels.quality import LabelTally, add_truth, quality_record, tally_sums, tally_truth
from mmrefine.evaluation.labels.sums import LabelSums, sum_label
from mmrefine.fileio.codecs.flow import FlowCodec
from mmrefine.fileio.store.label_store import LabelStore
from mmrefine.labeling import CutGuard, DuplicateFrameGuard, PairContext, PairGuard, StillPairGuard
from mmrefine.models.propagation.carry import fill_from_nearest
from mmrefine.registry import LABEL_JUDGES
from mmrefine.structures import FlowLabel, Labeled, LabelUnit, as_frames

Results = List[Tuple[str, LabelTally]]


@LABEL_JUDGES.register_module(name=FlowCodec.kind)
class FlowLabelJudge:
    """Judges flow labels, see :mod:`mmrefine.evaluation.labels.quality`. Implements ``LabelJudge``."""

    def look(self, unit: LabelUnit, frames: Mapping[int, np.ndarray], labels: Sequence[Labeled],
             wanted: Collection[str]) -> List[Tuple[Labeled, Optional[Mapping[str, Any]]]]:
        """The labels of a pair with the speeds of all its motion, and the sums that they are judged by.

        None instead of sums where the way back is labelled as a pair of its own, and so is not known yet.
        """
        known = [Labeled(key, label, {**stats, **speed_stats(label)}) for key, label, stats in labels]
        if len(labels) == 1 and unit.backward_key in wanted:
            return [(label, None) for label in known]
        frames1, frames2 = (as_frames([frames[number]]) for number in unit.frames)
        stored = [FlowCodec().as_stored(label.label) for label in known]
        sums = look_at_pair(frames1, frames2, stored, [label.statistics for label in known])
        return [(label, one.plain()) for label, one in zip(known, sums)]

    def judge(self, store: LabelStore, source: Any) -> Dict[str, Any]:
        """The record of all labels in ``store`` that were made of ``source``, see :func:`judge_labels`."""
        return judge_labels(store, source)

    def judge_with_truth(self, store: LabelStore, dataset: Any, record: Mapping[str, Any]) -> Dict[str, Any]:
        """The record with the truth that ``dataset`` has, see :func:`judge_against_truth`."""
        return judge_against_truth(store, dataset, record)

    def lines(self, record: Mapping[str, Any]) -> List[Tuple[str, str]]:
        """Lines for the log with their colours, ``'green'``, ``'amber'`` or ``'red'``."""
        return verdict_lines(record)


def judge_labels(store: LabelStore, dataset: Any) -> Dict[str, Any]:
    """The quality of all labels in ``store`` that were made of ``dataset``, as a record.

    See :mod:`mmrefine.evaluation.labels.quality`. Adds up the sums that stage 1 left in the store with each label.
    Frames and label are read only where there are none (labels of an older version, or of a pair and its reverse that
    were labelled separately) or where there is ground truth; the record is the same. One pair at a time, so memory does
    not grow with the video; the processes of a distributed run share the pairs, keep the sums of each, and all get the
    same record.

    Args:
        store: complete.
        dataset: frame pairs without a pipeline, in either or both directions; the label of a reversed pair is found
            without being listed.

    Returns:
        the record, with ``truth`` if ``dataset`` has a ``truth_root``.

    Raises:
        LabelStoreError: a label is missing or damaged.
        InputError: ground truth of another size than its frames.
    """
    rank, world = get_dist_info()
    units = list(dataset.units)
    # neighbours stay together: a video is decoded once, and a frame is read once for its two pairs
    mine = np.array_split(np.arange(len(units)), world)[rank]
    keys = {unit.key for unit in units}
    results = (result for i in mine for result in _judge_pair(store, dataset, int(i), units[i], keys))
    if world == 1:
        return quality_record(results)
    found = together(lambda: list(results))
    return quality_record(result for part in all_gather_object(found) for result in part)


def judge_against_truth(store: LabelStore, dataset: Any, record: Mapping[str, Any]) -> Dict[str, Any]:
    """The record with ``truth``, for labels whose pairs have ground truth in ``dataset``; unchanged if none has.

    Args:
        store: complete.
        dataset: frame pairs whose pipeline ends in :class:`~mmrefine.datasets.transforms.PackPair`, with the truth if
            there is any.
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


def look_at_pair(frames1: Tensor, frames2: Tensor, labels: Sequence[FlowLabel],
                 stats: Sequence[Mapping[str, Any]]) -> List[LabelSums]:
    """Sum up the labels of a pair of frames, one by one.

    What the guards of the labeler said is believed; where a guard was not asked, the pair is judged now: duplicates by
    the frames, cuts by the frames and the stored motion, whose gaps are filled from the nearest labelled pixel. A pair
    of which nothing was kept is not judged for a cut, and does no harm as one.

    Args:
        frames1: ``(1, 3, H, W)`` RGB in [0, 1], on the CPU.
        frames2: the same shape.
        labels: forward, and backward if the store has it, as they are stored.
        stats: their statistics, at least of the forward one.

    Returns:
        one for each of the ``stats``.
    """
    frames, sums = (frames1, frames2), []
    for way, numbers in enumerate(stats):
        one, two = frames[way], frames[1 - way]
        back = labels[1 - way] if len(labels) > 1 else None
        sums.append(sum_label(labels[way], one[0], two[0], back, _kinds(labels[way], numbers, one, two)))
    return sums


def fill_gaps(label: FlowLabel) -> Tensor:
    """The motion ``(2, H, W)`` px of a label, where it has none that of the nearest pixel that has; 0 if none has."""
    kept = label.weight[0] != 0
    return fill_from_nearest(label.flow, kept) if bool(kept.any()) else label.flow


def _judge_pair(store: LabelStore, dataset: Any, index: int, unit: LabelUnit,
                keys: Collection[str]) -> Iterator[Tuple[str, LabelTally]]:
    """The tallies of a pair, and of its reverse if the labeler made that one with it."""
    both = [unit.key, unit.backward_key]
    there = both if store.has(both[1]) else both[:1]
    ways = there if both[1] not in keys else both[:1]
    stats, kept = [store.stats(key) for key in ways], [_kept_sums(store, key, len(there) > 1) for key in ways]
    sums = [one for one in kept if one is not None]
    if len(sums) < len(ways):
        frames1, frames2 = (as_frames([dataset.frame(unit.scene, number)]) for number in unit.frames)
        sums = look_at_pair(frames1, frames2, [store.read(key) for key in there], stats)
    yield unit.scene, tally_sums(sums[0], stats[0])
    if dataset.pairs[index]['truth'] is not None:
        truth = LoadTruth().transform(dataset[index])
        flow, valid = torch.from_numpy(truth['flow']).permute(2, 0, 1), torch.from_numpy(truth['weight'][..., 0] > 0)
        yield unit.scene, tally_truth(store.read(unit.key), flow, valid)
    for one, numbers in zip(sums[1:], stats[1:]):
        yield unit.scene, tally_sums(one, numbers)


def _kept_sums(store: LabelStore, key: str, has_back: bool) -> Optional[LabelSums]:
    """The sums that the store keeps, if they know the way back as the store does."""
    sums = LabelSums.from_plain(store.quality(key))
    return sums if sums is not None and (sums.cycle is not None) == has_back else None


def _kinds(label: FlowLabel, stats: Mapping[str, Any], frames1: Tensor, frames2: Tensor) -> Dict[str, bool]:
    """Whether a pair is a duplicate, a cut, or still, as far as that is known."""
    guards: Dict[str, Type[PairGuard]] = dict(duplicates=DuplicateFrameGuard, cuts=CutGuard, still=StillPairGuard)
    known = {kind: stats.get(f'passed_{guard.__name__}') for kind, guard in guards.items()}
    kinds = {kind: passed == 0 for kind, passed in known.items() if passed is not None}
    if 'duplicates' not in kinds:
        kinds['duplicates'] = _is_refused(DuplicateFrameGuard(), frames1, frames2, label.flow)
    if 'cuts' not in kinds and bool((label.weight > 0).any()):
        kinds['cuts'] = _is_refused(CutGuard(), frames1, frames2, fill_gaps(label))
    return kinds


def _is_refused(guard: PairGuard, frames1: Tensor, frames2: Tensor, flow: Tensor) -> bool:
    # neither of the two guards looks at the way back
    return not bool(guard.passes(PairContext(frames1, frames2, flow[None], torch.zeros_like(flow)[None]))[0])
