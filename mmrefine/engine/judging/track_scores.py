"""How good is a tracker on a set of clips, with ground truth or without."""
from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Callable, List, Mapping, Optional, Tuple

import torch
from mmengine.dist import all_gather_object, get_dist_info
from torch import Tensor

from mmrefine.engine.runtime.progress import Progress
from mmrefine.evaluation import Judged, Result, TrackMetric, tally_label_free_tracks
from mmrefine.geometry import query_grid
from mmrefine.models.trackers.ways import predict_sample
from mmrefine.structures import TrackEstimator, TrackSample

POINTS = 200  # of a grid over the frame, about, where there are no true tracks


@torch.no_grad()
def judge_tracks(model: TrackEstimator,
                 dataset: Any,
                 device: str = 'cpu',
                 at_most: Optional[int] = None,
                 what: str = 'judged',
                 log: Optional[Callable[[str], None]] = None) -> Judged:
    """What a tracker gets on each clip of a data set.

    Where any clip has true tracks, only those are judged, against them (ATE, survival), from their points in the first
    frame. Where none has, a grid of points is followed through all clips, there and back, and judged by label-free
    scores. The clips are shared over the processes, and every process gets the same result.

    Args:
        model: the tracker, in evaluation mode.
        dataset: clips whose pipeline ends in :class:`~mmrefine.datasets.transforms.PackClip`.
        device: where the network lives.
        at_most: of a data set without any truth judge at most this many clips, spread evenly; None: all.
        what: is judged, for the log.
        log: called with a line now and then; None: silent.

    Returns:
        a tally for each judged clip; the count is ``clips``.

    Raises:
        MMRefineError: points that are not finite.
    """
    rank, world = get_dist_info()
    known = clips_with_truth(dataset)
    some = len(dataset) if at_most is None else min(at_most, len(dataset))
    chosen = known or [i * len(dataset) // some for i in range(some)]
    mine = chosen[rank::world]
    progress = Progress(f'{what}: {{}} clips', len(mine), log or (lambda line: None))
    results: List[Result] = []
    for done, number in enumerate(mine, start=1):
        item = dataset[number]
        results.append((number, item['data_samples'].scene, judge_clip(model, item, bool(known), device).tally))
        progress(done)
    everything = sorted((part for parts in all_gather_object(results) for part in parts), key=lambda part: part[0])
    return Judged([result for result in everything if result[2].size], dict(clips=len(dataset)))


def clips_with_truth(dataset: Any) -> List[int]:
    """The clips that come with true tracks; none if the pipeline does not load them."""
    known = [i for i, clip in enumerate(dataset.clips) if clip['truth'] is not None]
    return known if known and 'points' in dataset[known[0]]['data_samples'] else []


@dataclass(frozen=True)
class JudgedClip:
    """What a tracker found in one clip, and what that is worth.

    Args:
        points: ``(N, T, 2)`` px (x, y).
        visible: ``(N, T)`` in [0, 1].
        errors: ``(N,)`` px: of each track the mean distance from its truth, or without truth the largest distance
            between the ways there and back; nan of a track that is true in no frame.
        tally: the scores of the clip.
    """
    points: Tensor
    visible: Tensor
    errors: Tensor
    tally: Any


@torch.no_grad()
def judge_clip(model: TrackEstimator, item: Mapping[str, Any], with_truth: bool, device: str = 'cpu') -> JudgedClip:
    """What a tracker gets on one clip.

    Args:
        model: the tracker, in evaluation mode.
        item: ``inputs`` ``(T, 3, H, W)`` uint8 RGB and ``data_samples``, which get ``pred_points`` and
            ``pred_visible`` where there is truth; see :func:`follow`.
        with_truth: whether the sample has true tracks; else a grid of points is followed.
        device: where the network lives.
    """
    frames, sample = item['inputs'].to(device).float() / 255, item['data_samples']
    if with_truth:
        follow(model, frames, sample)
        known = (sample.weight > 0).float()
        off = (sample.pred_points - sample.points).norm(dim=-1).masked_fill(known == 0, 0.)
        return JudgedClip(sample.pred_points, sample.pred_visible, off.sum(dim=1) / known.sum(dim=1),
                          TrackMetric().judge(sample))
    points = grid_points((frames.shape[-2], frames.shape[-1])).to(device)
    there, back, visible = (part.to(frames.device) for part in model.track_both(frames, points))
    tally = tally_label_free_tracks(frames, there, back)
    return JudgedClip(there.cpu(), visible.cpu(), (there - back).norm(dim=-1).amax(dim=1).cpu(), tally)


def follow(model: TrackEstimator, frames: Tensor, sample: TrackSample) -> None:
    """Fill ``pred_points`` and ``pred_visible`` of a clip from its queries, or else from its points in the first frame.

    Args:
        model: the tracker, in evaluation mode.
        frames: ``(T, 3, H, W)`` RGB in [0, 1].
        sample: with ``points``; if it has no ``queries``, tracks that begin outside the frame are left out of it.
    """
    if 'queries' in sample:
        predict_sample(model, frames, sample)
        sample.pred_points, sample.pred_visible = sample.pred_points.cpu(), sample.pred_visible.cpu()
        return
    first, size = sample.points[:, 0], (frames.shape[-2], frames.shape[-1])
    limit = first.new_tensor([size[1] - 0.5, size[0] - 0.5])
    begun = ((first >= -0.5) & (first <= limit)).all(dim=1) & (sample.weight[:, 0] > 0)
    for name in ('points', 'visible', 'weight'):
        setattr(sample, name, sample.get(name)[begun])
    queries = torch.cat([torch.zeros_like(first[begun][:, :1]), first[begun].flip(1)], dim=1)
    found = model.track(frames, queries.to(frames.device))
    sample.pred_points, sample.pred_visible = found.points.cpu(), found.visible.cpu()


def grid_points(size: Tuple[int, int], count: int = POINTS) -> Tensor:
    """About ``count`` points ``(N, 2)`` px on a regular grid over frames of ``size`` = (height, width)."""
    step = max(1, round(math.sqrt(size[0] * size[1] / count)))
    return query_grid(size, step, border=min(step // 2, min(size) // 4))
