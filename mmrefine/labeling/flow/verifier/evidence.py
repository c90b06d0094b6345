"""What speaks for and against each of several motions of the same pair, pixel by pixel."""
from __future__ import annotations

from typing import Any, Dict, List, NamedTuple, Tuple

import torch
import torch.nn.functional as F
from torch import Tensor

from mmrefine.geometry import (backwarp, box_mean, census_residual, cycle_error, lands_inside, lengths, luma,
                               register_locally)
from mmrefine.labeling.flow.views.arbiter import Arbiter, median_round_trip

# what motion is measured by in the picture itself, from the arbiter's answer: a small window, and a larger one
REGISTERED: Tuple[Dict[str, Any], ...] = (dict(radius=3, steps=2, damping=2.5), dict(radius=6, steps=3, damping=1.4))
CHANNELS = 18 + len(REGISTERED)

_FAR = 20.  # px; round trips that are longer do not differ
LITTLE = 1e-4  # share of a pass from which on it does not matter how small it is
_FIRST_SHARE = 0.05  # of a registered motion, before the network has its say


class Candidates(NamedTuple):
    """Motions of which one is to be chosen at each pixel, and what is known of each.

    Args:
        motions: ``(K, 2 B, 2, H, W)`` px, forward motion of B pairs, then backward: the passes, then the registered
            ones.
        shares: ``(K, 2 B, 1, H, W)`` in [0, 1], where a choice may start: those of the arbiter, and a little of the
            registered ones.
        start: ``(2 B, 2, H, W)`` px, what the arbiter makes of the passes.
        evidence: ``(K, 2 B, CHANNELS, H, W)``, no unit; the first two are vectors (x, y).
    """
    motions: Tensor
    shares: Tensor
    start: Tensor
    evidence: Tensor

    def of(self, images: slice) -> Candidates:
        """The same of some images of the batch."""
        return Candidates(self.motions[:, images], self.shares[:, images], self.start[images],
                          self.evidence[:, images])


def gather(frames1: Tensor, frames2: Tensor, passes: Tensor, traits: Tensor, start: Tensor,
           shares: Tensor) -> Candidates:
    """The passes over pairs, and motions that are registered from what they come to, with the evidence on each.

    Evidence knows nothing of the network that made the passes: how far a motion is from the arbiter's answer; its round
    trip, for the pixel and for the pair; how well it explains the picture, by census at the pixel and around it,
    against the best of the candidates, and by colours; how long and how smooth it is, and whether it stays in the
    frame; the texture of the frame and how far the candidates are apart; how the pass was made.

    Args:
        frames1: ``(2 B, 3, H, W)`` RGB in [0, 1]: the first frames of B pairs, then the second frames.
        frames2: the second frames, then the first.
        passes: ``(P, 2 B, 2, H, W)`` px; may be nan or infinite, which has no say.
        traits: ``(P, 2)``: log2 of the scale of each pass, and 1 for mirrored frames, else 0.
        start: ``(2 B, 2, H, W)`` px, what the arbiter makes of them; nan where no pass is finite.
        shares: ``(P, 2 B, 1, H, W)`` in [0, 1], of each pass in that.
    """
    # what is nan in all passes stays nan in the start, and in what comes of it
    anchor = start.nan_to_num(nan=0.)
    passes = torch.where(passes.isfinite().all(dim=2, keepdim=True), passes, anchor)
    registered = torch.stack([register_locally(frames1, frames2, anchor, **settings) for settings in REGISTERED])
    motions = torch.cat([passes, registered])
    shares = torch.cat([shares, torch.full_like(registered[:, :, :1], _FIRST_SHARE)])
    kinds = F.pad(traits, [0, len(REGISTERED), 0, len(REGISTERED)])
    kinds[len(passes):, 2:] = torch.eye(len(REGISTERED))
    evidence = torch.cat([
        *_place(motions, anchor), *_round_trips(motions), *_picture(frames1, frames2, motions),
        _texture(frames1, motions),
        shares.clamp(min=LITTLE).log() / 4,
        kinds[:, None, :, None, None].expand(-1, motions.shape[1], -1, *motions.shape[3:])
    ], dim=2)
    return Candidates(motions, shares, start, evidence)


def _place(motions: Tensor, anchor: Tensor) -> List[Tensor]:
    """Where each motion is among the others, how long and how smooth it is: 6 channels."""
    apart = motions - anchor
    spread = lengths(motions - motions.mean(dim=0), 2).mean(dim=0).expand_as(motions[:, :, :1])
    right = F.pad(lengths(motions[..., 1:] - motions[..., :-1], 2), [0, 1])
    below = F.pad(lengths(motions[..., 1:, :] - motions[..., :-1, :], 2), [0, 0, 0, 1])
    return [apart.sign() * torch.log1p(2 * apart.abs()), torch.log1p(4 * lengths(apart, 2)), torch.log1p(4 * spread),
            torch.log1p(lengths(motions, 2)) / 2, torch.log1p(right + below)]


def _round_trips(motions: Tensor) -> List[Tensor]:
    """The cycle error of the pixel, whether it lands inside, and the median round trip of the pair against the least:
    3 channels."""
    pairs = motions.shape[1] // 2
    trips = torch.stack([cycle_error(motion, motion.roll(pairs, dims=0)) for motion in motions])
    inside = torch.stack([lands_inside(motion) for motion in motions]).to(motions)
    medians = torch.stack([median_round_trip(motion) for motion in motions]).clamp(Arbiter.STILL, _FAR)
    against = (medians / medians.amin(dim=0)).log().expand_as(trips)
    return [torch.log1p(4 * trips.nan_to_num(nan=_FAR).clamp(max=_FAR)), inside, against]


def _picture(frames1: Tensor, frames2: Tensor, motions: Tensor) -> List[Tensor]:
    """How well each motion explains the picture: census of the pixel, and against the best candidate the same, its
    mean over a small and over a large window; and the difference of colours: 5 channels."""
    census = torch.stack([census_residual(frames1, frames2, motion) for motion in motions])
    compared = census.isfinite()
    everywhere = compared.all(dim=0)
    census = census.masked_fill(~compared, 0.5)
    means = [torch.stack([box_mean(one.masked_fill(~everywhere, 0.), radius) for one in census]) for radius in (4, 16)]
    weak, small, large = (factor * (part - part.amin(dim=0)) for factor, part in zip((8, 20, 30), (census, *means)))
    colors = torch.stack([(backwarp(frames2, motion) - frames1).abs().mean(dim=1, keepdim=True) for motion in motions])
    return [4 * census, weak, small, large, (10 * colors).clamp(max=5)]


def _texture(frames1: Tensor, motions: Tensor) -> Tensor:
    """How much the brightness varies around the pixel: 1 channel."""
    grey = luma(frames1)
    return 20 * box_mean((grey - box_mean(grey, 2)).abs(), 2).expand_as(motions[:, :, :1])
