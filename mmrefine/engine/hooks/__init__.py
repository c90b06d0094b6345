"""One thing each: labels before a round, weights in and out, before against after."""
from .pseudo_label_hook import PseudoLabelHook
from .report_hook import ReportHook
from .weights_hook import WeightsHook

__all__ = ['PseudoLabelHook', 'ReportHook', 'WeightsHook']
