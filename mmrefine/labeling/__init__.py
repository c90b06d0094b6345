"""Stage 1: what a teacher sees becomes a label. Tensors in, label out; nothing touches a disk."""
from .filters import ColorFilter, CycleFilter, InFrameFilter, PairContext, SoftCycleFilter
from .flow_labeler import FlowLabeler, PairLabels
from .teacher_views import CascadeView

__all__ = [
    'CascadeView', 'ColorFilter', 'CycleFilter', 'FlowLabeler', 'InFrameFilter', 'PairContext',
    'PairLabels', 'SoftCycleFilter'
]
