"""What travels between the layers: labels, samples, batches, and the contracts of the seams."""
from mmrefine.structures.batches import LabelBatch, Labeled, LabelUnit, as_frames, label_key, name_units
from mmrefine.structures.color_outputs import ColorOutputs
from mmrefine.structures.contracts import (LabelCodec, Labeler, LabelJudge, LabelSource, MotionLoss, Tally, Teacher,
                                           TeacherSource, Witnesses, members_of)
from mmrefine.structures.flow_contracts import FlowEstimator, Guard, TwoWayEstimator, View
from mmrefine.structures.flow_label import FlowLabel
from mmrefine.structures.pairs import Look, LookRequest, NamedFrame, PairBatch, PairContext
from mmrefine.structures.propagation import FeatureEncoder, FrameOf, Propagator
from mmrefine.structures.samples import ClipSample, FlowOutputs, FlowSample, FlowTargets, MixedPart
from mmrefine.structures.track_contracts import (ErrorTracker, GivenTracks, QuerySource, StreamTracker, TrackBalance,
                                                 TrackEstimator, TrackFilter, TrackView)
from mmrefine.structures.track_protocols import crohd_heads, draw_queries, evaluated_frames
from mmrefine.structures.track_samples import TrackOutputs, TrackSample, TrackTargets
from mmrefine.structures.tracks import TrackLook, Tracks, check_queries
from mmrefine.structures.verdict import PassJudge, Verdict
from mmrefine.structures.whole_frames import WholeFrames

__all__ = [
    'ClipSample', 'ColorOutputs', 'ErrorTracker', 'FeatureEncoder', 'FlowEstimator', 'FlowLabel', 'FlowOutputs',
    'FlowSample', 'FlowTargets', 'FrameOf', 'GivenTracks', 'Guard', 'LabelBatch', 'LabelCodec', 'LabelJudge',
    'LabelSource', 'LabelUnit', 'Labeled', 'Labeler', 'Look', 'LookRequest', 'MixedPart', 'MotionLoss',
    'NamedFrame', 'PairBatch', 'PairContext', 'PassJudge', 'Propagator', 'QuerySource', 'StreamTracker', 'Tally',
    'Teacher', 'TeacherSource', 'TrackBalance', 'TrackEstimator', 'TrackFilter', 'TrackLook', 'TrackOutputs',
    'TrackSample', 'TrackTargets', 'TrackView', 'Tracks', 'TwoWayEstimator', 'Verdict', 'View', 'WholeFrames',
    'Witnesses', 'as_frames', 'check_queries', 'crohd_heads', 'draw_queries', 'evaluated_frames', 'label_key',
    'members_of', 'name_units'
]
