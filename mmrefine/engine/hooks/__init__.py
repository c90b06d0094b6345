"""One thing each: labels before a round, weights in and out, whole checkpoints, before against after."""
from .checkpoint_hook import AtomicCheckpointHook
from .pseudo_label_hook import PseudoLabelHook
from .regression_guard_hook import RegressionGuardHook
from .report_hook import ReportHook
from .weights_hook import WeightsHook

__all__ = ['AtomicCheckpointHook', 'PseudoLabelHook', 'RegressionGuardHook', 'ReportHook', 'WeightsHook']
