"""Whether anything moves between two frames."""
from __future__ import annotations

import torch
from torch import Tensor

STILL_MOTION = 0.5  # px; a pixel that moves by less counts as still
STILL_SHARE = 0.005  # of the pixels; if fewer move, the pair counts as still


def moving_share(flow: Tensor, least_motion: float = STILL_MOTION) -> Tensor:
    """Share of the pixels that move by at least ``least_motion`` px: ``(B, 2, H, W)`` px -> ``(B, )`` in [0, 1]."""
    return (torch.linalg.vector_norm(flow, dim=1) >= least_motion).double().mean(dim=(1, 2))
