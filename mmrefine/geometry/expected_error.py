"""How wrong a motion may be, by what the motion back and the picture say."""
from __future__ import annotations

import torch
from torch import Tensor

from mmrefine.geometry.census import census_residual
from mmrefine.geometry.cycle import cycle_error

FLOOR = 0.3  # px
DOUBT = 4.  # no unit
FAR = 20.  # px; round trips that are longer do not differ


def expected_error(frames1: Tensor, frames2: Tensor, flow_fw: Tensor, flow_bw: Tensor) -> Tensor:
    """The end point error that round trip and picture let expect: ``(0.3 + e) exp(4 r)`` px.

    ``e`` is :func:`~mmrefine.geometry.cycle_error`, at most 20 px, and 20 where it is not known; ``r`` is
    :func:`~mmrefine.geometry.census_residual`, 1 where it is not known. A scale to compare motions of a pixel by, not a
    calibrated error.

    Args:
        frames1: ``(B, 3, H, W)`` RGB in [0, 1].
        frames2: the same shape.
        flow_fw: ``(B, 2, H, W)`` px, frame 1 -> frame 2: the motion that is judged.
        flow_bw: the same shape, frame 2 -> frame 1.

    Returns:
        ``(B, 1, H, W)`` px, finite and above 0.
    """
    trip = cycle_error(flow_fw, flow_bw).nan_to_num(nan=FAR).clamp(max=FAR)
    unlike = census_residual(frames1, frames2, flow_fw).clamp(max=1.)
    return (FLOOR + trip) * torch.exp(DOUBT * unlike)
