"""How well the feature of a track fits around where the track is, in each frame, without a volume over all pixels."""
from __future__ import annotations

from typing import List

import torch
import torch.nn.functional as F
from torch import Tensor

# one product with a feature that has to be looked up takes as long as about this many with features in a row
CHEAP = 24


class TrackCorrelation:
    """Correlations of track features with windows of the frames' features, at several scales, as PIPs uses them.

    The windows are looked up in the features, and a window's positions that lie between pixels are interpolated after
    the correlation, which is the same since both are linear: per track and level ``(2 r + 2)^2`` products instead of
    one for each pixel of the frame. At small scales the products of all pixels are cheaper, and are looked up
    themselves. Outside the frame is 0. Along the first axis of a window x varies, as in the
    authors' code.

    Args:
        features: ``(B, S, C, h, w)`` of S frames.
        levels: how many scales, each half of the one before.
        radius: of the window, features of its level.
    """

    def __init__(self, features: Tensor, levels: int = 4, radius: int = 3) -> None:
        self.radius = radius
        self.maps: List[Tensor] = []  # (B, S, h, w, C)
        batch, frames = features.shape[:2]
        level = features.flatten(0, 1)
        for number in range(levels):
            if number:
                level = F.avg_pool2d(level, 2, stride=2)
            self.maps.append(level.permute(0, 2, 3, 1).contiguous().unflatten(0, (batch, frames)))

    def __call__(self, points: Tensor, tracks: Tensor) -> Tensor:
        """Correlations around points.

        Args:
            points: ``(B, S, N, 2)``, (x, y) in pixels of the features.
            tracks: ``(B, S, N, C)``, the feature of each track in each frame.

        Returns:
            ``(B, S, N, levels (2 r + 1)^2)``, of the type of the points.
        """
        scaled = tracks / tracks.shape[-1]**0.5
        return torch.cat([self._around(level, points / 2**number, scaled) for number, level in enumerate(self.maps)],
                         dim=-1).to(points.dtype)

    def _around(self, level: Tensor, points: Tensor, tracks: Tensor) -> Tensor:
        batch, frames, height, width, channels = level.shape
        radius, side = self.radius, 2 * self.radius + 2
        # farther than that nothing but zeros is seen, and a whole number must hold it
        limit = points.new_tensor([width + radius + 2., height + radius + 2.])
        points = torch.minimum(points.nan_to_num(0.).clamp(min=-radius - 2.), limit)
        first = points.floor()
        part = (points - first)[..., None, None, :]  # (B, S, N, 1, 1, 2)
        steps = torch.arange(side, device=points.device) - radius
        x = (first[..., 0].long()[..., None] + steps)[..., :, None]  # (B, S, N, side, 1)
        y = (first[..., 1].long()[..., None] + steps)[..., None, :]
        inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
        places = y.clamp(0, height - 1) * width + x.clamp(0, width - 1)
        if height * width <= CHEAP * side**2:
            volume = torch.einsum('bsnc,bshwc->bsnhw', tracks, level).flatten(3)
            products = volume.gather(-1, places.flatten(3))
        else:
            places = places + height * width * torch.arange(batch * frames, device=points.device).view(
                batch, frames, 1, 1, 1)
            found = F.embedding(places.flatten(3), level.reshape(-1, channels))  # (B, S, N, side^2, C)
            products = torch.einsum('bsnkc,bsnc->bsnk', found, tracks)
        products = products.unflatten(-1, (side, side)) * inside
        right, down = part[..., 0], part[..., 1]
        along_x = products[..., :-1, :] * (1 - right) + products[..., 1:, :] * right
        return (along_x[..., :-1] * (1 - down) + along_x[..., 1:] * down).flatten(-2)
