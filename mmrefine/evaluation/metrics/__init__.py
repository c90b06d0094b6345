"""Metrics that MMEngine's evaluator can run."""
from .flow_metric import FlowMetric

__all__ = ['FlowMetric']
