"""Networks that learn from labels with weights."""
from .estimators import build_estimator, load_estimator
from .flow_refiner import FlowRefiner
from .readout import FlowReadout, readout_for

__all__ = ['FlowReadout', 'FlowRefiner', 'build_estimator', 'load_estimator', 'readout_for']
