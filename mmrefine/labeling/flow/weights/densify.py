"""Labels grow: from verified pixels into neighbours that belong to the same thing."""
from __future__ import annotations

import math
from typing import List, Optional, Tuple

import torch
import torch.nn.functional as F
from torch import Tensor

from mmrefine.errors import ConfigError
from mmrefine.registry import DENSIFIERS
from mmrefine.structures import PairContext
from mmrefine.values import as_count, as_number

_NEIGHBOURS = [(dy, dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1) if (dy, dx) != (0, 0)]


@DENSIFIERS.register_module()
class EdgeAwareDensify:
    """Grow verified labels into their surroundings, pixel by pixel, up to the edges of the frame's picture.

    A layer of pixels at a time, each from its eight neighbours ``q`` that have a label by then, joint with the labelled
    frame ``I``::

        a(q) = w(q) fade^|p - q| exp(-(d(p, q) / color)^2)        d: root mean square over RGB of I(p) - I(q)
        m(p) = sum a f / sum a,   s(p)^2 = sum a |f - m|^2 / sum a
        w(p) = max a exp(-(s(p) / spread)^2)

    A pixel with ``w(p)`` below ``least`` stays empty and may be asked again when more of its neighbours have a label.
    After ``reach`` layers each grown weight is multiplied by ``exp(-(s / spread)^2)`` once more, now of all its
    neighbours: where two motions met in one colour, both sides lose their label rather than that one of them wins. So a
    weight falls with the length of the way, with each step of colour on it and with the disagreement of its sources,
    and lies below that of the verified pixel it came from; in one colour and one motion it is ``fade`` to the power of
    the way's length. Verified pixels keep flow and weight bit for bit.

    Ours, not Refine's (Sun et al. 2024): its abstract names a step "densify", its code has none for flow.

    Args:
        reach: number of layers, the farthest that a label grows, px (diagonal steps count as one).
        fade: share of the weight that is left after 1 px, in (0, 1).
        color: tolerance for a step of colour between neighbours, grey levels of 255, above 0; a step as large leaves
            0.37. Several times the noise of the camera.
        spread: tolerance for the disagreement of the sources, px, above 0; as much leaves 0.37.
        least: grown weights below are 0, in (0, 1).
        source: a pixel of more weight than this is verified, in [0, 1); above 0 for soft filters, which hardly give a
            pixel exactly 0. The others keep what they have unless what grows there weighs more.
        agree: px; the teacher's own motion at ``p`` must lie this close to ``m(p)``, and then it is the label. None: it
            is not asked, and ``m(p)`` is the label.
        fill: what happens where the teacher does not agree: True takes ``m(p)`` (an occlusion is filled from the side
            that goes with it), False gives no label.

    Raises:
        ConfigError: a value out of range, or ``fill=False`` without ``agree``.
    """

    def __init__(self,
                 reach: int = 16,
                 fade: float = 0.9,
                 color: float = 10.,
                 spread: float = 0.5,
                 least: float = 0.05,
                 source: float = 0.,
                 agree: Optional[float] = 1.,
                 fill: bool = False) -> None:
        name = 'EdgeAwareDensify'
        self.reach = as_count(f'{name}.reach', reach)
        self.color = as_number(f'{name}.color', color, '(0, inf)')
        self.spread = as_number(f'{name}.spread', spread, '(0, inf)')
        self.fade, self.least = as_number(f'{name}.fade', fade, '(0, 1)'), as_number(f'{name}.least', least, '(0, 1)')
        self.source, self.fill = as_number(f'{name}.source', source, '[0, 1)'), fill
        if agree is None and not fill:
            raise ConfigError(f'{name}.agree must be a distance in px unless {name}.fill is True, got None: nothing '
                              'could grow')
        self.agree = None if agree is None else as_number(f'{name}.agree', agree)

    def __call__(self, ctx: PairContext, weight: Tensor) -> Tuple[Tensor, Tensor]:
        """Flow ``(B, 2, H, W)`` px and weight ``(B, 1, H, W)`` of the grown label of ``ctx.flow_fw`` with
        ``weight``."""
        verified = weight > self.source
        grown = _Field(ctx, weight * verified, self.fade, self.color)
        self._grow(grown, verified)
        flow, w = grown.maps()
        raised = ~verified & (w > weight)
        return torch.where(raised, flow, ctx.flow_fw), torch.where(raised, w, weight)

    def _grow(self, field: '_Field', verified: Tensor) -> None:
        teacher = field.flow.clone()
        empty = F.pad(~verified, (1, 1, 1, 1))
        fresh = F.pad(verified, (1, 1, 1, 1))
        layers: List[Tensor] = []
        for _ in range(self.reach):
            # without a new neighbour the answer would be the same as before
            asked = (empty & _dilated(fresh)).view(-1).nonzero()[:, 0]
            mean, strongest, variance = field.ask(asked)
            w = strongest * torch.exp(-variance / self.spread**2)
            ok = w >= self.least
            if self.agree is not None:
                agrees = (teacher[asked] - mean).norm(dim=1) <= self.agree
                mean = torch.where(agrees[:, None], teacher[asked], mean)
                ok = ok & (agrees | self.fill)
            asked = asked[ok]
            if not len(asked):
                break
            # all of a layer at once, so that no order of the pixels shows
            field.flow[asked], field.weight[asked] = mean[ok], w[ok]
            empty.view(-1)[asked] = False
            fresh = torch.zeros_like(fresh)
            fresh.view(-1)[asked] = True
            layers.append(asked)
        if layers:
            grown = torch.cat(layers)
            w = field.weight[grown] * torch.exp(-field.ask(grown)[2] / self.spread**2)
            field.weight[grown] = w * (w >= self.least)


