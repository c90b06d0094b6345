"""The quality of the labels of a whole store, pair by pair."""
from __future__ import annotations

from typing import Any, Dict, Iterator, List, Mapping, Optional, Tuple

import numpy as np
import torch
from mmengine.dist import all_gather_object, get_dist_info

from mmrefine.datasets.transforms import LoadTruth
from mmrefine.engine.runtime.processes import together
from mmrefine.engine.stage1.pair_quality import look_at_pair
from mmrefine.engine.stage1.run import as_frames, backward_key
from mmrefine.evaluation.labels.quality import LabelTally, add_truth, quality_record, tally_sums, tally_truth
from mmrefine.evaluation.labels.sums import LabelSums
from mmrefine.fileio.store.label_store import LabelStore

Results = List[Tuple[str, LabelTally]]


def judge_labels(store: LabelStore, dataset: Any) -> Dict[str, Any]:
    """The quality of all labels in ``store`` that were made of ``dataset``, see :mod:`mmrefine.evaluation.labels.quality`.

    Adds up the sums that stage 1 left in the store with each label. Frames and label are read only where there are none (labels of an
    older version, or of a pair and its reverse that were made apart) or where there is ground truth; the record is the same. One pair
    at a time, so memory does not grow with the video; the processes of a distributed run share the pairs, keep the sums of each, and all
    get the same record.

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
    results = (result for i in mine for result in _judge_pair(store, dataset, int(i), keys))
    if world == 1:
        return quality_record(results)
    found = together(lambda: list(results))
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
    pair = dataset.pairs[index]
    both = [pair['key'], backward_key(pair['key'])]
    there = both if store.has(both[1]) else both[:1]
    ways = there if both[1] not in keys else both[:1]
    stats, kept = [store.stats(key) for key in ways], [_kept_sums(store, key, len(there) > 1) for key in ways]
    sums = [its for its in kept if its is not None]
    item: Dict[str, Any] = dataset[index] if len(sums) < len(ways) or pair['truth'] is not None else {}
    if len(sums) < len(ways):
        frames1, frames2 = (as_frames([item[name]], 'cpu') for name in ('frame1', 'frame2'))
        sums = look_at_pair(frames1, frames2, [store.read(key) for key in there], stats)
    yield pair['scene'], tally_sums(sums[0], stats[0])
    if pair['truth'] is not None:
        truth = LoadTruth().transform(item)
        flow, valid = torch.from_numpy(truth['flow']).permute(2, 0, 1), torch.from_numpy(truth['weight'][..., 0] > 0)
        yield pair['scene'], tally_truth(store.read(pair['key']), flow, valid)
    for its, its_stats in zip(sums[1:], stats[1:]):
        yield pair['scene'], tally_sums(its, its_stats)


def _kept_sums(store: LabelStore, key: str, has_back: bool) -> Optional[LabelSums]:
    """The sums that the store keeps, if they know the way back as the store does."""
    sums = LabelSums.from_plain(store.quality(key))
    return sums if sums is not None and (sums.cycle is not None) == has_back else None
