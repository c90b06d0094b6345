"""Where the parts meet: the loop of rounds, and the hooks that label, load, report and export."""
from .hooks import PseudoLabelHook, ReportHook, WeightsHook
from .loops import SelfTrainingLoop
from .optim import BFloat16OptimWrapper

__all__ = ['BFloat16OptimWrapper', 'PseudoLabelHook', 'ReportHook', 'SelfTrainingLoop', 'WeightsHook']
