"""Losses on flows take ``(flows, target, weight)``, those on features ``(feat1, feat2, target, weight)``; each gives one scalar."""
from .contrastive_loss import ContrastiveFlowLoss
from .pyramid_loss import MaskedPyramidLoss
from .sequence_loss import MaskedSequenceLoss

__all__ = ['ContrastiveFlowLoss', 'MaskedPyramidLoss', 'MaskedSequenceLoss']
