"""How good is a network on a set of frame pairs, with ground truth or without."""
from __future__ import annotations

import hashlib
from typing import Any, Callable, Dict, Iterator, List, Optional, Sequence, Tuple

import torch
from mmengine.dist import all_gather_object, get_dist_info
from torch import Tensor

from mmrefine.engine.runtime.progress import Progress
from mmrefine.engine.stage1.scene_batches import scene_batches
from mmrefine.evaluation import Judged, Result, judge_sample, label_free_tallies, tally_flow
from mmrefine.labeling.flow.views.passes import PLAIN, run_pass
from mmrefine.models import FlowRefiner, FrozenTeacher
from mmrefine.structures import FlowEstimator, PairBatch

Batch = Tuple[PairBatch, List[Any], List[int]]


@torch.no_grad()
def judge_pairs(model: FlowEstimator,
                dataset: Any,
                device: str = 'cpu',
                batch_size: int = 4,
                benchmark: bool = False,
                at_most: Optional[int] = None,
                what: str = 'judged',
                log: Optional[Callable[[str], None]] = None,
                seen: Optional[Callable[[int, Tensor], None]] = None) -> Judged:
    """What a network gets on each frame pair of a data set.

    Where any pair has ground truth, only pairs with truth are judged, against it (EPE, Fl, 1/3/5 px); where none has,
    all are judged by label-free scores (cycle error, colour residual). The pairs are shared over the processes in
    batches that do not depend on their number, and every process gets the same result. Only a few numbers of each pair
    are kept, so memory hardly grows with the data set. Without truth RAFT, GMA and CRAFT encode a frame that neighbours
    share once.

    Args:
        model: the network, in evaluation mode.
        dataset: frame pairs whose pipeline ends in :class:`~mmrefine.datasets.transforms.PackPair`.
        device: where the network lives.
        batch_size: pairs per forward pass, all of one scene; frames of different sizes never share one.
        benchmark: also give the other scores of the flow benchmarks, by part of the frame where the pipeline loads what
            the data set draws (``LoadTruth(benchmark=True)``, docs/metrics.md).
        at_most: of a data set without any truth judge at most this many pairs, spread evenly; None: all.
        what: is judged, for the log.
        log: called with a line now and then; None: silent.
        seen: called with the index of each pair that this process judges, and its motion from frame 1 to frame 2,
            ``(2, H, W)`` px.

    Returns:
        a tally for each judged pair; counts are ``pairs``, ``pairs_without_truth`` and, if not all were judged,
        ``pairs_judged``.

    Raises:
        MMRefineError: a flow that is not finite, where there is truth.
    """
    rank, world = get_dist_info()
    known = _with_truth(dataset)
    scenes = [pair['scene'] for pair in dataset.pairs]
    batches = scene_batches(scenes, known or _spread(len(dataset), at_most), batch_size)
    numbers = range(rank, len(batches), world)
    total = sum(len(batches[number]) for number in numbers)
    progress = Progress(f'{what}: {{}} pairs', total, log or (lambda line: None))
    done = 0
    # a frozen copy remembers the frames that it encoded last
    asked = FrozenTeacher(model) if isinstance(model, FlowRefiner) and not known else model
    mine: List[Tuple[int, List[Result]]] = []
    for number in numbers:
        results: List[Result] = []
        for batch, samples, indices in _load(dataset, batches[number], device):
            if known:
                flows = model.estimate(batch.frames1, batch.frames2)[-1].float()
                tallies = _against_truth(flows, samples, benchmark)
            else:
                flows, back = run_pass(asked, batch, PLAIN).float().chunk(2)
                tallies = label_free_tallies(batch.frames1, batch.frames2, flows, back)
            if seen is not None:
                for i, flow in zip(indices, flows):
                    seen(i, flow)
            results += [(i, sample.scene, tally) for i, sample, tally in zip(indices, samples, tallies)]
        mine.append((number, results))
        done += len(batches[number])
        progress(done)
    # in the order of the data, so that sums of floats do not depend on the number of processes
    everything = sorted((part for parts in all_gather_object(mine) for part in parts), key=lambda part: part[0])
    judged = [result for _, results in everything for result in results if not known or result[2].size]
    counts = dict(pairs=len(dataset), pairs_without_truth=len(dataset) - len(judged) if known else len(dataset))
    if not known and len(judged) < len(dataset):
        counts['pairs_judged'] = len(judged)
    return Judged(judged, counts)


def _spread(pairs: int, at_most: Optional[int]) -> Sequence[int]:
    """Indices of ``at_most`` of so many pairs; all if there are no more."""
    return range(pairs) if at_most is None or pairs <= at_most else [i * pairs // at_most for i in range(at_most)]


def _with_truth(dataset: Any) -> List[int]:
    """The pairs that come with truth; none if the pipeline does not load it."""
    known = [i for i, pair in enumerate(dataset.pairs) if pair['truth'] is not None]
    return known if known and 'flow' in dataset[known[0]]['data_samples'] else []


def _load(dataset: Any, indices: Sequence[int], device: str) -> Iterator[Batch]:
    """Pairs of one size, whose frames are named by their pixels, with samples and indices."""
    by_size: Dict[Any, List[Any]] = {}
    for i in indices:
        item = dataset[i]
        by_size.setdefault(item['inputs'].shape, []).append((i, item))
    for items in by_size.values():
        inputs = torch.stack([item['inputs'] for _, item in items], dim=1)
        names = [[hashlib.blake2b(frame.numpy().tobytes()).digest() for frame in side] for side in inputs]
        frames1, frames2 = inputs.to(device).float() / 255
        yield (PairBatch(frames1, frames2, names=(names[0], names[1])), [item['data_samples'] for _, item in items],
               [i for i, _ in items])


def _against_truth(flows: Tensor, samples: Sequence[Any], benchmark: bool) -> List[Any]:
    if benchmark:
        return [judge_sample(flow, sample.to_dict()) for flow, sample in zip(flows, samples)]
    return [tally_flow(flow, sample.flow, sample.weight > 0) for flow, sample in zip(flows, samples)]
