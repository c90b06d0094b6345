"""Networks that refine themselves, their frozen copies, and their losses."""
from .data_preprocessor import FramePreprocessor
from .flow_estimators import OfficialRAFTEncoder
from .frame_memory import FrameMemory
from .frozen import FrozenTeacher
from .losses import ContrastiveFlowLoss, MaskedPyramidLoss, MaskedSequenceLoss
from .refiners import (FlowReadout, FlowRefiner, RandomStart, build_estimator, estimator_state,
                       load_estimator, readout_for)

__all__ = [
    'ContrastiveFlowLoss', 'FlowReadout', 'FlowRefiner', 'FrameMemory', 'FramePreprocessor', 'FrozenTeacher', 'MaskedPyramidLoss',
    'MaskedSequenceLoss', 'OfficialRAFTEncoder', 'RandomStart', 'build_estimator', 'estimator_state', 'load_estimator', 'readout_for'
]
