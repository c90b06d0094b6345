"""Do the features of a network of correspondences find at the end of a motion what was at its beginning?"""
from __future__ import annotations

from typing import Any, Dict

import torch
from torch import Tensor

from mmrefine.geometry import feature_change, landing_points, lands_inside, pixel_grid
from mmrefine.labeling.calibration.thresholds import Threshold
from mmrefine.labeling.feature_network import FeatureNetwork
from mmrefine.registry import FILTERS
from mmrefine.structures import PairContext

_ROWS = 64  # of pixels at a time, as features have many channels


@FILTERS.register_module()
class FeatureAgreement(FeatureNetwork):
    """Keep motion along which the features of a frozen network change little: ``1 - cos(f_1(p), f_2(p + flow))`` is at
    most ``tolerance``; 0 or 1, and 0 for motion that leaves the frame.

    Where the features themselves point, their soft arg max in the window, says less about the label
    (docs/filters.md). Ours, not the paper's.

    Args:
        features: config of the part of ``TEACHERS`` that has the network:
            ``dict(type='OtherNetwork', model=dict(type='CorrespondenceLearner', estimator=…), checkpoint=…)``.
        tolerance: in [0, 2]; how much the features of the same thing change depends on the network, so calibrate it.

    Raises:
        ConfigError: a value out of range, or a network without features.
        CheckpointError: a checkpoint that is missing, broken, unsafe, or of another network.
    """
    threshold = Threshold('tolerance', strictest=0.01, loosest=1.)

    def __init__(self, features: Dict[str, Any], tolerance: float = 0.2) -> None:
        super().__init__('FeatureAgreement', features, tolerance)

    def __call__(self, ctx: PairContext) -> Tensor:
        """Weight ``(B, 1, H, W)``, 0 or 1."""
        found, stride = self.encode(torch.cat([ctx.frames1, ctx.frames2]))
        before, after = found.chunk(2)
        height, width = ctx.flow_fw.shape[-2:]
        pixels = pixel_grid(height, width, ctx.flow_fw).expand_as(ctx.flow_fw)
        strips = zip(pixels.split(_ROWS, dim=2), landing_points(ctx.flow_fw).split(_ROWS, dim=2))
        change = torch.cat([feature_change(before, here, after, there, stride) for here, there in strips], dim=2)
        return ((change <= self.tolerance) & lands_inside(ctx.flow_fw)).to(ctx.flow_fw.dtype)
