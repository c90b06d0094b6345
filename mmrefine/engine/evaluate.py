"""How good is a network on a set of frame pairs, with ground truth or without."""
from __future__ import annotations

from typing import Any, Dict, List, Sequence, Tuple

import torch
from mmengine.dist import all_gather_object, get_dist_info
from torch import Tensor

from mmrefine.evaluation import FlowTally, LabelFreeScores, pool_by_scene, tally_flow
from mmrefine.structures import FlowEstimator


@torch.no_grad()
def score_pairs(model: FlowEstimator, dataset: Any, device: str = 'cpu', batch_size: int = 4) -> Dict[str, float]:
    """Scores of a network over a data set, overall and per scene.

    Where any pair has ground truth, only pairs with truth are scored against it (EPE, Fl, 1/3/5 px); where none has, the label-free
    scores are (cycle error, colour residual). The pairs are shared over the processes, and every process gets the result.

    Args:
        model: the network, in evaluation mode.
        dataset: items as :class:`~mmrefine.datasets.transforms.PackPair` makes them.
        device: where the network lives.
        batch_size: pairs per forward pass; frames of different sizes never share one.

    Returns:
        ``{'EPE': …, 'scene/<name>/EPE': …, …, 'pairs': n, 'pairs_without_truth': m}``.
    """
    rank, world = get_dist_info()
    truth: List[Tuple[str, FlowTally]] = []
    free = LabelFreeScores()
    mine = range(rank, len(dataset), world)
    for frames1, frames2, samples in _batches(dataset, mine, device, batch_size):
        known = ['flow' in sample for sample in samples]
        if all(known):
            flows = model.estimate(frames1, frames2)[-1].float()
        else:  # the label-free scores need the way back too
            flows, back = model.estimate(torch.cat([frames1, frames2]), torch.cat([frames2, frames1]))[-1].float().chunk(2)
            free.add([sample.scene for sample in samples], frames1, frames2, flows, back)
        for flow, sample, has_truth in zip(flows, samples, known):
            tally = tally_flow(flow, sample.flow, sample.weight > 0) if has_truth else FlowTally()
            truth.append((sample.scene, tally))
    truth, free.results = _gather(truth), _gather(free.results)
    without = sum(tally.pixels == 0 for _, tally in truth)
    judged_by_truth = [(scene, tally) for scene, tally in truth if tally.pixels]
    scores = pool_by_scene(judged_by_truth) if judged_by_truth else free.compute()
    scores.update(pairs=len(truth), pairs_without_truth=without)
    return scores


def _batches(dataset: Any, indices: Sequence[int], device: str, batch_size: int) -> Any:
    """Frames and samples in batches of one size."""
    batch: List[Any] = []
    for i in indices:
        item = dataset[i]
        if batch and (len(batch) == batch_size or batch[0]['inputs'].shape != item['inputs'].shape
                      or ('flow' in batch[0]['data_samples']) != ('flow' in item['data_samples'])):
            yield _stack(batch, device)
            batch = []
        batch.append(item)
    if batch:
        yield _stack(batch, device)


def _stack(batch: Sequence[Dict[str, Any]], device: str) -> Tuple[Tensor, Tensor, List[Any]]:
    frames = torch.stack([item['inputs'] for item in batch]).to(device).float() / 255
    return frames[:, 0], frames[:, 1], [item['data_samples'] for item in batch]


def _gather(results: List[Any]) -> List[Any]:
    """The results of all processes, in every process, in no particular order."""
    if get_dist_info()[1] == 1:
        return results
    parts = all_gather_object(results)
    return [result for part in parts for result in part]
