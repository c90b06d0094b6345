"""EPE, 1/3/5 px and Fl of MMEngine's evaluator, pooled over pixels."""
from __future__ import annotations

from typing import Any, Dict, List, Mapping, Optional, Sequence

import torch
from mmengine.evaluator import BaseMetric

from mmrefine.errors import MMRefineError
from mmrefine.evaluation.judge import FlowTally, check_finite, pool_by_scene, tally_flow
from mmrefine.registry import METRICS


@METRICS.register_module()
class FlowMetric(BaseMetric):
    """Compares ``pred_flow`` with ``flow`` where ``weight > 0``, overall and per scene.

    Sums and counts are kept apart until the end (mmflow's metrics average per-batch means, F6), one entry for each pair, so the
    result depends neither on the batch size nor on the number of processes. Source of the definitions: PAPERS.md D.1.

    Pairs without ``flow``, or without one valid pixel, are counted in ``pairs_without_truth`` and in nothing else; if no pair
    has truth there are only the counts, and :class:`~mmrefine.evaluation.label_free.LabelFreeScores` can judge instead.

    Args:
        collect_device: ``'cpu'`` or ``'gpu'``, where the processes' results meet.
        prefix: put before each name, ``<prefix>/EPE``.
    """

    def __init__(self, collect_device: str = 'cpu', prefix: Optional[str] = None) -> None:
        super().__init__(collect_device=collect_device, prefix=prefix)

    def process(self, data_batch: Any, data_samples: Sequence[Any]) -> None:
        """Add one tally for each sample.

        Args:
            data_batch: not used.
            data_samples: FlowSamples, or dicts of their fields as MMEngine's evaluator hands them over.

        Raises:
            MMRefineError: the network's flow is missing, not finite, or not of the size of the truth.
        """
        for sample in data_samples:
            fields: Mapping[str, Any] = sample if isinstance(sample, Mapping) else sample.to_dict()
            self.results.append((str(fields.get('scene', 'all')), _judge(fields)))

    def compute_metrics(self, results: List[Any]) -> Dict[str, float]:
        """Pool the tallies: ``EPE``, ``1px``, …, ``scene/<name>/EPE``, …, ``pairs`` and ``pairs_without_truth``."""
        scores = pool_by_scene(results)
        scores['pairs'] = len(results)
        scores['pairs_without_truth'] = sum(tally.pixels == 0 for _, tally in results)
        return scores


def _judge(fields: Mapping[str, Any]) -> FlowTally:
    key = fields.get('key', 'without a key')
    pred = fields.get('pred_flow')
    if pred is None:
        raise MMRefineError(f'pair {key}: there is no pred_flow to judge; the model must fill it for every sample')
    check_finite(pred, key)
    target, weight = fields.get('flow'), fields.get('weight')
    if target is None:
        return FlowTally()
    if pred.shape != target.shape:
        raise MMRefineError(f'pair {key}: the network\'s flow has shape {tuple(pred.shape)}, its truth {tuple(target.shape)}; '
                            'judge at the size of the truth, without resizing or cropping the frames')
    valid = torch.ones_like(target[:1], dtype=torch.bool) if weight is None else weight > 0
    return tally_flow(pred, target, valid)
