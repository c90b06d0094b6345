"""Losses on flows take ``(flows, target, weight)``, those on features ``(feat1, feat2, target, weight)``; each gives one scalar."""
from mmrefine.models.losses.contrastive_loss import ContrastiveFlowLoss
from mmrefine.models.losses.pyramid_loss import MaskedPyramidLoss
from mmrefine.models.losses.sequence_loss import MaskedSequenceLoss

__all__ = ['ContrastiveFlowLoss', 'MaskedPyramidLoss', 'MaskedSequenceLoss']
