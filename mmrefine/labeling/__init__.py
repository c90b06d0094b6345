"""Stage 1: what a teacher sees becomes a label. Tensors in, label out; nothing touches a disk."""
from .arbitration import Arbiter
from .both_ways import Middle
from .calibrate import calibrate, check_promise
from .calibration import Calibration
from .color_filters import CensusFilter, GainRobustColorFilter, LabFilter
from .composed_view import ComposedView
from .composite_filter import CompositeFilter
from .densify import EdgeAwareDensify
from .filters import ColorFilter, CycleFilter, InFrameFilter, PairContext, SoftCycleFilter
from .flow_labeler import FlowLabeler, PairLabels
from .pair_guards import CutGuard, DuplicateFrameGuard, ExposureJumpGuard, PairGuard, StillPairGuard
from .rebalance import InverseHistogram, Novelty, SpeedQuota, SpeedThreshold
from .sweep import tunable_filters
from .teacher_views import ArbitratedView, CascadeView
from .texture_filter import TextureFilter
from .thresholds import Threshold
from .video_look import VideoLook

__all__ = [
    'Arbiter', 'ArbitratedView', 'Calibration', 'CascadeView', 'CensusFilter', 'ColorFilter', 'ComposedView', 'CompositeFilter',
    'CutGuard', 'CycleFilter', 'DuplicateFrameGuard', 'EdgeAwareDensify', 'ExposureJumpGuard', 'FlowLabeler', 'GainRobustColorFilter',
    'InFrameFilter', 'InverseHistogram', 'LabFilter', 'Middle', 'Novelty', 'PairContext', 'PairGuard', 'PairLabels', 'SoftCycleFilter',
    'SpeedQuota', 'SpeedThreshold', 'StillPairGuard', 'TextureFilter', 'Threshold', 'VideoLook', 'calibrate', 'check_promise',
    'tunable_filters'
]
