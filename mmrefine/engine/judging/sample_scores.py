"""What a network predicts for the samples of a data set, judged by metrics that a config names."""
from __future__ import annotations

from typing import Any, Callable, Dict, Iterable, List, Mapping, Optional, Sequence

import torch
from mmengine.dataset import pseudo_collate
from mmengine.dist import all_gather_object, get_dist_info

from mmrefine.engine.runtime.progress import Progress
from mmrefine.errors import ConfigError
from mmrefine.evaluation import Judged, Result, TallyMetric, Together
from mmrefine.registry import METRICS


def build_metrics(configs: Iterable[Mapping[str, Any]]) -> List[TallyMetric]:
    """The metrics of a group.

    Raises:
        ConfigError: a metric that has no tally.
    """
    metrics = [METRICS.build({'_scope_': 'mmrefine', **config}) for config in configs]
    for metric in metrics:
        if not isinstance(metric, TallyMetric):
            raise ConfigError('metrics must be FlowMetric, MaskMetric, KeypointMetric or another TallyMetric, '
                              f'got {type(metric).__name__}')
    return metrics


@torch.no_grad()
def judge_samples(model: Any,
                  dataset: Any,
                  metrics: Sequence[Mapping[str, Any]],
                  what: str = 'judged',
                  log: Optional[Callable[[str], None]] = None) -> Judged:
    """What a network gets on each sample of a data set, whatever its samples are.

    The network predicts as in MMEngine's test loop, one sample after the other; the samples are shared over the
    processes, and every process gets the same result.

    Args:
        model: the network, in evaluation mode, with MMEngine's ``test_step``.
        dataset: its items are ``dict(inputs=…, data_samples=…)``; a sample may have ``scene``.
        metrics: configs of metrics with a tally.
        what: is judged, for the log.
        log: called with a line now and then; None: silent.

    Returns:
        a tally for each sample that could be judged; the counts are those of the metrics.

    Raises:
        ConfigError: a metric that has no tally.
        MMRefineError: a prediction that is missing or does not fit the truth.
    """
    rank, world = get_dist_info()
    judges = build_metrics(metrics)
    numbers = range(rank, len(dataset), world)
    progress = Progress(f'{what}: {{}} samples', len(numbers), log or (lambda line: None))
    mine: List[Result] = []
    for done, number in enumerate(numbers, start=1):
        sample, = model.test_step(pseudo_collate([dataset[number]]))
        mine.append((number, sample.get('scene', 'all'), Together(tuple(judge.judge(sample) for judge in judges))))
        progress(done)
    results = sorted((result for part in all_gather_object(mine) for result in part), key=lambda result: result[0])
    counts: Dict[str, int] = {}
    for i, judge in enumerate(judges):
        counts.update(judge.counts([together.tallies[i] for _, _, together in results]))
    return Judged([result for result in results if result[2].size], counts)
