"""Metrics that MMEngine's evaluator can run."""
from mmrefine.evaluation.metrics.clip_metrics import KeypointMetric, MaskMetric
from mmrefine.evaluation.metrics.flow_metric import FlowMetric
from mmrefine.evaluation.metrics.tally_metric import TallyMetric
from mmrefine.evaluation.metrics.track_metric import TapVidMetric, TrackMetric

__all__ = ['FlowMetric', 'KeypointMetric', 'MaskMetric', 'TallyMetric', 'TapVidMetric', 'TrackMetric']
