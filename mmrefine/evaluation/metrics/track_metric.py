"""Scores of tracks for MMEngine's evaluator."""
from __future__ import annotations

from functools import reduce
from operator import add
from typing import Any, Dict, Mapping, Optional

import numpy as np

from mmrefine.errors import MMRefineError
from mmrefine.evaluation.metrics.tally_metric import TallyMetric
from mmrefine.evaluation.tracks.errors import SURVIVAL_PX, tally_errors
from mmrefine.evaluation.tracks.tally import TrackTally
from mmrefine.evaluation.tracks.tapvid import tally_tapvid
from mmrefine.registry import METRICS
from mmrefine.structures.track_protocols import QUERY_MODES
from mmrefine.values import as_choice, as_number


@METRICS.register_module()
class TrackMetric(TallyMetric):
    """ATE, median error and survival of ``pred_points`` against ``points`` where ``weight`` is not 0 (docs/metrics.md).

    Args:
        survival_px: px of the raster of 256x256 px that a track may be off until it counts as lost.
        each_track: every track counts as a clip of its own, so that scores are means over tracks instead of clips; a
            track of which nothing is known counts for nothing.
        kwargs: as :class:`TallyMetric` has them.

    Raises:
        ConfigError: a negative distance.
    """
    sample_name = 'clip'

    def __init__(self, survival_px: float = SURVIVAL_PX, each_track: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.each_track = each_track
        self.survival_px = as_number('TrackMetric.survival_px', survival_px)

    def tally(self, fields: Mapping[str, Any]) -> TrackTally:
        """See :func:`~mmrefine.evaluation.tracks.errors.tally_errors`; empty without true tracks."""
        arrays = _arrays(fields, 'pred_points', 'points', 'weight', 'visible')
        if not arrays:
            return TrackTally()
        groups = np.split(np.arange(len(arrays['points'])), len(arrays['points'])) if self.each_track else [slice(None)]
        try:
            return reduce(add, (tally_errors(arrays['pred_points'][some], arrays['points'][some],
                                             arrays['weight'][some] > 0, fields['size'], arrays['visible'][some] > 0.5,
                                             self.survival_px) for some in groups))
        except MMRefineError as error:  # without the name of the clip, which is added to a ValueError
            raise ValueError(str(error)) from error


@METRICS.register_module()
class TapVidMetric(TallyMetric):
    """TAP-Vid's delta_avg, OA and AJ of ``pred_points`` and ``pred_visible``, means over videos (docs/metrics.md).

    Args:
        query_mode: ``'first'`` or ``'strided'``, which decides in what frames a track is judged; None: the
            ``query_mode`` of the sample, or ``'first'`` if it has none.
        threshold: a point is said to be visible above this confidence, in [0, 1].
        kwargs: as :class:`TallyMetric` has them.

    Raises:
        ConfigError: another mode, or a threshold out of range.
    """
    sample_name = 'video'

    def __init__(self, query_mode: Optional[str] = None, threshold: float = 0.5, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.query_mode = None if query_mode is None else as_choice('TapVidMetric.query_mode', query_mode, QUERY_MODES)
        self.threshold = as_number('TapVidMetric.threshold', threshold, '[0, 1]')

    def tally(self, fields: Mapping[str, Any]) -> TrackTally:
        """See :func:`~mmrefine.evaluation.tracks.tapvid.tally_tapvid`; empty without true tracks. Samples without
        ``queries`` are asked for in their first frame."""
        arrays = _arrays(fields, 'pred_points', 'pred_visible', 'points', 'visible')
        if not arrays:
            return TrackTally()
        queries = fields.get('queries')
        queries = np.zeros((len(arrays['points']), 3)) if queries is None else queries.cpu().numpy()
        try:
            return tally_tapvid(arrays['pred_points'], arrays['pred_visible'] > self.threshold, arrays['points'],
                                arrays['visible'] > 0.5, queries, fields['size'],
                                self.query_mode or fields.get('query_mode') or QUERY_MODES[0])
        except MMRefineError as error:
            raise ValueError(str(error)) from error


def _arrays(fields: Mapping[str, Any], *names: str) -> Dict[str, np.ndarray]:
    """Some fields of a sample; none of them if it has no true tracks.

    Raises:
        ValueError: nothing was predicted.
    """
    points = fields.get('points')
    if points is None or not len(points):
        return {}
    for name in names:
        if fields.get(name) is None:
            predicted = 'the model must fill them for every sample' if name.startswith('pred_') else 'they are needed'
            raise ValueError(f'there are no {name} to judge; {predicted}')
    return {name: fields[name].cpu().numpy() for name in names}
