"""Colours as classes, which can be copied from frame to frame like the labels of objects."""
from __future__ import annotations

from pathlib import Path
from typing import Optional, Tuple, Union

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmrefine.fileio.color_centroids import read_centroids
from mmrefine.geometry import lab
from mmrefine.registry import MODELS

# (a, b) of the code of CorrFlow, fitted to 10,000 samples of Kinetics
PUBLISHED = (
    (10.227, -25.504), (9.172, -5.480), (38.080, -55.177), (13.772, 29.932), (-22.905, 4.350), (0.369, -7.301),
    (-5.354, -13.474), (-9.102, 43.393), (2.854, -18.043), (-1.223, 21.685), (-7.968, -0.257), (33.955, 15.079),
    (22.352, -38.780), (5.728, 8.648), (54.295, -73.889), (0.193, 0.032))


@MODELS.register_module()
class ColorClasses(nn.Module):
    """The class of each pixel is the nearest of some colours of the plane (a, b) of CIE L*a*b*; lightness is left out.

    Source: CorrFlow (Lai and Xie, BMVC 2019), section 3.5, whose code has 16 classes, the default here.

    Args:
        centroids: a file of ``tools/fit_color_classes.py`` (``.json``), or an array ``(K, 2)`` (``.npy``). Default: the
            published ones.

    Raises:
        InputError: a file that is missing, or holds something else.
    """

    def __init__(self, centroids: Optional[Union[str, Path]] = None) -> None:
        super().__init__()
        self.source = 'published' if centroids is None else str(centroids)
        values = torch.tensor(PUBLISHED) if centroids is None else torch.from_numpy(read_centroids(centroids))
        self.centroids: Tensor
        self.register_buffer('centroids', values, persistent=False)  # the state dict is that of the network alone

    def __len__(self) -> int:
        return len(self.centroids)

    def forward(self, frames: Tensor) -> Tensor:
        """The classes ``(B, H, W)`` of frames ``(B, 3, H, W)`` sRGB in [0, 1]."""
        colors = lab(frames)[:, 1:]
        # |x - c|^2 without |x|^2, which decides nothing: least where 2 c x - |c|^2 is most
        scores = F.conv2d(colors, 2 * self.centroids[:, :, None, None], -self.centroids.square().sum(dim=1))
        return scores.argmax(dim=1)

    def cells(self, classes: Tensor, size: Tuple[int, int]) -> Tensor:
        """How much of each cell is of each class: classes ``(B, H, W)`` -> ``(B, K, h, w)`` of ``size``, each cell
        sums to 1. The numbers of classes are never averaged, as that of a class between two others means another
        colour."""
        each = self.centroids.new_zeros(len(classes), len(self), *classes.shape[1:]).scatter_(1, classes[:, None], 1.)
        return F.interpolate(each, size=size, mode='area')

    def extra_repr(self) -> str:
        """Which centroids."""
        return f'{len(self)} classes, {self.source}'
