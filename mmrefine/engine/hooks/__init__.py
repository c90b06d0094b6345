"""One thing each: labels before a round, weights in and out, whole checkpoints, before against after."""
from mmrefine.engine.hooks.checkpoint_hook import AtomicCheckpointHook
from mmrefine.engine.hooks.frame_cache_hook import FrameCacheHook
from mmrefine.engine.hooks.logger_hook import PacedLoggerHook
from mmrefine.engine.hooks.pseudo_label_hook import PseudoLabelHook
from mmrefine.engine.hooks.regression_guard_hook import RegressionGuardHook
from mmrefine.engine.hooks.report_hook import ReportHook
from mmrefine.engine.hooks.rounds_hook import RoundsHook
from mmrefine.engine.hooks.weights_hook import WeightsHook

__all__ = [
    'AtomicCheckpointHook', 'FrameCacheHook', 'PacedLoggerHook', 'PseudoLabelHook', 'RegressionGuardHook',
    'ReportHook', 'RoundsHook', 'WeightsHook'
]
