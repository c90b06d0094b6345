"""Stage 1: what a teacher sees becomes a label. Tensors in, label out; nothing touches a disk."""
from .color_filters import CensusFilter, GainRobustColorFilter, LabFilter
from .densify import EdgeAwareDensify
from .filters import ColorFilter, CycleFilter, InFrameFilter, PairContext, SoftCycleFilter
from .flow_labeler import FlowLabeler, PairLabels
from .pair_guards import CutGuard, DuplicateFrameGuard, ExposureJumpGuard, PairGuard, StillPairGuard
from .rebalance import InverseHistogram, SpeedQuota, SpeedThreshold
from .teacher_views import CascadeView
from .texture_filter import TextureFilter

__all__ = [
    'CascadeView', 'CensusFilter', 'ColorFilter', 'CutGuard', 'CycleFilter', 'DuplicateFrameGuard', 'EdgeAwareDensify',
    'ExposureJumpGuard', 'FlowLabeler', 'GainRobustColorFilter', 'InFrameFilter', 'InverseHistogram', 'LabFilter', 'PairContext',
    'PairGuard', 'PairLabels', 'SoftCycleFilter', 'SpeedQuota', 'SpeedThreshold', 'StillPairGuard', 'TextureFilter'
]
