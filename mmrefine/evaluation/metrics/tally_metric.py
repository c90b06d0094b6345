"""What the metrics for MMEngine's evaluator have in common: one tally for each sample."""
from __future__ import annotations

from abc import abstractmethod
from typing import Any, Dict, List, Mapping, Sequence

from mmengine.evaluator import BaseMetric

from mmrefine.errors import MMRefineError
from mmrefine.evaluation.tallies import pool_by_scene
from mmrefine.structures.contracts import Tally


class TallyMetric(BaseMetric):
    """One tally for each sample, pooled overall and per scene in the order of their keys.

    So the result depends neither on the batch size, nor on the order, nor on the number of processes.

    Args:
        collect_device: ``'cpu'`` or ``'gpu'``, where the processes' results meet.
        prefix: put before each name, ``<prefix>/EPE``.
        collect_dir: where they meet on the CPU; default: ``.dist_test`` in the folder that the processes were started
            in.
    """
    sample_name = 'sample'
    default_prefix = ''  # MMEngine warns of a metric that has none

    @abstractmethod
    def tally(self, fields: Mapping[str, Any]) -> Tally:
        """The tally of one sample; empty without truth.

        Args:
            fields: of the sample, by name.

        Raises:
            ValueError: a prediction that is missing, or does not fit the truth.
        """

    def counts(self, tallies: Sequence[Tally]) -> Dict[str, int]:
        """How many samples there were."""
        return {f'{self.sample_name}s': len(tallies)}

    def judge(self, sample: Any) -> Tally:
        """:meth:`tally` of a sample.

        Args:
            sample: a data element, or a dict of its fields as MMEngine's evaluator hands them over.

        Raises:
            MMRefineError: a prediction that is missing, or does not fit the truth; it names the sample.
        """
        fields: Mapping[str, Any] = sample if isinstance(sample, Mapping) else sample.to_dict()
        try:
            return self.tally(fields)
        except ValueError as error:
            name = fields.get('key', fields.get('scene', 'without a key'))
            raise MMRefineError(f'{self.sample_name} {name}: {error}') from error

    def process(self, data_batch: Any, data_samples: Sequence[Any]) -> None:
        """Add one tally for each sample; ``data_batch`` is not used. Raises what :meth:`judge` does."""
        for sample in data_samples:
            self.results.append((str(sample.get('key', '')), str(sample.get('scene', 'all')), self.judge(sample)))

    def compute_metrics(self, results: List[Any]) -> Dict[str, float]:
        """Pool the tallies: ``EPE``, …, ``scene/<name>/EPE``, …, and :meth:`counts`."""
        results = sorted(results, key=lambda result: result[:2])
        pooled = pool_by_scene((scene, tally) for _, scene, tally in results)
        return {**pooled, **self.counts([tally for _, _, tally in results])}
