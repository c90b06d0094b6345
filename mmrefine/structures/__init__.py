"""What travels between the layers: labels, samples, batches, and the contracts of the seams."""
from mmrefine.structures.batches import LabelBatch, Labeled, LabelUnit, as_frames, label_key
from mmrefine.structures.contracts import FlowEstimator, LabelCodec, Labeler, LabelJudge, LabelSource, Teacher, TeacherSource
from mmrefine.structures.labels import FlowLabel
from mmrefine.structures.samples import ClipSample, FlowSample

__all__ = [
    'ClipSample', 'FlowEstimator', 'FlowLabel', 'FlowSample', 'LabelBatch', 'LabelCodec', 'LabelJudge', 'LabelSource', 'LabelUnit',
    'Labeled', 'Labeler', 'Teacher', 'TeacherSource', 'as_frames', 'label_key'
]
