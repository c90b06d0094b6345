"""The update of RAFT's hidden state, without what is the same at every iteration."""
from __future__ import annotations

from typing import Any, List

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class UpdateGates:
    """The gated update of RAFT's hidden state (Teed & Deng 2020, 3.3), its share of the context computed once.

    ``z, r = sigmoid(conv(h, context, motion))``, ``q = tanh(conv(r h, context, motion))``, ``h <- (1 - z) h + z q``. A
    convolution of channels side by side is the sum of the convolutions of each, and the context never changes: its part
    is computed here. The two gates that read the same channels become one convolution. The numbers are those of the
    module but for the order of sums.

    Args:
        gru: mmflow's ``ConvGRU``; it is only read.
        hidden: channels of the hidden state.
        context: ``(B, C, H, W)``, what comes first of the channels beside the hidden state.
    """

    def __init__(self, gru: Any, hidden: int, context: Tensor) -> None:
        self.stages: List[List[_Part]] = []
        for stage in zip(gru.conv_z, gru.conv_r, gru.conv_q):
            z, r, q = (part.conv for part in stage)
            self.stages.append([_Part([z, r], hidden, context), _Part([q], hidden, context)])
        self.learns = torch.is_grad_enabled()
        if self.learns:
            return
        # hidden state and motion side by side, written in place, as the convolutions read them: in half precision under
        # autocast, which would cast all of it for each of them
        weight = self.stages[0][0].weight
        beside = torch.empty(
            len(context), weight.shape[1], *context.shape[-2:], dtype=weight.dtype, device=context.device)
        self.beside = beside.contiguous(memory_format=torch.channels_last)

    def __call__(self, hidden: Tensor, motion: Tensor) -> Tensor:
        """The next hidden state ``(B, C, H, W)``, in the precision of this one."""
        if self.learns:
            return self._learning(hidden, motion)
        state, beside = self.beside.split([hidden.shape[1], motion.shape[1]], dim=1)
        beside.copy_(motion)
        for gates, candidate in self.stages:
            state.copy_(hidden)
            z, r = gates(self.beside).sigmoid_().chunk(2, dim=1)
            state.copy_(r * hidden)
            q = candidate(self.beside).tanh_()
            hidden = torch.lerp(hidden, q.to(hidden.dtype), z.to(hidden.dtype))
        return hidden

    def _learning(self, hidden: Tensor, motion: Tensor) -> Tensor:
        """The same with gradients, for which nothing may be written over."""
        dtype = self.stages[0][0].weight.dtype
        motion = motion.to(dtype)
        for gates, candidate in self.stages:
            z, r = gates(torch.cat([hidden.to(dtype), motion], dim=1)).sigmoid_().chunk(2, dim=1)
            q = candidate(torch.cat([(r * hidden).to(dtype), motion], dim=1)).tanh_()
            hidden = torch.lerp(hidden, q.to(hidden.dtype), z.to(hidden.dtype))
        return hidden


class _Part:
    """Convolutions of the same input as one, that of the context done."""

    def __init__(self, convs: List[nn.Conv2d], hidden: int, context: Tensor) -> None:
        weight = torch.cat([conv.weight for conv in convs])
        bias = torch.cat([conv.bias for conv in convs if conv.bias is not None])
        ends = (hidden, hidden + context.shape[1])
        self.padding = convs[0].padding
        self.fixed = F.conv2d(context, weight[:, ends[0]:ends[1]], bias, padding=self.padding)
        self.weight = torch.cat([weight[:, :ends[0]], weight[:, ends[1]:]], dim=1).to(self.fixed.dtype)

    def __call__(self, beside: Tensor) -> Tensor:
        return F.conv2d(beside, self.weight, padding=self.padding).add_(self.fixed)
