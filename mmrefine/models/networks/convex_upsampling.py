"""RAFT-small with the convex upsampling of RAFT, which begins as the bilinear enlargement that it replaces."""
from __future__ import annotations

from typing import Any, Dict, Optional

import torch
import torch.nn.functional as F
from mmflow.models.decoders.raft_decoder import RAFTDecoder, XHead
from torch import Tensor

from mmrefine.errors import ConfigError
from mmrefine.registry import MODELS

_CHANNELS = 128  # of the hidden layer of the head
# Of what the head says, which mmflow divides by four: at the rates of a refinement it then learns within 300 steps.
_GAIN = 8.
# Added to the share of each neighbour at the start, or one that has none would never get any.
_FLOOR = 0.02
_SEED = 0  # of the hidden layer: whatever the seed of a run, its teacher is the same network, and labels stay valid


@MODELS.register_module()
class ConvexUpsamplingDecoder(RAFTDecoder):
    """The decoder of RAFT-small, each pixel of its flow a learned mixture of the nine nearest cells.

    RAFT-small estimates one motion for each cell of 8 px and enlarges that map bilinearly, so a border becomes a ramp
    however long it is trained. RAFT itself learns which cells a pixel belongs to (Teed & Deng, RAFT, ECCV 2020, 3.3).
    Here a head on the hidden state says by how much the shares of the cells differ from bilinear ones, at first by
    nothing: with weights of a RAFT-small, which have no such head, the flow is that of RAFT-small, and refinement
    teaches the rest. Shares add up to one, but are not quite convex: a cell without a share must be able to get one, so
    15 % of the bilinear shares stay whatever the head says. A share lies between -0.017 and 1.136, and a pixel goes
    beyond its nine cells by at most 14 % of their range.

    Args:
        args, kwargs: see mmflow's ``RAFTDecoder``, ``net_type='Small'``.

    Raises:
        ConfigError: another ``net_type``; the large RAFT has learned upsampling of its own.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.net_type != 'Small':
            raise ConfigError(f"ConvexUpsamplingDecoder: net_type is {self.net_type!r}, and only 'Small' lacks learned "
                              'upsampling; take RAFTDecoder')
        self.cell = 2**(self.num_levels - 1)  # px
        self.mask_pred = XHead(self.h_channels, [_CHANNELS], 9 * self.cell**2, x='mask')
        self.mask_pred.load_state_dict(self.bilinear_head())

    def bilinear_head(self) -> Dict[str, Tensor]:
        """Weights of the head ``mask_pred`` with which the flow is enlarged bilinearly, the same each time."""
        state = {name: torch.zeros_like(value, device='cpu') for name, value in self.mask_pred.state_dict().items()}
        hidden = state['layers.0.conv.weight']  # its answers must not all be the same
        bound = (6 / hidden[0].numel())**0.5  # as Kaiming draws them
        hidden.uniform_(-bound, bound, generator=torch.Generator().manual_seed(_SEED))
        return state

    def _upsample(self, flow: Tensor, mask: Optional[Tensor] = None) -> Tensor:
        """Flow ``(B, 2, h, w)`` cells -> ``(B, 2, H, W)`` px, by a mask ``(B, 9 * cell * cell, h, w)`` of what the head
        says, divided by four."""
        count, _, height, width = flow.shape
        cell, cells = self.cell, height * width
        shares = _bilinear_shares(height, width, cell, flow)
        if mask is not None:
            said = mask.permute(0, 2, 3, 1).reshape(count, cells, 9, cell**2)
            raised = shares + _FLOOR
            learned = torch.softmax(torch.add(raised.log(), said, alpha=_GAIN), dim=-2)
            shares = learned + (shares - raised / (1. + 9. * _FLOOR))
        near = F.unfold(F.pad(cell * flow, (1, 1, 1, 1), mode='replicate'), 3).view(count, 2, 9, cells)
        # one small product for each cell is faster than a sum over whole maps; in halves it would round the motion
        with torch.autocast(flow.device.type, enabled=False):
            large = near.permute(0, 3, 1, 2) @ shares
        return large.view(count, height, width, 2, cell, cell).permute(0, 3, 1, 4, 2, 5).reshape(
            count, 2, cell * height, cell * width)


def _bilinear_shares(height: int, width: int, cell: int, like: Tensor) -> Tensor:
    """``(height * width, 9, cell * cell)``: how much of each of the nine cells around its own a pixel gets where the
    map is enlarged bilinearly, corners upon corners; then no other cell takes part."""
    rows, columns = (_shares_along(size, cell, like) for size in (height, width))
    return torch.einsum('hjy,wkx->hwjkyx', rows, columns).reshape(height * width, 9, cell**2)


def _shares_along(size: int, cell: int, like: Tensor) -> Tensor:
    """``(size, 3, cell)``: the same along one axis, for the cells before, at and after that of a pixel."""
    pixels = torch.arange(cell * size, device=like.device, dtype=torch.float64)
    at = pixels * ((size - 1) / (cell * size - 1))  # cells
    own = torch.div(pixels, cell, rounding_mode='floor')
    shares = torch.stack([(1. - (at - own - step).abs()).clamp(min=0.) for step in (-1, 0, 1)])
    return shares.view(3, size, cell).transpose(0, 1).to(like.dtype)
