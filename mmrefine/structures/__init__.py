"""What travels between the layers: labels, samples, and the contracts of networks."""
from mmrefine.structures.contracts import FlowEstimator
from mmrefine.structures.labels import FlowLabel
from mmrefine.structures.samples import ClipSample, FlowSample

__all__ = ['ClipSample', 'FlowEstimator', 'FlowLabel', 'FlowSample']
