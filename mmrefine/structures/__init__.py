"""What travels between the layers: labels, samples, and the contracts of networks."""
from .contracts import FlowEstimator
from .labels import FlowLabel
from .samples import FlowSample

__all__ = ['FlowEstimator', 'FlowLabel', 'FlowSample']
