"""What the witnesses of flow and of tracks share: how much each counts, and how much an error counts at most."""
from __future__ import annotations

from typing import Dict, Optional

import torch
from torch import Tensor

FARTHEST = 20.  # px; what is farther off is wrong, and how wrong says nothing
# How much each witness counts, and how much of it is nothing: px per px of motion, grey levels, px. From
# `benchmarks/guard_trust.py`.
WEIGHTS: Dict[str, float] = dict(cycle=0.2, color=0.4, warp=0.4)
FLOORS: Dict[str, float] = dict(cycle=0.05, color=0.5, warp=0.1)


def limited(error: Tensor, known: Optional[Tensor] = None) -> Tensor:
    """Errors of at most 20 px, and 20 px where they are not known.

    Args:
        error: px.
        known: bool, the same shape; None: where they are finite.
    """
    known = error.isfinite() if known is None else known
    return torch.where(known, error.clamp(max=FARTHEST), torch.full_like(error, FARTHEST))
