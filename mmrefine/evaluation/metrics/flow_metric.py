"""The scores of the flow benchmarks for MMEngine's evaluator, pooled over pixels."""
from __future__ import annotations

from typing import Any, Dict, Mapping, Sequence

from mmrefine.evaluation.flow.benchmark import BenchmarkTally, judge_sample
from mmrefine.evaluation.metrics.tally_metric import TallyMetric
from mmrefine.registry import METRICS
from mmrefine.structures.contracts import Tally


@METRICS.register_module()
class FlowMetric(TallyMetric):
    """Compares ``pred_flow`` with the truth, overall, per scene, and by part of the frame (docs/metrics.md).

    Sums and counts are kept separately until the end, where mmflow's metrics average per-batch means (F6 in
    docs/platform.md).

    The truth is ``flow`` where ``weight > 0``, with ``regions``; or ``subpixel_flow``, which is judged as Spring's.
    Pairs without it, or without one valid pixel, are counted in ``pairs_without_truth`` and in nothing else; if no pair
    has truth there are only the counts.

    Args: as :class:`TallyMetric` has them.
    """
    sample_name = 'pair'

    def tally(self, fields: Mapping[str, Any]) -> BenchmarkTally:
        """See :func:`~mmrefine.evaluation.flow.benchmark.judge_sample`."""
        if fields.get('pred_flow') is None:
            raise ValueError('there is no pred_flow to judge; the model must fill it for every sample')
        return judge_sample(fields['pred_flow'], fields)

    def counts(self, tallies: Sequence[Tally]) -> Dict[str, int]:
        """``pairs`` and ``pairs_without_truth``."""
        return dict(pairs=len(tallies), pairs_without_truth=sum(tally.size == 0 for tally in tallies))
