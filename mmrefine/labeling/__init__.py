"""Stage 1: what a teacher sees becomes a label. Tensors in, label out; nothing touches a disk."""
from mmrefine.labeling.calibration.result import Calibration
from mmrefine.labeling.calibration.search import calibrate, check_promise
from mmrefine.labeling.calibration.sweep import tunable_filters
from mmrefine.labeling.calibration.thresholds import Threshold
from mmrefine.labeling.calibration.video_profile import VideoProfile
from mmrefine.labeling.flow.filters.agreement import TrackAgreementFilter
from mmrefine.labeling.flow.filters.appearance import CensusFilter, GainRobustColorFilter, LabFilter
from mmrefine.labeling.flow.filters.composite import CompositeFilter
from mmrefine.labeling.flow.filters.consistency import ColorFilter, CycleFilter, InFrameFilter, SoftCycleFilter
from mmrefine.labeling.flow.filters.evidence import TextureFilter
from mmrefine.labeling.flow.filters.expected_error import ExpectedErrorFilter
from mmrefine.labeling.flow.filters.feature_agreement import FeatureAgreement
from mmrefine.labeling.flow.filters.pair_guards import (CutGuard, DuplicateFrameGuard, ExposureJumpGuard, PairGuard,
                                                        StillPairGuard)
from mmrefine.labeling.flow.labeler import FlowLabeler, PairLabels
from mmrefine.labeling.flow.verifier.learner import VerifierLearner
from mmrefine.labeling.flow.verifier.network import PassVerifier
from mmrefine.labeling.flow.views.arbiter import Arbiter
from mmrefine.labeling.flow.views.arbitrated import ArbitratedView
from mmrefine.labeling.flow.views.cascade import CascadeView
from mmrefine.labeling.flow.views.composed import ComposedView
from mmrefine.labeling.flow.weights.densify import EdgeAwareDensify
from mmrefine.labeling.flow.weights.rebalance import InverseHistogram, Novelty, SpeedQuota, SpeedThreshold
from mmrefine.labeling.tracks.balance import TrackNovelty
from mmrefine.labeling.tracks.feature_filter import TrackFeatureFilter
from mmrefine.labeling.tracks.filters import (TrackColorFilter, TrackCycleFilter, TrackInsideFilter, TrackPatchFilter,
                                              TrackSpeedFilter, TrackVisibilityFilter)
from mmrefine.labeling.tracks.flow_filter import TrackFlowFilter
from mmrefine.labeling.tracks.labeler import TrackLabeler
from mmrefine.labeling.tracks.queries import GridQueries, JoinedQueries, TextureQueries, WindowQueries
from mmrefine.labeling.tracks.views import ArbitratedTracks, DirectTracks
from mmrefine.structures import PairContext

__all__ = [
    'Arbiter', 'ArbitratedTracks', 'ArbitratedView', 'Calibration', 'CascadeView', 'CensusFilter', 'ColorFilter',
    'ComposedView', 'CompositeFilter', 'CutGuard', 'CycleFilter', 'DirectTracks', 'DuplicateFrameGuard',
    'EdgeAwareDensify', 'ExpectedErrorFilter', 'ExposureJumpGuard', 'FeatureAgreement', 'FlowLabeler',
    'GainRobustColorFilter', 'GridQueries', 'InFrameFilter', 'InverseHistogram', 'JoinedQueries', 'LabFilter',
    'Novelty', 'PairContext', 'PairGuard', 'PairLabels', 'PassVerifier', 'SoftCycleFilter', 'SpeedQuota',
    'SpeedThreshold', 'StillPairGuard', 'TextureFilter', 'TextureQueries', 'Threshold', 'TrackAgreementFilter',
    'TrackColorFilter', 'TrackCycleFilter', 'TrackFeatureFilter', 'TrackFlowFilter', 'TrackInsideFilter',
    'TrackLabeler', 'TrackNovelty', 'TrackPatchFilter', 'TrackSpeedFilter', 'TrackVisibilityFilter', 'VerifierLearner',
    'VideoProfile', 'WindowQueries', 'calibrate', 'check_promise', 'tunable_filters'
]
