"""What travels between the layers: labels, samples, and the contracts of networks."""
from .contracts import FlowEstimator
from .labels import FlowLabel
from .samples import ClipSample, FlowSample

__all__ = ['ClipSample', 'FlowEstimator', 'FlowLabel', 'FlowSample']
