"""A term of a loss whose gradient is taken at once, so that what it was computed from need not be kept."""
from __future__ import annotations

from typing import Any, Callable, Tuple

import torch
from torch import Tensor


def with_gradient_now(function: Callable[[Tensor], Tensor], argument: Tensor) -> Tensor:
    """``function(argument)``, a scalar that is differentiated by its argument only.

    The gradient is taken right after the value and nothing is computed twice. Of all terms of a sequence of iterates
    only one holds what lies between argument and value at a time; the others keep a tensor of the size of the argument.
    It cannot be differentiated twice.
    """
    if not (torch.is_grad_enabled() and argument.requires_grad):
        return function(argument)
    result: Tensor = _GradientNow.apply(function, argument)
    return result


class _GradientNow(torch.autograd.Function):
    """See :func:`with_gradient_now`."""

    @staticmethod
    def forward(ctx: Any, function: Callable[[Tensor], Tensor], argument: Tensor) -> Tensor:
        with torch.enable_grad():
            own = argument.detach().requires_grad_()
            value = function(own)
        gradient, = torch.autograd.grad(value, own)
        ctx.save_for_backward(gradient)
        return value.detach()

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> Tuple[None, Tensor]:
        by_argument, = ctx.saved_tensors
        return None, gradient * by_argument
