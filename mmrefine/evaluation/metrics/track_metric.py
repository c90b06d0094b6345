"""Errors of tracks for MMEngine's evaluator."""
from __future__ import annotations

from typing import Any, Mapping

from mmrefine.errors import MMRefineError
from mmrefine.evaluation.metrics.tally_metric import TallyMetric
from mmrefine.evaluation.tracks.errors import SURVIVAL_PX, tally_errors
from mmrefine.evaluation.tracks.tally import TrackTally
from mmrefine.registry import METRICS
from mmrefine.values import as_number


@METRICS.register_module()
class TrackMetric(TallyMetric):
    """ATE, median error and survival of ``pred_points`` against ``points`` where ``weight`` is not 0 (docs/metrics.md).

    Args:
        survival_px: px of the raster of 256x256 px that a track may be off until it counts as lost.
        kwargs: as :class:`TallyMetric` has them.

    Raises:
        ConfigError: a negative distance.
    """
    sample_name = 'clip'

    def __init__(self, survival_px: float = SURVIVAL_PX, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.survival_px = as_number('TrackMetric.survival_px', survival_px)

    def tally(self, fields: Mapping[str, Any]) -> TrackTally:
        """See :func:`~mmrefine.evaluation.tracks.errors.tally_errors`; empty without true tracks."""
        points = fields.get('points')
        if points is None or not len(points):
            return TrackTally()
        if fields.get('pred_points') is None:
            raise ValueError('there are no pred_points to judge; the model must fill them for every sample')
        predicted, points, weight, visible = (
            fields[name].cpu().numpy() for name in ('pred_points', 'points', 'weight', 'visible'))
        try:
            return tally_errors(predicted, points, weight > 0, fields['size'], visible > 0.5, self.survival_px)
        except MMRefineError as error:  # without the name of the clip, which is added to a ValueError
            raise ValueError(str(error)) from error
