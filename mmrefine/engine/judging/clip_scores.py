"""What a network's flow or features carry along a video: the masks and joints of its first frame."""
from __future__ import annotations

from typing import Any, Callable, Dict, List, Optional, Sequence, Union

import torch
from mmengine.dist import all_gather_object, get_dist_info
from torch import Tensor

from mmrefine.engine.judging.sample_scores import build_metrics
from mmrefine.engine.runtime.progress import Progress
from mmrefine.evaluation import Judged, Result, Together
from mmrefine.geometry import carry_points, fill_background, ids_of, one_hot
from mmrefine.labeling.flow.views.passes import PLAIN, run_pass
from mmrefine.models import CorrespondenceLearner, carry_labels, propagate_clip
from mmrefine.structures import ClipSample, FlowEstimator, PairBatch

DEFAULT_METRICS = (dict(type='MaskMetric'), dict(type='KeypointMetric'))


@torch.no_grad()
def carry_clip(model: FlowEstimator,
               frames: Tensor,
               sample: ClipSample,
               device: str = 'cpu',
               progress: Optional[Callable[[int], None]] = None) -> None:
    """Fill ``pred_masks`` and ``pred_points`` from the first frame that has any, frame by frame.

    Masks follow the flow back to the frame before, except where the flow forward does not return
    (:func:`~mmrefine.models.carry_labels`), and stay soft on the way, one for each object; a pixel belongs to what
    has the most of it. Points follow the flow forward. Before their first frame, points are nan. As
    :func:`~mmrefine.models.propagate_clip` by flow, with the same flow for masks and points.

    Args:
        model: the network, in evaluation mode.
        frames: ``(T, 3, H, W)`` uint8 RGB.
        sample: with ``masks``, or ``points`` and ``visible``, or both; its predictions are set.
        device: where the network lives.
        progress: called with the number of frames that are done, of ``T - 1``.
    """
    masks, points = sample.get('masks'), sample.get('points')
    start = len(frames)
    if masks is not None:
        soft = fill_background(one_hot(masks[0]))
        carried_masks = [ids_of(soft)]
    if points is not None:
        start = int(sample.visible.any(dim=1).float().argmax())
        carried_points = torch.full_like(points, float('nan'))
        carried_points[start] = points[start]
    for t in range(1, len(frames)):
        before, now = (frames[i][None].to(device).float() / 255 for i in (t - 1, t))
        if masks is not None:
            flow_fw, flow_bw = run_pass(model, PairBatch(before, now), PLAIN).float().cpu()
        elif t > start:
            flow_fw = model.estimate(before, now)[-1][0].float().cpu()
        if masks is not None:
            soft = fill_background(carry_labels(soft, flow_bw, flow_fw))
            carried_masks.append(ids_of(soft))
        if t > start:
            carried_points[t] = carry_points(carried_points[t - 1], flow_fw.to(carried_points.dtype))
        if progress is not None:
            progress(t)
    if masks is not None:
        sample.pred_masks = torch.stack(carried_masks).to(masks.dtype)
    if points is not None:
        sample.pred_points = carried_points


def judge_clips(model: Union[FlowEstimator, CorrespondenceLearner],
                dataset: Any,
                device: str = 'cpu',
                metrics: Optional[Sequence[Dict[str, Any]]] = None,
                what: str = 'judged',
                log: Optional[Callable[[str], None]] = None) -> Judged:
    """What a network carries along each video of a data set, by its flow or by its features.

    The videos are shared over the processes, and every process gets the same result.

    Args:
        model: the network, in evaluation mode.
        dataset: of videos, such as :class:`~mmrefine.datasets.DavisClips`.
        device: where the network lives.
        metrics: configs of clip metrics; None: ``MaskMetric`` and ``KeypointMetric`` as they are by default, each where
            there is truth.
        what: is judged, for the log.
        log: called with a line now and then; None: silent.

    Returns:
        a tally for each video; the count is ``videos``.

    Raises:
        ConfigError: a metric that has no tally.
        MMRefineError: predictions that do not fit the truth.
    """
    propagator = model.propagator() if isinstance(model, CorrespondenceLearner) else None
    rank, world = get_dist_info()
    judges = build_metrics(metrics or DEFAULT_METRICS)
    mine: List[Result] = []
    for number in range(rank, len(dataset), world):
        item = dataset[number]
        frames, sample = item['inputs'], item['data_samples']
        video = f'{what}: video {number + 1} of {len(dataset)}, {sample.scene}'
        progress = Progress(f'{video}: carried {{}} frames', len(frames) - 1, log or (lambda line: None))
        if propagator is not None:
            propagate_clip(propagator, frames, sample, device, progress)
        else:
            carry_clip(model, frames, sample, device, progress)
        mine.append((number, sample.scene, Together(tuple(judge.judge(sample) for judge in judges))))
    results = [result for part in all_gather_object(mine) for result in part]
    return Judged(sorted(results, key=lambda result: result[0]), dict(videos=len(dataset)))
