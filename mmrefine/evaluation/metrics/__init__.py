"""Metrics that MMEngine's evaluator can run."""
from .clip_metric import KeypointMetric, MaskMetric
from .flow_metric import FlowMetric

__all__ = ['FlowMetric', 'KeypointMetric', 'MaskMetric']
