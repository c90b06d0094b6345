"""Networks that refine themselves, their frozen copies, and their losses."""
from mmrefine.models.correspondence import ChannelDropout, ColorClasses, CropWarp, GreyInput, ScheduledSampling
from mmrefine.models.data_preprocessor import FramePreprocessor
from mmrefine.models.losses import (ColorClassLoss, ContrastiveFlowLoss, CycleColorLoss, CycleLoss, MaskedPyramidLoss,
                                    MaskedSequenceLoss, PhotometricLoss, ScoreMapLoss, SelfSupervisionLoss,
                                    SmoothnessLoss, TrackSequenceLoss, VisibilityLoss)
from mmrefine.models.networks import (CRAFT, ConvexUpsamplingDecoder, CorrFlowEncoder, CRAFTDecoder,
                                      OfficialRAFTEncoder, PIPs)
from mmrefine.models.propagation import FeaturePropagator, FlowPropagator, TrackPropagator, carry_labels, propagate_clip
from mmrefine.models.raft_fast.frame_memory import FrameMemory
from mmrefine.models.refiners import (ChainedFlow, CorrespondenceLearner, FlowReadout, FlowRefiner, RandomStart,
                                      TrackRefiner, build_estimator, estimator_state, load_estimator, meta_of,
                                      readout_for)
from mmrefine.models.teachers.frozen import FrozenTeacher
from mmrefine.models.teachers.group import FrozenGroup, TeacherGroup
from mmrefine.models.teachers.other_network import OtherNetwork
from mmrefine.models.teachers.stored_motion import StoredMotion
from mmrefine.models.teachers.stored_tracks import StoredTracks
from mmrefine.models.teachers.student import StudentAverage, StudentCopy
from mmrefine.models.teachers.tracker import FrozenTracker
from mmrefine.models.trackers import PIPsChain

__all__ = [
    'CRAFT', 'CRAFTDecoder', 'ChainedFlow', 'ChannelDropout', 'ColorClassLoss', 'ColorClasses', 'ContrastiveFlowLoss',
    'ConvexUpsamplingDecoder', 'CorrFlowEncoder', 'CorrespondenceLearner', 'CropWarp', 'CycleColorLoss', 'CycleLoss',
    'FeaturePropagator', 'FlowPropagator', 'FlowReadout', 'FlowRefiner', 'FrameMemory', 'FramePreprocessor',
    'FrozenGroup', 'FrozenTeacher', 'FrozenTracker', 'GreyInput', 'MaskedPyramidLoss', 'MaskedSequenceLoss',
    'OfficialRAFTEncoder', 'OtherNetwork', 'PIPs', 'PIPsChain', 'PhotometricLoss', 'RandomStart', 'ScheduledSampling',
    'ScoreMapLoss', 'SelfSupervisionLoss', 'SmoothnessLoss', 'StoredMotion', 'StoredTracks', 'StudentAverage',
    'StudentCopy', 'TeacherGroup', 'TrackPropagator', 'TrackRefiner', 'TrackSequenceLoss', 'VisibilityLoss',
    'build_estimator', 'carry_labels', 'estimator_state', 'load_estimator', 'meta_of', 'propagate_clip', 'readout_for'
]
