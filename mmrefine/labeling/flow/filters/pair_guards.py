"""Filters that judge a pair as a whole: from some pairs nothing can be learned, whatever a single pixel says."""
from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from mmrefine.geometry import backwarp, box_mean, lands_inside, luma
from mmrefine.geometry.stillness import STILL_MOTION, STILL_SHARE, moving_share
from mmrefine.registry import FILTERS
from mmrefine.structures import Guard, PairContext
from mmrefine.values import as_number


class PairGuard(ABC):
    """A filter that gives every pixel of a pair 1, or every pixel 0.

    The labeler notes which pairs it lets pass as ``passed_<class name>`` in the statistics of a label, and lifts no
    pixel of a refused pair to its ``floor``.

    ``tells_shots`` says whether neither frame of a refused pair tells anything of the other. Such a guard is asked
    about the third frame of a :class:`~mmrefine.labeling.CompositeFilter` and the steps of a
    :class:`~mmrefine.labeling.ComposedView`, too, which do without what it refuses; it judges by the frames and
    ``flow_fw`` alone, since a third frame is not asked for the way back.
    """
    tells_shots = False

    @abstractmethod
    def passes(self, ctx: PairContext) -> Tensor:
        """Which pairs may become labels: bool ``(B,)``."""

    def __call__(self, ctx: PairContext) -> Tensor:
        """Weight ``(B, 1, H, W)``, 0 or 1, the same all over a pair."""
        weight = torch.ones_like(ctx.flow_fw[:, :1])
        return weight * self.passes(ctx).view(-1, 1, 1, 1)


def all_pass(guards: Sequence[Guard], ctx: PairContext) -> Tensor:
    """Which pairs every one of some guards lets pass: bool ``(B,)``."""
    passed = torch.ones(len(ctx.frames1), dtype=torch.bool, device=ctx.frames1.device)
    for guard in guards:
        passed = passed & guard.passes(ctx)
    return passed


@FILTERS.register_module()
class StillPairGuard(PairGuard):
    """Refuse a pair in which nothing moves: a student learns nothing from it but to stand still.

    Refused if less than ``share`` of the pixels move by at least ``least_motion``. One thing that moves before a still
    background is enough to pass.

    Args:
        least_motion: px, above 0.
        share: of the pixels of the frame, in (0, 1].

    Raises:
        ConfigError: a value out of range.
    """

    def __init__(self, least_motion: float = STILL_MOTION, share: float = STILL_SHARE) -> None:
        self.least_motion = as_number('StillPairGuard.least_motion', least_motion, '(0, inf)',
                                      ' px: with 0 every pair would pass; drop the filter instead')
        self.share = as_number('StillPairGuard.share', share, '(0, 1]')

    def passes(self, ctx: PairContext) -> Tensor:
        """Which pairs move: bool ``(B,)``."""
        return moving_share(ctx.flow_fw, self.least_motion) >= self.share


@FILTERS.register_module()
class DuplicateFrameGuard(PairGuard):
    """Refuse a pair whose second frame is the first once more, be it compressed again: its motion is 0 although the
    camera moved.

    Refused if the mean brightness of no 8x8 block changes by ``tolerance`` or more. Compression hardly touches the
    means of blocks, while whatever moves changes some; frames are compared where they are, without motion.

    Args:
        tolerance: grey levels of 255, above 0. JPEG at quality 75 changes a block by up to 2.5, half a pixel of motion
            in a real video some block by 20.

    Raises:
        ConfigError: a tolerance that is not above 0.
    """

    BLOCK = 8  # px; that of JPEG

    def __init__(self, tolerance: float = 3.) -> None:
        self.tolerance = as_number('DuplicateFrameGuard.tolerance', tolerance, '(0, inf)',
                                   ' grey levels: with 0 every pair would pass; drop the filter instead')

    def passes(self, ctx: PairContext) -> Tensor:
        """Which pairs have two frames: bool ``(B,)``."""
        block = [min(self.BLOCK, side) for side in ctx.frames1.shape[-2:]]
        means = F.avg_pool2d(luma(ctx.frames2) - luma(ctx.frames1), block, stride=block)
        return means.abs().flatten(1).amax(dim=1) >= self.tolerance


@FILTERS.register_module()
class CutGuard(PairGuard):
    """Refuse a pair of two different shots: its motion explains nothing. So it does with frames beside the pair
    (``tells_shots``).

    Refused if the structure of frame 1 and that of frame 2 seen along the motion correlate by less than ``least``:
    ``r = (sum h1 h2 + N n^2) / sqrt((sum h1^2 + N n^2) (sum h2^2 + N n^2))`` over the N pixels that land inside, ``h``
    the brightness less its mean over 15x15 px, ``n`` 2 grey levels of noise, so that two flat frames are not a cut.
    Light and fades are in the mean and in the scale, which do not count.

    Args:
        least: correlation in [0, 1]. Real pairs with RAFT's motion have 0.75 and more, cuts between them less than
            0.05.

    Raises:
        ConfigError: a correlation out of range.
    """

    tells_shots = True
    RADIUS, NOISE = 7, 2.  # px, grey levels

    def __init__(self, least: float = 0.3) -> None:
        self.least = as_number('CutGuard.least', least, '[0, 1]')

    def passes(self, ctx: PairContext) -> Tensor:
        """Which pairs are one shot: bool ``(B,)``; not one of which nothing lands inside."""
        inside = lands_inside(ctx.flow_fw)
        one, two = (grey - box_mean(grey, self.RADIUS) for grey in map(luma, (ctx.frames1, ctx.frames2)))
        two = backwarp(two, ctx.flow_fw)

        def total(product: Tensor) -> Tensor:
            return ((product.double() + self.NOISE**2) * inside).sum(dim=(1, 2, 3))

        correlation = total(one * two) / (total(one**2) * total(two**2)).sqrt().clamp(min=1e-9)
        return (correlation >= self.least) & inside.flatten(1).any(dim=1)


@FILTERS.register_module()
class ExposureJumpGuard(PairGuard):
    """Refuse a pair between whose frames the light jumps: a flash, or an exposure that adapts too fast. So it does with
    frames beside the pair (``tells_shots``).

    Refused if ``max(g, 1 / g) > max_gain``, ``g`` the median over the pixels that land inside of
    ``(Y2 + 1) / (Y1 + 1)``, with the brightness Y in grey levels of 255; the 1 is for black. Light that changes on less
    than half of the frame does not count. A pair of which nothing lands inside passes: it has no weight to lose.

    Args:
        max_gain: above 1; 1.25 is a third of a stop.

    Raises:
        ConfigError: a gain that is not above 1.
    """
    tells_shots = True

    def __init__(self, max_gain: float = 1.25) -> None:
        self.max_gain = as_number('ExposureJumpGuard.max_gain', max_gain, '(1, inf)')

    def passes(self, ctx: PairContext) -> Tensor:
        """Which pairs are taken in the same light: bool ``(B,)``."""
        inside = lands_inside(ctx.flow_fw)
        ratios = (luma(backwarp(ctx.frames2, ctx.flow_fw)) + 1) / (luma(ctx.frames1) + 1)
        gains = torch.stack([r[i].median() if bool(i.any()) else r.new_ones(()) for r, i in zip(ratios, inside)])
        return torch.maximum(gains, 1 / gains) <= self.max_gain
