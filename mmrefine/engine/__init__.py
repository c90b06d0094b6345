"""Where the parts meet: the loop of rounds, and the hooks that label, load, save and report."""
from .carry import carry_clip, score_clips
from .evaluate import score_pairs
from .hooks import (AtomicCheckpointHook, PseudoLabelHook, RegressionGuardHook, ReportHook,
                    WeightsHook)
from .label_run import LabelRun, label_fingerprint, make_labels
from .loops import SelfTrainingLoop
from .optim import BFloat16OptimWrapper
from .processes import join_processes

__all__ = [
    'AtomicCheckpointHook', 'BFloat16OptimWrapper', 'LabelRun', 'PseudoLabelHook', 'RegressionGuardHook', 'ReportHook',
    'SelfTrainingLoop', 'WeightsHook', 'carry_clip', 'join_processes', 'label_fingerprint', 'make_labels', 'score_clips', 'score_pairs'
]