class _Field:
    """Labels of a batch as one line of pixels, each frame with a border of 1 px that has no weight: every pixel has 8
    neighbours.

    In double precision, so that what many neighbours say alike is said exactly.
    """

    def __init__(self, ctx: PairContext, weight: Tensor, fade: float, color: float) -> None:
        self.shape, self.dtype = weight.shape, ctx.flow_fw.dtype
        self.flow, self.weight, image = _line(ctx.flow_fw), _line(weight)[:, 0], 255 * _line(ctx.frames1)
        stride = weight.shape[-1] + 2
        self.offsets = torch.tensor([dy * stride + dx for dy, dx in _NEIGHBOURS], device=weight.device)
        # how much each pixel says to each of its neighbours, but for its weight; a roll runs over the border only,
        # which says nothing
        self.ties = [
            torch.exp(-(image.roll(offset, 0) - image).square().mean(dim=1) / color**2) * fade**math.hypot(dy, dx)
            for offset, (dy, dx) in zip(self.offsets.neg().tolist(), _NEIGHBOURS)
        ]

    def ask(self, pixels: Tensor) -> Tuple[Tensor, Tensor, Tensor]:
        """Of ``(N, )`` pixels the neighbours' mean motion ``(N, 2)`` px, greatest share and variance ``(N, )`` px^2
        around the mean."""
        shares = torch.stack([
            self.weight.index_select(0, pixels + offset) * tie.index_select(0, pixels)
            for offset, tie in zip(self.offsets, self.ties)
        ])
        total = shares.sum(dim=0).clamp(min=1e-30)  # no source: variance 0, and the strongest weighs 0
        # relative to the strongest neighbour: neighbours of one motion then have exactly that mean, and variance 0
        first = self.flow.index_select(0, pixels + self.offsets[shares.argmax(dim=0)])
        shift, square = torch.zeros_like(first), torch.zeros_like(total)
        for offset, share in zip(self.offsets, shares / total):
            difference = self.flow.index_select(0, pixels + offset) - first
            shift += share[:, None] * difference
            square += share * difference.square().sum(dim=1)
        return first + shift, shares.amax(dim=0), (square - shift.square().sum(dim=1)).clamp(min=0)

    def maps(self) -> Tuple[Tensor, Tensor]:
        """Flow ``(B, 2, H, W)`` and weight ``(B, 1, H, W)``."""
        b, _, h, w = self.shape
        flow, weight = (x.view(b, h + 2, w + 2, -1)[:, 1:-1, 1:-1].permute(0, 3, 1, 2)
                        for x in (self.flow, self.weight[:, None]))
        return flow.to(self.dtype), weight.to(self.dtype)


def _line(x: Tensor) -> Tensor:
    """``(B, C, H, W)`` with a border of zeros as ``(B (H + 2) (W + 2), C)`` in double precision."""
    return F.pad(x.double(), (1, 1, 1, 1)).permute(0, 2, 3, 1).reshape(-1, x.shape[1])


def _dilated(mask: Tensor) -> Tensor:
    return F.max_pool2d(mask.float(), 3, stride=1, padding=1) > 0
