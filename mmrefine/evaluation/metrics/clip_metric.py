"""Masks and joints that were carried along a video, scored by MMEngine's evaluator."""
from __future__ import annotations

from abc import abstractmethod
from typing import Any, Dict, List, Mapping, Sequence

import numpy as np
from mmengine.evaluator import BaseMetric

from mmrefine.errors import ConfigError, MMRefineError
from mmrefine.evaluation.flow.errors import pool_by_scene
from mmrefine.evaluation.joints.pck import PCK_RULES, PCK_SHARE, KeypointTally, object_sizes, tally_keypoints
from mmrefine.evaluation.masks.scores import MaskTally, tally_masks
from mmrefine.registry import METRICS


class ClipMetric(BaseMetric):
    """One tally for each video, pooled per video, and overall in the order of their names.

    A sample is a whole video (:class:`~mmrefine.structures.ClipSample`), because what is carried depends on all frames before; so
    processes share videos, and no score depends on their number.

    Args:
        collect_device: ``'cpu'`` or ``'gpu'``, where the processes' results meet.
        prefix: put before each name.
        collect_dir: where they meet on the CPU; default: ``.dist_test`` in the folder that the processes were started in.
    """

    def process(self, data_batch: Any, data_samples: Sequence[Any]) -> None:
        """Add one tally for each video.

        Args:
            data_batch: not used.
            data_samples: ClipSamples, or dicts of their fields as MMEngine's evaluator hands them over.

        Raises:
            MMRefineError: a prediction that is missing, or does not fit the truth; it names the video.
        """
        for sample in data_samples:
            fields: Mapping[str, Any] = sample if isinstance(sample, Mapping) else sample.to_dict()
            name = str(fields.get('scene', 'all'))
            try:
                self.results.append((name, self.judge(fields)))
            except ValueError as error:
                raise MMRefineError(f'video {name}: {error}') from error

    @abstractmethod
    def judge(self, fields: Mapping[str, Any]) -> Any:
        """The tally of a video; empty without truth.

        Raises:
            ValueError: a prediction that is missing, or does not fit the truth.
        """

    def compute_metrics(self, results: List[Any]) -> Dict[str, float]:
        """Pool the tallies: the scores, ``scene/<name>/…`` of each video, and ``videos``."""
        return dict(pool_by_scene(results), videos=len(results))


@METRICS.register_module()
class MaskMetric(ClipMetric):
    """DAVIS' J and F: mean, recall and decay of ``pred_masks`` against ``masks``, over objects (docs/metrics.md, PAPERS.md D.3).

    Args: as :class:`ClipMetric` has them.
    """

    def judge(self, fields: Mapping[str, Any]) -> MaskTally:
        """See :func:`~mmrefine.evaluation.tally_masks`."""
        if fields.get('masks') is None:
            return MaskTally()
        return tally_masks(_predicted(fields, 'pred_masks'), _array(fields['masks']))


@METRICS.register_module()
class KeypointMetric(ClipMetric):
    """PCK of ``pred_points`` against ``points`` where ``visible`` (docs/metrics.md, PAPERS.md D.4).

    Args:
        rule: what an object's size is told from: 'mask' (BADJA), 'joints' or 'box' (JHMDB), see
            :func:`~mmrefine.evaluation.object_sizes`.
        shares: of that size that a keypoint may be off; each one score.
        kwargs: as :class:`ClipMetric` has them.

    Raises:
        ConfigError: another rule, or shares that are no numbers of at least 0.
    """

    def __init__(self, rule: str = 'mask', shares: Sequence[float] = (PCK_SHARE, ), **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if rule not in PCK_RULES:
            raise ConfigError(f'KeypointMetric.rule must be one of {", ".join(PCK_RULES)}, got {rule!r}')
        if not shares or not all(isinstance(share, (int, float)) and share >= 0 for share in shares):
            raise ConfigError(f'KeypointMetric.shares must be numbers of at least 0, such as (0.1, 0.2), got {shares!r}')
        self.rule, self.shares = rule, tuple(shares)

    def judge(self, fields: Mapping[str, Any]) -> KeypointTally:
        """See :func:`~mmrefine.evaluation.tally_keypoints`."""
        if fields.get('points') is None:
            return KeypointTally()
        points, visible = _array(fields['points']), _array(fields['visible'])
        masks = None if fields.get('masks') is None else _array(fields['masks'])
        sizes = object_sizes(self.rule, points, visible, masks)
        return tally_keypoints(_predicted(fields, 'pred_points'), points, visible, sizes, self.shares)


def _predicted(fields: Mapping[str, Any], name: str) -> np.ndarray:
    if fields.get(name) is None:
        raise ValueError(f'there is no {name} to judge; the model must fill it for every sample')
    return _array(fields[name])


def _array(value: Any) -> np.ndarray:
    return np.asarray(value.cpu() if hasattr(value, 'cpu') else value)
