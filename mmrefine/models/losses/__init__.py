"""Losses ``loss(outputs, sample) -> scalar``: on labels, on features, and without any label (``MotionLoss``)."""
from mmrefine.models.losses.build import build_losses
from mmrefine.models.losses.color_losses import ColorClassLoss, CycleColorLoss
from mmrefine.models.losses.contrastive_loss import ContrastiveFlowLoss
from mmrefine.models.losses.cycle_loss import CycleLoss
from mmrefine.models.losses.photometric_loss import PhotometricLoss
from mmrefine.models.losses.pyramid_loss import MaskedPyramidLoss
from mmrefine.models.losses.self_supervision_loss import SelfSupervisionLoss
from mmrefine.models.losses.sequence_loss import MaskedSequenceLoss
from mmrefine.models.losses.smoothness_loss import SmoothnessLoss
from mmrefine.models.losses.track_losses import ScoreMapLoss, TrackSequenceLoss, VisibilityLoss

__all__ = [
    'ColorClassLoss', 'ContrastiveFlowLoss', 'CycleColorLoss', 'CycleLoss', 'MaskedPyramidLoss', 'MaskedSequenceLoss',
    'PhotometricLoss', 'ScoreMapLoss', 'SelfSupervisionLoss', 'SmoothnessLoss', 'TrackSequenceLoss', 'VisibilityLoss',
    'build_losses'
]
