"""RAFT, GMA and CRAFT in training: the flows and gradients of the network's own way, in less time."""
from __future__ import annotations

from typing import Any, Callable, List, Optional

import torch
from torch import Tensor, nn

from mmrefine.models.networks.craft import CRAFTDecoder
from mmrefine.models.raft_fast.correlation_gradient import TrainedCorrelation
from mmrefine.models.raft_fast.iterations import iterate
from mmrefine.models.raft_fast.two_way import as_second, channels_last_on_cpu, own_correlation


def training_flows(network: nn.Module, frames1: Tensor, frames2: Tensor, start: Optional[Tensor], iters: int,
                   max_bytes: Optional[int] = None) -> List[Tensor]:
    """What the network itself gives, all iterates, with gradients.

    Args:
        network: one that :func:`~mmrefine.models.raft_fast.two_way.runs_two_way`.
        frames1: ``(B, 3, H, W)``, padded and normalised for the network.
        frames2: the same shape.
        start: ``(B, 2, h, w)`` cells to start from; None: rest.
        iters: iterations.
        max_bytes: see :func:`~mmrefine.models.raft_fast.iterations.iterate`.

    Returns:
        flows ``(B, 2, H, W)`` px.
    """
    net: Any = network
    # one after the other, as the network does it: losses on features listen to the encoder
    matching1, matching2 = net.encoder(frames1), net.encoder(frames2)
    matching2 = as_second(net, matching2)
    context = net.context(channels_last_on_cpu(frames1))
    corr: Callable[[Tensor], Tensor]
    if isinstance(net.decoder, CRAFTDecoder):
        corr = own_correlation(net, matching1, matching2)
    else:
        with torch.autocast(frames1.device.type, enabled=False):
            corr = TrainedCorrelation(matching1, matching2, net.decoder.num_levels, net.decoder.corr_lookup.r)
    return iterate(net, corr, context, start, iters, every=True, max_bytes=max_bytes)
