"""The scores of the flow benchmarks for MMEngine's evaluator, pooled over pixels."""
from __future__ import annotations

from typing import Any, Dict, List, Mapping, Sequence

from mmengine.evaluator import BaseMetric

from mmrefine.errors import MMRefineError
from mmrefine.evaluation.flow.benchmark import BenchmarkTally, judge_sample
from mmrefine.evaluation.flow.errors import pool_by_scene
from mmrefine.registry import METRICS


@METRICS.register_module()
class FlowMetric(BaseMetric):
    """Compares ``pred_flow`` with the truth, overall, per scene, and by the parts that the data set draws (docs/metrics.md).

    Sums and counts are kept apart until the end (mmflow's metrics average per-batch means, F6), one entry for each pair, and are added in
    the order of the pairs' keys, so the result depends neither on the batch size, nor on the order, nor on the number of processes.
    Source of the definitions: PAPERS.md D.1.

    The truth is ``flow`` where ``weight > 0``, with ``regions``; or ``subpixel_flow``, which is judged as Spring's. Pairs without it, or
    without one valid pixel, are counted in ``pairs_without_truth`` and in nothing else; if no pair has truth there are only the counts,
    and :class:`~mmrefine.evaluation.flow.label_free.LabelFreeScores` can judge instead.

    Args:
        collect_device: ``'cpu'`` or ``'gpu'``, where the processes' results meet.
        prefix: put before each name, ``<prefix>/EPE``.
        collect_dir: where they meet on the CPU; default: ``.dist_test`` in the folder that the processes were started in.
    """

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
            self.results.append((str(fields.get('key', '')), str(fields.get('scene', 'all')), _judge(fields)))

    def compute_metrics(self, results: List[Any]) -> Dict[str, float]:
        """Pool the tallies: ``EPE``, ``1px``, …, ``scene/<name>/EPE``, …, ``pairs`` and ``pairs_without_truth``."""
        results = sorted(results, key=lambda result: result[:2])
        scores = pool_by_scene((scene, tally) for _, scene, tally in results)
        scores['pairs'] = len(results)
        scores['pairs_without_truth'] = sum(tally.pixels == 0 for _, _, tally in results)
        return scores


def _judge(fields: Mapping[str, Any]) -> BenchmarkTally:
    pred = fields.get('pred_flow')
    if pred is None:
        raise MMRefineError(f'pair {fields.get("key", "without a key")}: there is no pred_flow to judge; the model must fill it for every '
                            'sample')
    return judge_sample(pred, fields)
