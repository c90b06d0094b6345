"""What travels between the layers: labels, samples, batches, and the contracts of the seams."""
from mmrefine.structures.batches import LabelBatch, Labeled, LabelUnit, as_frames, label_key
from mmrefine.structures.contracts import (FlowEstimator, LabelCodec, Labeler, LabelJudge, LabelSource, MotionLoss,
                                           Teacher, TeacherSource)
from mmrefine.structures.labels import FlowLabel
from mmrefine.structures.samples import ClipSample, FlowOutputs, FlowSample, FlowTargets

__all__ = [
    'ClipSample', 'FlowEstimator', 'FlowLabel', 'FlowOutputs', 'FlowSample', 'FlowTargets', 'LabelBatch', 'LabelCodec',
    'LabelJudge', 'LabelSource', 'LabelUnit', 'Labeled', 'Labeler', 'MotionLoss', 'Teacher', 'TeacherSource',
    'as_frames', 'label_key'
]
