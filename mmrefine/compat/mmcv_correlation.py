"""``Correlation`` of ``mmcv.ops`` in plain PyTorch (F7)."""
from __future__ import annotations

from typing import Any, Tuple, Union

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn.modules.utils import _pair

Pair = Union[int, Tuple[int, int]]


def correlation(input1: Tensor,
                input2: Tensor,
                kernel_size: Pair = 1,
                max_displacement: Pair = 1,
                stride: Pair = 1,
                padding: Pair = 0,
                dilation: Pair = 1,
                dilation_patch: Pair = 1) -> Tensor:
    """Cost volume: inner products of feature windows, one per displacement.

    ``out[n, r + u, s + v, y, x] = sum_{i, j, c} a[n, c, Y, X] b[n, c, Y + u dp, X + v dp]`` with
    ``Y = y stride - padding + i dilation`` (``X`` alike), ``|u| <= r``, ``|v| <= s``, ``(r, s) = max_displacement``,
    ``dp = dilation_patch``; products that touch a pixel outside either map count as zero.  It is a plain sum: neither
    the channels nor the window divide it.

    Args:
        input1: ``(B, C, H, W)`` features of frame 1 (``a``).
        input2: ``(B, C, H, W)`` features of frame 2 (``b``), same shape, dtype and device.
        kernel_size: side of the compared window, in feature pixels.
        max_displacement: largest displacement, in steps of ``dilation_patch`` feature pixels.
        stride: distance of neighbouring outputs, in feature pixels.
        padding: zeros added on each side, in feature pixels.
        dilation: distance of neighbouring pixels inside the window.
        dilation_patch: distance of neighbouring displacements, in feature pixels.

    Returns:
        ``(B, 2r + 1, 2s + 1, H', W')`` with ``H' = (H + 2 padding - dilation (kernel_size - 1) - 1) // stride + 1``;
        the displacement axes are (y, x).

    Raises:
        ValueError: the inputs differ in shape, are not 4-D, or are smaller than the window.
    """
    if input1.dim() != 4 or input1.shape != input2.shape:
        raise ValueError('correlation needs two feature maps of one shape (B, C, H, W), '
                         f'got {tuple(input1.shape)} and {tuple(input2.shape)}')
    sizes = tuple(_pair(v) for v in (kernel_size, max_displacement, stride, padding, dilation,
                                     dilation_patch))
    # Half-precision sums over hundreds of channels lose whole digits, so they run in float32.
    wide = torch.promote_types(torch.promote_types(input1.dtype, input2.dtype), torch.float32)
    with torch.autocast(input1.device.type, enabled=False):
        volume = _CorrelationFunction.apply(input1.to(wide), input2.to(wide), sizes)
    return volume.to(input1.dtype)


class _CorrelationFunction(torch.autograd.Function):
    """One displacement at a time, so that memory stays at the inputs plus the volume.

    Written as a Function because autograd over the plain loop would fill one padded map per displacement.
    """

    @staticmethod
    def forward(ctx: Any, input1: Tensor, input2: Tensor, sizes: Tuple) -> Tensor:
        ctx.save_for_backward(input1, input2)
        ctx.sizes = sizes
        padded1, padded2, out_hw = _pad_both(input1, input2, sizes)
        (reach_y, reach_x) = sizes[1]
        volume = input1.new_zeros(
            (input1.shape[0], 2 * reach_y + 1, 2 * reach_x + 1, out_hw[0], out_hw[1]))
        for window1, windows2 in _windows(sizes, out_hw):
            first = padded1[window1]
            for u, v, window2 in windows2:
                volume[:, u, v] += (first * padded2[window2]).sum(dim=1)
        return volume

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> Tuple:
        input1, input2 = ctx.saved_tensors
        padded1, padded2, out_hw = _pad_both(input1, input2, ctx.sizes)
        grad1 = torch.zeros_like(padded1) if ctx.needs_input_grad[0] else None
        grad2 = torch.zeros_like(padded2) if ctx.needs_input_grad[1] else None
        for window1, windows2 in _windows(ctx.sizes, out_hw):
            for u, v, window2 in windows2:
                out_grad = grad[:, u, v].unsqueeze(1)
                if grad1 is not None:
                    grad1[window1].addcmul_(out_grad, padded2[window2])
                if grad2 is not None:
                    grad2[window2].addcmul_(out_grad, padded1[window1])
        (height, width), (_, reach, _, pad, _, step) = input1.shape[2:], ctx.sizes
        if grad1 is not None:
            grad1 = grad1[:, :, pad[0]:pad[0] + height, pad[1]:pad[1] + width]
        if grad2 is not None:
            top, left = (pad[k] + reach[k] * step[k] for k in (0, 1))
            grad2 = grad2[:, :, top:top + height, left:left + width]
        return grad1, grad2, None


