"""Where the parts meet: the loop of rounds, and the hooks that label, load, save and report."""
from mmrefine.engine.guard.feature_witnesses import FeatureWitnesses
from mmrefine.engine.guard.flow_witnesses import FlowWitnesses
from mmrefine.engine.guard.track_witnesses import TrackWitnesses
from mmrefine.engine.hooks import (AtomicCheckpointHook, FrameCacheHook, PacedLoggerHook, PseudoLabelHook,
                                   RegressionGuardHook, ReportHook, RoundsHook, WeightsHook)
from mmrefine.engine.judging.judge import judge
from mmrefine.engine.loops import SelfTrainingLoop
from mmrefine.engine.optim import BFloat16OptimWrapper
from mmrefine.engine.runtime.processes import join_processes
from mmrefine.engine.stage1.flow_judge import FlowLabelJudge
from mmrefine.engine.stage1.run import LabelRun, label_fingerprint, make_labels

__all__ = [
    'AtomicCheckpointHook', 'BFloat16OptimWrapper', 'FeatureWitnesses', 'FlowLabelJudge', 'FlowWitnesses',
    'FrameCacheHook', 'LabelRun', 'PacedLoggerHook', 'PseudoLabelHook', 'RegressionGuardHook', 'ReportHook',
    'RoundsHook', 'SelfTrainingLoop', 'TrackWitnesses', 'WeightsHook', 'join_processes', 'judge', 'label_fingerprint',
    'make_labels'
]
