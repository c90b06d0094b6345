"""The iterations of RAFT, GMA and CRAFT, without what is the same in all of them (Teed & Deng 2020, 3.3)."""
from __future__ import annotations

import contextlib
from typing import Any, Callable, Dict, Iterator, List, Optional, Tuple

import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks
from torch.utils.checkpoint import checkpoint

from mmrefine.models.raft_fast.update_gates import UpdateGates


def iterate(network: Any,
            corr: Callable[[Tensor], Tensor],
            context: Tensor,
            start: Optional[Tensor],
            iters: int,
            exit_below: Optional[float] = None,
            every: bool = False,
            max_bytes: Optional[int] = None) -> List[Tensor]:
    """Flows ``(B, 2, H, W)`` px of the last iteration, or of every one; with gradients where they are enabled.

    Args:
        network: one of :func:`~mmrefine.models.raft_fast.two_way.is_known`.
        corr: windows of the correlation around a flow ``(B, 2, h, w)`` cells, float32.
        context: ``(B, C, h, w)``, hidden state and context.
        start: ``(B, 2, h, w)`` cells to start from; None: rest.
        iters: how many iterations, at most.
        exit_below: px; stop once no flow of the batch moves by this much on average in an iteration.
        every: give the flows of all iterations.
        max_bytes: that the iterations may keep for their gradients; if the first two show that all would keep more, the
            others are computed again in the backward pass, one at a time. None: no limit.
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

    def update(flow: Tensor, hidden: Tensor) -> Tuple[Tensor, Tensor]:
        with torch.autocast(device, enabled=False):
            windows = corr(flow)
        motion = decoder.encoder(windows, flow)
        if attention is not None:
            motion = torch.cat([motion, decoder.aggregator(attention, motion)], dim=1)
        hidden = gates(hidden, motion)
        return hidden, decoder.flow_pred(hidden).float()

    def enlarge(flow: Tensor, hidden: Tensor) -> Tensor:
        mask = .25 * decoder.mask_pred(hidden).float() if hasattr(decoder, 'mask_pred') else None
        return decoder._upsample(flow.contiguous(), None if mask is None else mask.contiguous())

    flows: List[Tensor] = []
    kept, run = _Kept(), _plainly
    for i in range(iters):
        flow = flow.detach()  # an iteration learns from its own step only
        with kept.counting() if i < 2 and max_bytes is not None else contextlib.nullcontext():
            hidden, step = run(update, flow, hidden)
            flow = flow + step
            still = exit_below is not None and bool((cell * step.norm(dim=1).mean(dim=(1, 2)) < exit_below).all())
            last = still or i == iters - 1
            if every or last:
                flows.append(run(enlarge, flow, hidden))
        if max_bytes is not None and kept.after(iters) > max_bytes:
            run = _again_later
        if last:
            break
    return flows


def _plainly(call: Callable[..., Any], *args: Tensor) -> Any:
    return call(*args)


def _again_later(call: Callable[..., Any], *args: Tensor) -> Any:
    """The same, keeping nothing for the gradients but what goes in."""
    return checkpoint(call, *args, use_reentrant=False)


class _Kept:
    """Counts the bytes that iterations keep for gradients, each memory once."""

    def __init__(self) -> None:
        self._sizes: Dict[int, int] = {}
        self._sums: List[int] = []

    def after(self, iters: int) -> int:
        """What so many iterations will keep, if each further one keeps as much more as the last that was counted did.
        """
        sums = [0, *self._sums]
        return sums[-1] + (iters - len(self._sums)) * (sums[-1] - sums[-2])

    @contextlib.contextmanager
    def counting(self) -> Iterator[None]:
        """Counts an iteration; weights are not counted."""

        def note(tensor: Tensor) -> Tensor:
            if not isinstance(tensor, nn.Parameter):
                storage = tensor.untyped_storage()
                self._sizes[storage.data_ptr()] = storage.nbytes()
            return tensor.detach()  # an output that kept itself would never be freed

        with saved_tensors_hooks(note, lambda tensor: tensor):
            yield
        self._sums.append(sum(self._sizes.values()))
