"""How much the features of what moves change on its way."""
from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from mmrefine.geometry.grid import sample


def feature_change(features1: Tensor, points1: Tensor, features2: Tensor, points2: Tensor, stride: int) -> Tensor:
    """One less the cosine of the features at two places, bilinear between the middles of the cells.

    Args:
        features1: of frame 1, ``(B, C, h, w)``, cells of ``stride`` px.
        points1: px (x, y) in frame 1, ``(B, 2, H, W)``.
        features2: of frame 2, ``(B, C, h, w)``.
        points2: px in frame 2, ``(B, 2, H, W)``.
        stride: px a cell.

    Returns:
        ``(B, 1, H, W)`` in [0, 2]; beyond the outermost middles the features of the border count.
    """
    one, two = (sample(features, (points - (stride - 1) / 2) / stride, 'border')
                for features, points in ((features1, points1), (features2, points2)))
    return 1 - F.cosine_similarity(one, two, dim=1)[:, None]
