"""Losses on flows: each takes ``(flows, target, weight)`` and gives one scalar."""
from .pyramid_loss import MaskedPyramidLoss
from .sequence_loss import MaskedSequenceLoss

__all__ = ['MaskedPyramidLoss', 'MaskedSequenceLoss']
