"""The network that weighs passes."""
from __future__ import annotations

from typing import Iterator, Sequence, Tuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmrefine.geometry import backwarp, lengths, resize
from mmrefine.labeling.flow.verifier.evidence import CHANNELS, LITTLE, REGISTERED, Candidates, gather
from mmrefine.registry import MODELS
from mmrefine.structures import Verdict


@MODELS.register_module()
class PassVerifier(nn.Module):
    """Weighs the passes over a pair at each pixel, and says how wrong what comes of them is. Ours.

    The answer is a mean of candidates, with weights that add up to 1: of the passes, and of motions that are registered
    in the picture from what they come to (:func:`~mmrefine.geometry.register_locally`), each at the pixel and at
    neighbours around it, from which motion can be taken where the pixel itself is hidden. A network without training
    gives the answer of :class:`~mmrefine.labeling.Arbiter`, except for the little weight that registered motions start
    with.

    The same layers look at each candidate, so there may be any number of passes; what the others say comes in as the
    mean and the maximum over all. Beside the evidence (:func:`~mmrefine.labeling.flow.verifier.evidence.gather`) it has
    features of its own, that are compared where a motion leads. Nothing tells which network made the passes.

    Args:
        width: channels at half of the size and below.
        head: channels at full size.
        rings: distances px of the eight neighbours whose motion may be taken.
        features: channels in which the frames are compared, a multiple of 4.
    """
    _GROUPS = 4  # of features, each with its own dot product
    _LEAST = 0.05  # px; expected error of candidates that all agree, before training

    def __init__(self, width: int = 32, head: int = 24, rings: Sequence[int] = (2, 6, 18), features: int = 16) -> None:
        super().__init__()
        self.rings, self.head = tuple(rings), head
        seen = CHANNELS + self._GROUPS + 1
        self.encoder = nn.Sequential(_conv(3, features), _conv(features, features),
                                     nn.Conv2d(features, features, 3, padding=2, dilation=2))
        self.stem = _conv(4 * seen, width)  # of 2x2 px
        self.at_half = _conv(2 * width, width)
        self.at_quarter = _conv(2 * width, width, stride=2)
        self.at_eighth = _conv(2 * width, width, stride=2)
        self.wide = _conv(2 * width, width)
        self.up_quarter = _conv(3 * width, width)
        self.up_half = _conv(3 * width, width)
        self.seen = seen
        self.full = _conv(width + seen, head)
        self.logits = nn.Conv2d(head, 1 + 8 * len(self.rings), 3, padding=1)
        self.doubt = nn.Conv2d(head, 2, 3, padding=1)
        for parameter in (self.logits.weight, *self.doubt.parameters()):
            nn.init.zeros_(parameter)
        # neighbours begin with next to nothing
        self.logits.bias = nn.Parameter(torch.tensor([0.] + [-6.] * 8 * len(self.rings)))

    def forward(self, frames1: Tensor, frames2: Tensor, passes: Tensor, traits: Tensor, start: Tensor,
                shares: Tensor) -> Verdict:
        """What the passes come to; see :class:`~mmrefine.structures.PassJudge`."""
        with torch.no_grad():
            found = gather(frames1, frames2, passes, traits, start, shares)
        if torch.is_grad_enabled():
            return Verdict(*self._weigh(frames1, frames2, found), start)
        # image by image: a whole batch would hold all of its features at once
        parts = zip(*(self._weigh(frames1[at], frames2[at], found.of(at))
                      for at in (slice(i, i + 1) for i in range(len(frames1)))))
        motion, weights, error, sure = (torch.cat(part, dim=int(place == 1)) for place, part in enumerate(parts))
        return Verdict(motion, weights, error, sure, start)

    def values_per_pixel(self, passes: int = 4) -> int:
        """How many numbers are held of each pixel at once for so many passes, about, without gradients."""
        return (passes + len(REGISTERED)) * (2 * CHANNELS + 2 * self.seen + self.head + 3 * (1 + 8 * len(self.rings)))

    def _weigh(self, frames1: Tensor, frames2: Tensor, found: Candidates) -> Tuple[Tensor, Tensor, Tensor, Tensor]:
        """Motion, shares, expected error and how sure it is, of some images."""
        count = len(found.motions)
        seen = torch.cat([found.evidence.flatten(0, 1), self._compared(frames1, frames2, found.motions)], dim=1)
        logits, inner = self._read(seen, count)
        logits = logits + found.shares.clamp(min=LITTLE).log()  # (K, B, 1 + 8 rings, H, W)
        weights = logits.transpose(1, 2).flatten(0, 1).softmax(dim=0).unflatten(0, (count, -1)).transpose(1, 2)
        motion = torch.zeros_like(found.start)
        # split, and not sliced: the gradient of a slice is as large as the whole
        for weight, moved in zip(weights.split(1, dim=2), _neighbours(found.motions, self.rings)):
            motion = motion + (weight * moved).sum(dim=0)
        shares = weights.sum(dim=2, keepdim=True)
        doubt = self.doubt((shares * inner.unflatten(0, (count, -1))).sum(dim=0))
        # the error is told as a multiple of how far the candidates are from what they come to
        spread = (shares * lengths(found.motions - motion, 2)).detach().sum(dim=0) + self._LEAST
        return motion.masked_fill(found.start.isnan(), float('nan')), shares, spread * doubt[:, :1].exp(), doubt[:, 1:]

    def _compared(self, frames1: Tensor, frames2: Tensor, motions: Tensor) -> Tensor:
        """How alike the features of both frames are where each motion leads: ``(K 2 B, groups + 1, H, W)``."""
        count = len(motions)
        one, two = (F.normalize(self.encoder(frames - 0.5), dim=1).repeat(count, 1, 1, 1)
                    for frames in (frames1, frames2))
        there = backwarp(two, motions.flatten(0, 1))
        products = 2 * (one * there).unflatten(1, (self._GROUPS, -1)).sum(dim=2)
        return torch.cat([products, (one - there).abs().sum(dim=1, keepdim=True)], dim=1)

    def _read(self, seen: Tensor, count: int) -> Tuple[Tensor, Tensor]:
        """Logits of all candidates and places, ``(K, 2 B, 1 + 8 rings, H, W)``, and what they were read from."""

        def shared(image: Tensor) -> Tensor:
            mean = image.unflatten(0, (count, -1)).mean(dim=0, keepdim=True)
            return torch.cat([image, mean.expand(count, *mean.shape[1:]).flatten(0, 1)], dim=1)

        def like(image: Tensor, other: Tensor) -> Tensor:
            return resize(image, (other.shape[-2], other.shape[-1]))

        even = F.pad(seen, [0, seen.shape[-1] % 2, 0, seen.shape[-2] % 2], mode='replicate')
        half = self.at_half(shared(self.stem(F.pixel_unshuffle(even, 2))))
        quarter = self.at_quarter(shared(half))
        eighth = self.at_eighth(shared(quarter))
        wide = self.wide(shared(eighth))
        quarter = self.up_quarter(torch.cat([like(wide, quarter), quarter, like(eighth, quarter)], dim=1))
        best = quarter.unflatten(0, (count, -1)).amax(dim=0, keepdim=True)
        best = best.expand(count, *best.shape[1:]).flatten(0, 1)
        half = self.up_half(torch.cat([like(quarter, half), half, like(best, half)], dim=1))
        full = like(half, even)[..., :seen.shape[-2], :seen.shape[-1]]
        inner = self.full(torch.cat([full, seen], dim=1))
        return self.logits(inner).unflatten(0, (count, -1)), inner


def _conv(channels: int, out: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(channels, out, 3, stride, padding=1), nn.ReLU())


def _neighbours(motions: Tensor, rings: Sequence[int]) -> Iterator[Tensor]:
    """The motions of the pixel itself, then of the eight around it at each distance; the border repeats."""
    yield motions
    height, width = motions.shape[-2:]
    for ring in rings:
        wider = F.pad(motions.flatten(0, 1), [ring] * 4, mode='replicate').unflatten(0, motions.shape[:2])
        for top in (0, ring, 2 * ring):
            for left in (0, ring, 2 * ring):
                if (top, left) != (ring, ring):
                    yield wider[..., top:top + height, left:left + width]
