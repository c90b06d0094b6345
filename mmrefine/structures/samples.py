"""A frame pair, or a whole video, on its way through MMEngine."""
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


class ClipSample(BaseDataElement):
    """What is known of one video beside its pixels, and what was carried along it.

    Data fields, all optional: ``masks`` and ``pred_masks`` ``(T, H, W)`` uint8 ids of objects, 0 is background, 255
    void; ``points`` and ``pred_points`` ``(T, N, 2)`` px (x, y), with ``visible`` bool ``(T, N)``. Meta fields:
    ``scene``, the video's name, and ``size`` (height, width) px.
    """
    masks: Tensor
    pred_masks: Tensor
    points: Tensor
    pred_points: Tensor
    visible: Tensor
