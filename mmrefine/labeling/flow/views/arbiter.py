"""What several passes over the same pair come to together, pixel by pixel and without truth."""
from __future__ import annotations

from dataclasses import dataclass
from typing import Optional, Sequence, Tuple

import torch
from torch import Tensor

from mmrefine.geometry import box_mean, census_residual, cycle_error
from mmrefine.values import as_count, as_number


@dataclass(frozen=True)
class Arbiter:
    """The weighted geometric median of what several passes saw: ``argmin_m sum_k w_k(p) |f_k(p) - m|``.

    Where most passes agree the answer is with them, however far off another one is; where each is off a little to
    another side it lies between them and is better than any. How much a pass counts is what speaks for it::

        w_k(p) = (r / r_k)^trust  exp(-picture (c_k(p) - c(p)))

    For the whole pair, ``r_k`` is the median cycle error of pass k, both directions at once, over the pixels that land
    inside the frame, and ``r`` the least of them: motion that goes astray does not come back. Of a single pixel the
    cycle error says too little; it prefers the smoother motion, and what is wrong both ways comes back. For the pixel,
    ``c_k`` is the mean over a window of :func:`~mmrefine.geometry.census_residual`, and ``c`` the least of them: does
    the motion explain the picture? A pixel that leaves the frame with any of the passes has no say in that; where a
    pass knows no motion, the others are compared without it. Ours, not the paper's.

    Where several networks made the passes, ``r`` is the least of those of the same network, and each network has a
    further factor, for the pair: the same two terms of its best pass against the best of all, the second one of the
    mean over the whole frame. In the first of them round trips shorter than 0.5 px do not differ: a network that sees
    no motion at all always comes back.

    Args:
        trust: power of the ratio of cycle errors, no unit, at least 0; 0 does without.
        picture: per share of the comparisons of the census, at least 0; 0 does without.
        radius: of the window, which has ``2 radius + 1`` px on a side.

    Raises:
        ConfigError: a value out of range.
    """
    trust: float = 3.
    picture: float = 30.
    radius: int = 16

    # px; median round trips that are shorter than this do not differ
    STILL = 0.02
    # px; the same between the passes of different networks
    ALIKE = 0.5
    # px; motions that are closer than this agree, and their mean counts
    AGREE = 0.5

    def __post_init__(self) -> None:
        as_number('ArbitratedView.trust', self.trust)
        as_number('ArbitratedView.picture', self.picture)
        as_count('ArbitratedView.radius', self.radius)

    def settle(self,
               frames1: Tensor,
               frames2: Tensor,
               motions: Tensor,
               belief: Optional[Tensor] = None,
               makers: Optional[Sequence[int]] = None) -> Tuple[Tensor, Tensor]:
        """What the passes come to.

        Args:
            frames1: ``(2 B, 3, H, W)`` RGB in [0, 1]: the first frames of B pairs, then the second frames.
            frames2: the second frames, then the first.
            motions: ``(K, 2 B, 2, H, W)`` px of the frames, forward, then backward, as each of K passes saw them.
            belief: ``(K, 2 B, 1, H, W)``, not negative: a further factor of the weight of each pass; None: 1.
            makers: for each pass which network made it, a number; None: the same one all.

        Returns:
            the motion ``(2 B, 2, H, W)`` px, nan where no pass is finite; and the share that each pass has in it,
            ``(K, 2 B, 1, H, W)`` in [0, 1], which add up to 1: the motion is the mean of the passes with these shares.
        """
        finite = motions.isfinite().all(dim=2, keepdim=True)
        maker = torch.tensor(makers or [0] * len(motions), device=motions.device)
        own = maker[:, None] == maker
        pictures = self._by_the_picture(frames1, frames2, motions, own, finite)
        weights = self._by_round_trips(motions, own) * pictures * finite
        weights = weights if belief is None else weights * belief
        median, shares = geometric_median(motions.masked_fill(~finite, 0.), weights, self.AGREE)
        return median.masked_fill(~finite.any(dim=0), float('nan')), shares

    def _by_round_trips(self, motions: Tensor, own: Tensor) -> Tensor:
        medians = torch.stack([median_round_trip(motion) for motion in motions]).clamp(min=self.STILL)
        best = torch.stack([medians[some].amin(dim=0) for some in own])
        alike = best.clamp(min=self.ALIKE)
        # nobody comes back at all: inf / inf
        within, between = ((least / trips).nan_to_num(nan=1.) for least, trips in (
            (best, medians), (alike.amin(dim=0), alike)))
        return (within * between).pow(self.trust)

    def _by_the_picture(self, frames1: Tensor, frames2: Tensor, motions: Tensor, own: Tensor, known: Tensor) -> Tensor:
        if self.picture == 0:
            return torch.ones_like(motions[:, :, :1])
        residuals = torch.stack([census_residual(frames1, frames2, motion) for motion in motions])
        compared = (residuals.isfinite() | ~known).all(dim=0) & known.any(dim=0)
        # where a pass knows no motion, nothing speaks against it
        least = residuals.masked_fill(~known, float('inf')).amin(dim=0)
        residuals = torch.where(known, residuals, least).masked_fill(~compared, 0.)
        means = torch.stack([box_mean(residual, self.radius) for residual in residuals])
        whole = residuals.sum(dim=(2, 3, 4), keepdim=True) / compared.sum(dim=(1, 2, 3)).clamp(min=1).view(-1, 1, 1, 1)
        best = torch.stack([whole[some].amin(dim=0) for some in own])
        return torch.exp(-self.picture * ((means - means.amin(dim=0)) + (best - best.amin(dim=0))))


def geometric_median(points: Tensor, weights: Tensor, soft: float, steps: int = 8) -> Tuple[Tensor, Tensor]:
    """``argmin_m sum_k w_k sqrt(|x_k - m|^2 + soft^2)`` at each pixel, by Weiszfeld's iteration from the weighted mean.

    Args:
        points: ``(K, B, C, H, W)``, finite.
        weights: ``(K, B, 1, H, W)``, not negative; where all are 0 every point counts alike.
        soft: in the unit of the points, above 0; nearer than this they are one point, and their mean counts.
        steps: of the iteration, at least 1.

    Returns:
        ``(B, C, H, W)``, and the share of each point in it, ``(K, B, 1, H, W)``: the answer is their mean with these
        shares.
    """
    weights = torch.where(weights.sum(dim=0) > 0, weights, torch.ones_like(weights))
    shares = weights / weights.sum(dim=0)
    for _ in range(steps):
        distance = (points - (shares * points).sum(dim=0)).pow(2).sum(dim=2, keepdim=True).add(soft**2).sqrt()
        pull = weights / distance
        shares = pull / pull.sum(dim=0)
    return (shares * points).sum(dim=0), shares


def median_round_trip(both: Tensor) -> Tensor:
    """The median cycle error of each pair, over the pixels of both directions that land inside the frame.

    Args:
        both: ``(2 B, 2, H, W)`` px, forward motion of B pairs, then backward.

    Returns:
        ``(2 B, 1, 1, 1)`` px, once for each direction; the lower one of two; ``inf`` where no pixel lands inside.
    """
    count = len(both) // 2
    errors = cycle_error(both, both.roll(count, dims=0))
    medians = both.new_full((count, ), float('inf'))
    for i in range(count):
        inside = errors[i::count]
        inside = inside[inside.isfinite()]
        if inside.numel():
            medians[i] = inside.median()
    return medians.repeat(2).view(-1, 1, 1, 1)
