"""What travels between the layers: labels, samples, batches, and the contracts of the seams."""
from mmrefine.structures.batches import LabelBatch, Labeled, LabelUnit, label_key
from mmrefine.structures.contracts import FlowEstimator, LabelCodec, Labeler, LabelSource, Teacher
from mmrefine.structures.labels import FlowLabel
from mmrefine.structures.samples import ClipSample, FlowSample

__all__ = [
    'ClipSample', 'FlowEstimator', 'FlowLabel', 'FlowSample', 'LabelBatch', 'LabelCodec', 'LabelSource', 'LabelUnit',
    'Labeled', 'Labeler', 'Teacher', 'label_key'
]
