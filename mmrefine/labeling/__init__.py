"""Stage 1: what a teacher sees becomes a label. Tensors in, label out; nothing touches a disk."""
from .color_filters import CensusFilter, GainRobustColorFilter, LabFilter
from .filters import ColorFilter, CycleFilter, InFrameFilter, PairContext, SoftCycleFilter
from .flow_labeler import FlowLabeler, PairLabels
from .pair_guards import CutGuard, DuplicateFrameGuard, ExposureJumpGuard, PairGuard, StillPairGuard
from .teacher_views import CascadeView
from .texture_filter import TextureFilter

__all__ = [
    'CascadeView', 'CensusFilter', 'ColorFilter', 'CutGuard', 'CycleFilter', 'DuplicateFrameGuard', 'ExposureJumpGuard', 'FlowLabeler',
    'GainRobustColorFilter', 'InFrameFilter', 'LabFilter', 'PairContext', 'PairGuard', 'PairLabels', 'SoftCycleFilter',
    'StillPairGuard', 'TextureFilter'
]
