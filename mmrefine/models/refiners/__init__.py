"""Networks that learn from labels with weights."""
from .estimators import build_estimator, estimator_state, load_estimator
from .flow_refiner import FlowRefiner
from .random_start import RandomStart
from .readout import FlowReadout, readout_for

__all__ = ['FlowReadout', 'FlowRefiner', 'RandomStart', 'build_estimator', 'estimator_state', 'load_estimator', 'readout_for']
