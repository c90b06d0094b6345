"""Which of several looks at a pair is right, pixel by pixel and without truth."""
from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from mmrefine.errors import ConfigError
from mmrefine.geometry import box_mean, census_residual, cycle_error, lands_inside, luma

from .filters import check_radius, check_tolerances


@dataclass(frozen=True)
class Arbiter:
    """Decides between the motion that is held so far and a finer look that challenges it.

    Two questions. For the whole pair, both directions at once: do the round trips get shorter? ::

        r = median cycle error of the challenger / median cycle error of what is held

    over the pixels that land inside the frame with both (:func:`round_trip_ratio`). Beyond ``refuse`` the pair keeps what it has; beyond
    ``trust`` already where a larger size has nothing more to show, :func:`fine_detail` of both frames below ``detail``. Of a single pixel
    the cycle error says too little: it prefers the smoother motion, and what is wrong both ways comes back.

    For each pixel: does the challenger explain the picture? It is taken where ::

        mean_window( c(challenger) - c(held) ) < lead(p)

    with ``c`` of :func:`~mmrefine.geometry.census_residual`; a pixel that leaves the frame with either of the two has no say and goes
    with its surroundings. Then the majority in the window decides, so that motion changes in whole patches and is not torn. ``lead(p)``
    is what a finer look may explain worse, as a rule ``lead``, but 0 where it has not earned it: ``r`` is above ``trust``, and the motion
    of either is above ``reach`` px of the challenger's size, more than the search of the network spans at once; and for a look that is
    no finer. At last a challenger that loses more than ``1 - least`` of the pixels of a direction loses them all. Ours, not the paper's.

    Args:
        lead: share of the comparisons of the census, in [0, 1].
        trust: ratio of the cycle errors, above 0.
        refuse: ratio of the cycle errors, at least ``trust``.
        reach: px of the challenger's own size; three cells of 8 px are what RAFT-small searches on its finest level.
        radius: of the window of the decision, which has ``2 radius + 1`` px on a side.
        least: share of the pixels of a direction, in [0, 1).
        detail: no unit; frames that were enlarged three times have 0.5 to 0.7, frames of real video 1 and more.

    Raises:
        ConfigError: a value out of range.
    """
    lead: float = 0.1
    trust: float = 0.6
    refuse: float = 1.
    reach: float = 24.
    radius: int = 12
    least: float = 0.25
    detail: float = 0.7

    # px; round trips that are shorter than this on the whole do not differ
    STILL = 0.02

    def __post_init__(self) -> None:
        name = 'ArbitratedView'
        check_tolerances(name, lead=self.lead, trust=self.trust, refuse=self.refuse, reach=self.reach, detail=self.detail)
        check_radius(name, self.radius)
        if not 0 < self.trust <= self.refuse:
            raise ConfigError(f'{name}.trust must be above 0 and at most refuse={self.refuse!r}, got {self.trust!r}')
        if not 0 <= self.least < 1:
            raise ConfigError(f'{name}.least must be a share in [0, 1), got {self.least!r}')

    def prefers(self, frames1: Tensor, frames2: Tensor, held: Tensor, challenger: Tensor, scale: float, finer: bool = True) -> Tensor:
        """Where the challenger is taken.

        Args:
            frames1: ``(2 B, 3, H, W)`` RGB in [0, 1]: the first frames of B pairs, then the second frames.
            frames2: the second frames, then the first.
            held: ``(2 B, 2, H, W)`` px of the frames, forward motion, then backward.
            challenger: the same shape.
            scale: size at which the challenger was seen, as a factor of the frames'.
            finer: whether that is more than what is held was seen at.

        Returns:
            bool ``(2 B, 1, H, W)``.
        """
        gain = round_trip_ratio(held, challenger, self.STILL)
        both_inside = lands_inside(held) & lands_inside(challenger)
        worse = census_residual(frames1, frames2, challenger) - census_residual(frames1, frames2, held)
        worse = box_mean(torch.where(both_inside & worse.isfinite(), worse, torch.zeros_like(worse)), self.radius)
        lead = self.lead if finer else 0.
        speed = torch.maximum(*(flow.norm(dim=1, keepdim=True) for flow in (held, challenger)))
        doubted = (gain > self.trust) & (scale * speed > self.reach)
        # strictly: where nobody has a say, a look that is doubted does not win
        detail = fine_detail(frames1)
        sharp = (detail + reversed_ways(detail)) / 2 >= self.detail
        earned = (gain <= self.trust) | (sharp & (gain <= self.refuse))
        taken = (worse < lead * ~doubted) & earned
        # where it is a close call, the window's mean still changes its sign from pixel to pixel
        taken = box_mean(taken.to(worse.dtype), self.radius) > 0.5
        return taken & (taken.to(worse.dtype).mean(dim=(1, 2, 3), keepdim=True) >= self.least)


def round_trip_ratio(held: Tensor, challenger: Tensor, still: float = 0.02) -> Tensor:
    """How much longer the round trips of each pair get from ``held`` to ``challenger``.

    Args:
        held: ``(2 B, 2, H, W)`` px, forward motion of B pairs, then backward.
        challenger: the same shape.
        still: px; a median below counts as this much.

    Returns:
        ``(2 B, 1, 1, 1)``, the ratio of the median cycle errors of both directions over the pixels that land inside with both, once for
        each direction; 1 is no change, ``inf`` where no pixel does or the challenger is not finite.
    """
    one, two = (cycle_error(flow, reversed_ways(flow)) for flow in (held, challenger))
    judged = one.isfinite() & two.isfinite()
    count = len(held) // 2
    ratios = held.new_full((count, ), float('inf'))
    for i in range(count):
        its = judged[i::count]
        if bool(its.any()):
            ratios[i] = two[i::count][its].median().clamp(min=still) / one[i::count][its].median().clamp(min=still)
    return ratios.repeat(2).view(-1, 1, 1, 1)


def fine_detail(frames: Tensor) -> Tensor:
    """How abruptly the brightness changes, from one pixel to the next: the mean second difference over the mean first difference.

    Differences along both axes, absolute. 1.7 for noise that differs from pixel to pixel, about 1 for edges one pixel wide, less the
    more the frame was blurred or enlarged.

    Args:
        frames: ``(B, 3, H, W)`` RGB in [0, 1].

    Returns:
        ``(B, 1, 1, 1)``, no unit; 0 for a frame of one colour.
    """
    grey = luma(frames)
    first = second = torch.zeros_like(grey[:, :, :1, :1])
    for dim in (-2, -1):
        slope = grey.diff(dim=dim)
        first = first + slope.abs().mean(dim=(2, 3), keepdim=True)
        if grey.shape[dim] > 2:
            second = second + slope.diff(dim=dim).abs().mean(dim=(2, 3), keepdim=True)
    # a hundredth of a grey level: rounding is no detail
    return second / first.clamp(min=0.01)


def reversed_ways(both: Tensor) -> Tensor:
    """A batch of both directions, forward then backward, turned round: ``(2 B, ...)`` as given."""
    return both.roll(len(both) // 2, dims=0)