def _pad_both(input1: Tensor, input2: Tensor, sizes: Tuple) -> Tuple[Tensor, Tensor, Tuple]:
    """Both maps with the zeros that windows and displacements may touch, and (H', W')."""
    kernel, reach, stride, pad, dilation, step = sizes
    out_hw = tuple((input1.shape[2 + k] + 2 * pad[k] - dilation[k] * (kernel[k] - 1) - 1) //
                   stride[k] + 1 for k in (0, 1))
    if min(out_hw) < 1:
        raise ValueError(f'correlation with kernel_size={kernel}, dilation={dilation} and '
                         f'padding={pad} leaves no output for feature maps of '
                         f'{tuple(input1.shape[2:])}; use larger frames or more padding')
    far = [pad[k] + reach[k] * step[k] for k in (0, 1)]
    padded1 = F.pad(input1, (pad[1], pad[1], pad[0], pad[0]))
    padded2 = F.pad(input2, (far[1], far[1], far[0], far[0]))
    return padded1, padded2, out_hw


def _windows(sizes: Tuple, out_hw: Tuple) -> Any:
    """For each tap of the window: its slice of map 1, and (u, v, slice of map 2) for each displacement."""
    kernel, reach, stride, _, dilation, step = sizes

    def strided(top: int, left: int) -> Tuple:
        return (slice(None), slice(None), slice(top, top + (out_hw[0] - 1) * stride[0] + 1, stride[0]),
                slice(left, left + (out_hw[1] - 1) * stride[1] + 1, stride[1]))

    for i in range(kernel[0]):
        for j in range(kernel[1]):
            top, left = i * dilation[0], j * dilation[1]
            yield strided(top, left), [(u, v, strided(top + u * step[0], left + v * step[1]))
                                       for u in range(2 * reach[0] + 1)
                                       for v in range(2 * reach[1] + 1)]


class Correlation(nn.Module):
    """Stand-in for ``mmcv.ops.Correlation``: see :func:`correlation`.

    Args:
        kernel_size: side of the compared window, in feature pixels.
        max_displacement: largest displacement, in steps of ``dilation_patch``.
        stride: distance of neighbouring outputs, in feature pixels.
        padding: zeros added on each side, in feature pixels.
        dilation: distance of neighbouring pixels inside the window.
        dilation_patch: distance of neighbouring displacements, in feature pixels.
    """

    def __init__(self,
                 kernel_size: int = 1,
                 max_displacement: int = 1,
                 stride: int = 1,
                 padding: int = 0,
                 dilation: int = 1,
                 dilation_patch: int = 1) -> None:
        super().__init__()
        self.kernel_size = kernel_size
        self.max_displacement = max_displacement
        self.patch_size = max_displacement * 2 + 1
        self.stride = stride
        self.padding = padding
        self.dilation = dilation
        self.dilation_patch = dilation_patch

    def forward(self, input1: Tensor, input2: Tensor) -> Tensor:
        """``(B, C, H, W)`` twice -> ``(B, patch_size, patch_size, H', W')``."""
        return correlation(input1, input2, self.kernel_size, self.max_displacement, self.stride,
                           self.padding, self.dilation, self.dilation_patch)

    def extra_repr(self) -> str:
        """The constructor's arguments."""
        return (f'kernel_size={self.kernel_size}, max_displacement={self.max_displacement}, '
                f'stride={self.stride}, padding={self.padding}, dilation={self.dilation}, '
                f'dilation_patch={self.dilation_patch}')
