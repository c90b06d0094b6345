"""The iterations of RAFT and GMA, without what is the same in all of them (Teed & Deng 2020, 3.3)."""
from __future__ import annotations

from typing import Any, Callable, List, Optional

import torch
from torch import Tensor

from mmrefine.models.raft_fast.update_gates import UpdateGates


def iterate(network: Any,
            corr: Callable[[Tensor], Tensor],
            context: Tensor,
            start: Optional[Tensor],
            iters: int,
            exit_below: Optional[float] = None,
            every: bool = False) -> List[Tensor]:
    """Flows ``(B, 2, H, W)`` px of the last iteration, or of every one; with gradients where they are enabled.

    Args:
        network: one of :func:`~mmrefine.models.raft_fast.two_way.is_known`.
        corr: windows of the correlation around a flow ``(B, 2, h, w)`` cells, float32.
        context: ``(B, C, h, w)``, hidden state and context.
        start: ``(B, 2, h, w)`` cells to start from; None: rest.
        iters: how many iterations, at most.
        exit_below: px; stop once no flow of the batch moves by this much on average in an iteration.
        every: give the flows of all iterations.
    """
    decoder, device = network.decoder, context.device.type
    cell = 2**(decoder.num_levels - 1)  # px
    # the windows come channels last in memory: a mixture would be copied at every convolution and at every sum
    rest = context.new_zeros(len(context), 2, *context.shape[-2:], dtype=torch.float32)
    flow = (rest if start is None else start.float()).contiguous(memory_format=torch.channels_last)
    hidden, context = (part.contiguous(memory_format=torch.channels_last)
                       for part in torch.split(context, [network.h_channels, network.cxt_channels], dim=1))
    # the hidden state adds up over the iterations, so it stays float32 under autocast
    hidden, context = torch.tanh(hidden.float()), torch.relu(context)
    gates = UpdateGates(decoder.gru, network.h_channels, context)
    attention = decoder.attn(context) if hasattr(decoder, 'attn') else None
    flows: List[Tensor] = []
    for i in range(iters):
        flow = flow.detach()  # an iteration learns from its own step only
        with torch.autocast(device, enabled=False):
            windows = corr(flow)
        motion = decoder.encoder(windows, flow)
        if attention is not None:
            motion = torch.cat([motion, decoder.aggregator(attention, motion)], dim=1)
        hidden = gates(hidden, motion)
        step = decoder.flow_pred(hidden).float()
        flow = flow + step
        still = exit_below is not None and bool((cell * step.norm(dim=1).mean(dim=(1, 2)) < exit_below).all())
        last = still or i == iters - 1
        if every or last:
            mask = .25 * decoder.mask_pred(hidden).float() if hasattr(decoder, 'mask_pred') else None
            flows.append(decoder._upsample(flow.contiguous(), None if mask is None else mask.contiguous()))
        if last:
            break
    return flows
