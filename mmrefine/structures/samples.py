"""A frame pair on its way through MMEngine."""
from __future__ import annotations

from typing import Dict

from mmengine.structures import BaseDataElement
from torch import Tensor


class FlowSample(BaseDataElement):
    """What is known of one frame pair beside its pixels; MMEngine moves it between devices.

    Data fields, all optional: ``flow`` ``(2, H, W)`` px and ``weight`` ``(1, H, W)`` in [0, 1]
    (label or ground truth); ``pred_flow`` ``(2, H, W)`` px; for the scores of benchmarks ``regions``, bool
    ``(H, W)`` by name, and ``subpixel_flow`` ``(4, 2, H, W)`` px, nan where unknown. Meta fields:
    ``key`` ("scene/frame1__frame2"), ``scene``, ``size`` (height, width) px.
    """
    flow: Tensor
    weight: Tensor
    pred_flow: Tensor
    regions: Dict[str, Tensor]
    subpixel_flow: Tensor
