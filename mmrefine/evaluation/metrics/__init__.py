"""Metrics that MMEngine's evaluator can run."""
from mmrefine.evaluation.metrics.clip_metrics import KeypointMetric, MaskMetric
from mmrefine.evaluation.metrics.flow_metric import FlowMetric

__all__ = ['FlowMetric', 'KeypointMetric', 'MaskMetric']
