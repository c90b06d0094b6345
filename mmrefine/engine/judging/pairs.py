"""How good is a network on a set of frame pairs, with ground truth or without."""
from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Callable, Dict, Iterator, List, Optional, Sequence, Tuple

import torch
from mmengine.dist import all_gather_object, get_dist_info
from torch import Tensor

from mmrefine.engine.runtime.progress import Progress
from mmrefine.engine.stage1.batches import scene_batches
from mmrefine.evaluation import LabelFreeScores, judge_sample, pool_by_scene, tally_flow
from mmrefine.structures import FlowEstimator

Batch = Tuple[Tensor, Tensor, List[Any], List[int]]
Result = Tuple[int, str, Any]


@dataclass(frozen=True)
class JudgedPairs:
    """What a network got on each pair of a data set.

    Args:
        results: (index in the data set, scene, tally) of each pair that was judged, in the order of the data.
        pairs: how many the data set has.
        with_truth: judged against ground truth, not by label-free scores.
    """
    results: List[Result]
    pairs: int
    with_truth: bool

    @property
    def metric(self) -> str:
        """The score that says of each pair, and of all, whether it is better: lower is."""
        return 'EPE' if self.with_truth else 'cycle_median'

    def scores(self) -> Dict[str, float]:
        """All pairs together, as :func:`score_pairs` gives them."""
        pooled = pool_by_scene((scene, tally) for _, scene, tally in self.results)
        without = self.pairs - len(self.results) if self.with_truth else self.pairs
        counts = dict(pairs=self.pairs, pairs_without_truth=without)
        if not self.with_truth and len(self.results) < self.pairs:
            counts['pairs_judged'] = len(self.results)
        return {**pooled, **counts}


def score_pairs(model: FlowEstimator, dataset: Any, device: str = 'cpu', batch_size: int = 4, benchmark: bool = False) -> Dict[str, float]:
    """Scores of a network over a data set, overall and per scene.

    Where any pair has ground truth, only pairs with truth are scored, against it (EPE, Fl, 1/3/5 px); where none has, the label-free
    scores are made of all (cycle error, colour residual). The pairs are shared over the processes in batches that do not depend on
    their number, and every process gets the same result.

    Args:
        model: the network, in evaluation mode.
        dataset: frame pairs whose pipeline ends in :class:`~mmrefine.datasets.transforms.PackPair`.
        device: where the network lives.
        batch_size: pairs per forward pass, all of one scene; frames of different sizes never share one.
        benchmark: also give the other scores of the flow benchmarks, by part of the frame where the pipeline loads what the data set draws
            (``LoadTruth(benchmark=True)``, docs/metrics.md).

    Returns:
        ``{'EPE': …, 'scene/<name>/EPE': …, …, 'pairs': n, 'pairs_without_truth': m}``.

    Raises:
        MMRefineError: a flow that is not finite, where there is truth.
    """
    return judge_pairs(model, dataset, device, batch_size, benchmark).scores()


@torch.no_grad()
def judge_pairs(model: FlowEstimator,
                dataset: Any,
                device: str = 'cpu',
                batch_size: int = 4,
                benchmark: bool = False,
                at_most: Optional[int] = None,
                what: str = 'judged: {} pairs',
                log: Optional[Callable[[str], None]] = None) -> JudgedPairs:
    """What :func:`score_pairs` adds up, pair by pair; a few numbers of each, so memory hardly grows with the data set.

    Args:
        model: see :func:`score_pairs`, as for the others that are not told of here.
        at_most: of a data set without any truth judge only so many pairs, spread evenly; None: all.
        what: is done to how many, for the log.
        log: called with a line now and then; None: silent.
    """
    rank, world = get_dist_info()
    known = _with_truth(dataset)
    batches = scene_batches([pair['scene'] for pair in dataset.pairs], known or _spread(len(dataset), at_most), batch_size)
    numbers = range(rank, len(batches), world)
    progress = Progress(what, sum(len(batches[number]) for number in numbers), log or (lambda line: None))
    done = 0
    mine: List[Tuple[int, List[Result]]] = []
    for number in numbers:
        results: List[Result] = []
        for frames1, frames2, samples, indices in _load(dataset, batches[number], device):
            found = (_against_truth(model, frames1, frames2, samples, benchmark) if known else
                     _without_truth(model, frames1, frames2, samples))
            results += [(i, scene, tally) for i, (scene, tally) in zip(indices, found)]
        mine.append((number, results))
        done += len(batches[number])
        progress(done)
    # in the order of the data, so that sums of floats do not depend on the number of processes
    everything = sorted((part for parts in all_gather_object(mine) for part in parts), key=lambda part: part[0])
    pooled = [result for _, results in everything for result in results]
    return JudgedPairs([result for result in pooled if result[2].pixels] if known else pooled, len(dataset), bool(known))


def _spread(pairs: int, at_most: Optional[int]) -> Sequence[int]:
    """Indices of ``at_most`` of so many pairs; all if there are no more."""
    return range(pairs) if at_most is None or pairs <= at_most else [i * pairs // at_most for i in range(at_most)]


def _with_truth(dataset: Any) -> List[int]:
    """The pairs that come with truth; none if the pipeline does not load it."""
    known = [i for i, pair in enumerate(dataset.pairs) if pair['truth'] is not None]
    return known if known and 'flow' in dataset[known[0]]['data_samples'] else []


def _load(dataset: Any, indices: Sequence[int], device: str) -> Iterator[Batch]:
    """Frames ``(B, 3, H, W)`` in [0, 1], samples and their indices, frames of one size together."""
    by_size: Dict[Any, List[Any]] = {}
    for i in indices:
        item = dataset[i]
        by_size.setdefault(item['inputs'].shape, []).append((i, item))
    for items in by_size.values():
        frames = torch.stack([item['inputs'] for _, item in items]).to(device).float() / 255
        yield frames[:, 0], frames[:, 1], [item['data_samples'] for _, item in items], [i for i, _ in items]


def _against_truth(model: FlowEstimator, frames1: Tensor, frames2: Tensor, samples: Sequence[Any],
                   benchmark: bool) -> List[Tuple[str, Any]]:
    flows = model.estimate(frames1, frames2)[-1].float()
    if benchmark:
        return [(sample.scene, judge_sample(flow, sample.to_dict())) for flow, sample in zip(flows, samples)]
    return [(sample.scene, tally_flow(flow, sample.flow, sample.weight > 0)) for flow, sample in zip(flows, samples)]


def _without_truth(model: FlowEstimator, frames1: Tensor, frames2: Tensor, samples: Sequence[Any]) -> List[Tuple[str, Any]]:
    both_ways = model.estimate(torch.cat([frames1, frames2]), torch.cat([frames2, frames1]))[-1].float()
    free = LabelFreeScores()
    free.add([sample.scene for sample in samples], frames1, frames2, *both_ways.chunk(2))
    return free.results
