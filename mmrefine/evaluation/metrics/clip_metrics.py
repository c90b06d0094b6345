"""Masks and joints that were propagated through a video, scored by MMEngine's evaluator."""
from __future__ import annotations

from typing import Any, Mapping, Sequence

import numpy as np

from mmrefine.errors import ConfigError
from mmrefine.evaluation.joints.pck import PCK_NAMES, PCK_RULES, PCK_SHARE, KeypointTally, object_sizes, tally_keypoints
from mmrefine.evaluation.masks.scores import MaskTally, tally_masks
from mmrefine.evaluation.metrics.tally_metric import TallyMetric
from mmrefine.registry import METRICS
from mmrefine.values import is_number


@METRICS.register_module()
class MaskMetric(TallyMetric):
    """DAVIS' J and F: mean, recall and decay of ``pred_masks`` against ``masks``, over objects (docs/metrics.md).

    A sample is a whole video (:class:`~mmrefine.structures.ClipSample`), because what is carried depends on all frames
    before.

    Args: as :class:`TallyMetric` has them.
    """
    sample_name = 'video'

    def tally(self, fields: Mapping[str, Any]) -> MaskTally:
        """See :func:`~mmrefine.evaluation.masks.scores.tally_masks`."""
        if fields.get('masks') is None:
            return MaskTally()
        return tally_masks(_predicted(fields, 'pred_masks'), _array(fields['masks']))


@METRICS.register_module()
class KeypointMetric(TallyMetric):
    """PCK of ``pred_points`` against ``points`` where ``visible``, of whole videos (docs/metrics.md).

    Of a :class:`~mmrefine.structures.ClipSample`, or of a :class:`~mmrefine.structures.TrackSample` with queries.

    Args:
        rule: what the size of an object is taken from: 'mask' (BADJA), 'joints', 'box' or 'joints_box' (JHMDB), see
            :func:`~mmrefine.evaluation.joints.pck.object_sizes`.
        shares: of that size that a keypoint may be off; each one score.
        kwargs: as :class:`TallyMetric` has them.

    Raises:
        ConfigError: another rule, or shares that are not numbers of at least 0.
    """
    sample_name = 'video'

    def __init__(self, rule: str = 'mask', shares: Sequence[float] = (PCK_SHARE, ), **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if rule not in PCK_RULES:
            raise ConfigError(f'KeypointMetric.rule must be one of {", ".join(PCK_RULES)}, got {rule!r}')
        if not shares or not all(is_number(share) and share >= 0 for share in shares):
            raise ConfigError('KeypointMetric.shares must be numbers of at least 0, such as (0.1, 0.2), '
                              f'got {shares!r}')
        self.rule, self.shares = rule, tuple(shares)

    def tally(self, fields: Mapping[str, Any]) -> KeypointTally:
        """See :func:`~mmrefine.evaluation.joints.pck.tally_keypoints`."""
        if fields.get('points') is None:
            return KeypointTally()
        points, visible = _array(fields['points']), _array(fields['visible'])
        by_track = fields.get('queries') is not None
        if by_track:
            points, visible = points.swapaxes(0, 1), visible.T > 0
        masks = None if fields.get('masks') is None else _array(fields['masks'])
        sizes = object_sizes(self.rule, points, visible, masks)
        predicted = _predicted(fields, 'pred_points')
        predicted = predicted.swapaxes(0, 1) if by_track else predicted
        return tally_keypoints(predicted, points, visible, sizes, self.shares, PCK_NAMES.get(self.rule, 'PCK'))


def _predicted(fields: Mapping[str, Any], name: str) -> np.ndarray:
    if fields.get(name) is None:
        raise ValueError(f'there is no {name} to judge; the model must fill it for every sample')
    return _array(fields[name])


def _array(value: Any) -> np.ndarray:
    return np.asarray(value.cpu() if hasattr(value, 'cpu') else value)
