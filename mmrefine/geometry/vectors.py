"""Lengths of motion vectors."""
from __future__ import annotations

from torch import Tensor


def lengths(vectors: Tensor, dim: int = 1) -> Tensor:
    """Lengths of vectors along ``dim``, which stays, with one entry: px of px. ``Tensor.norm`` takes many times as long
    on a CPU if this is not the last dimension. For use without gradients: that of a length of 0 is nan."""
    return vectors.square().sum(dim=dim, keepdim=True).sqrt()
