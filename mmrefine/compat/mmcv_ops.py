"""``Correlation`` and ``DeformConv2d`` of ``mmcv.ops``, in plain PyTorch (F7).

They compute what the compiled operators of mmcv compute, on any device and in float64, so that every stock network of
mmflow builds and runs beside ``mmcv-lite``.  Same constructors, same parameter names: state dicts are interchangeable.
"""
from __future__ import annotations

from typing import Any, Tuple, Union

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn.modules.utils import _pair

__all__ = ['Correlation', 'DeformConv2d', 'correlation', 'deform_conv2d']

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


def deform_conv2d(input: Tensor,
                  offset: Tensor,
                  weight: Tensor,
                  stride: Pair = 1,
                  padding: Pair = 0,
                  dilation: Pair = 1,
                  groups: int = 1,
                  deform_groups: int = 1) -> Tensor:
    """Convolution whose taps are displaced per output pixel (Dai et al., ICCV 2017, eq. 2).

    ``out(p) = sum_k w_k x(p stride - padding + k dilation + offset_k(p))``, bilinear, pixel centres at integers, and
    zero outside the map.

    Args:
        input: ``(B, C, H, W)``.
        offset: ``(B, 2 K deform_groups, H', W')`` in input pixels, ``K = kh kw`` taps in row order; channel
            ``2 (g K + k)`` is y and the next one x, for channel group ``g``.
        weight: ``(C', C / groups, kh, kw)``.
        stride: distance of neighbouring outputs, in input pixels.
        padding: zeros added on each side, in input pixels.
        dilation: distance of neighbouring taps, in input pixels.
        groups: blocks of channels that the weight keeps apart.
        deform_groups: blocks of input channels that share one set of offsets.

    Returns:
        ``(B, C', H', W')``, in the dtype of ``offset`` (the half-precision one under autocast), as in mmcv.

    Raises:
        ValueError: shapes that do not fit together.
    """
    steps: Tuple = (_pair(stride), _pair(padding), _pair(dilation))
    kernel = weight.shape[2:]
    out_hw = tuple((size + 2 * pad - spread * (side - 1) - 1) // stride_ + 1
                   for size, side, stride_, pad, spread in zip(input.shape[2:], kernel, *steps))
    wanted = (input.shape[0], 2 * kernel[0] * kernel[1] * deform_groups) + out_hw
    if min(out_hw) < 1 or tuple(offset.shape) != wanted:
        raise ValueError(f'deform_conv2d needs offset {wanted} for input {tuple(input.shape)} and '
                         f'weight {tuple(weight.shape)}, got {tuple(offset.shape)}')
    # Coordinates in half precision are off by whole pixels, so sampling runs in float32 at least.
    wide = torch.promote_types(torch.promote_types(input.dtype, offset.dtype), torch.float32)
    with torch.autocast(input.device.type, enabled=False):
        out = _deform_conv2d_wide(input.to(wide), offset.to(wide), weight.to(wide), *steps, groups,
                                  deform_groups, out_hw)
    return out.to(offset.dtype)


def _deform_conv2d_wide(input: Tensor, offset: Tensor, weight: Tensor, stride: Tuple,
                        padding: Tuple, dilation: Tuple, groups: int, deform_groups: int,
                        out_hw: Tuple) -> Tensor:
    """:func:`deform_conv2d` tap by tap, all in one dtype."""
    batch, channels, height, width = input.shape
    kernel = weight.shape[2:]
    taps = kernel[0] * kernel[1]
    image = input.reshape(batch * deform_groups, channels // deform_groups, height, width)
    offset = offset.reshape(batch * deform_groups, taps, 2, *out_hw)
    rows = torch.arange(out_hw[0], dtype=input.dtype, device=input.device) * stride[0] - padding[0]
    cols = torch.arange(out_hw[1], dtype=input.dtype, device=input.device) * stride[1] - padding[1]
    out = input.new_zeros((batch, weight.shape[0]) + out_hw)
    for tap in range(taps):
        i, j = divmod(tap, kernel[1])
        y = offset[:, tap, 0] + (rows + i * dilation[0]).view(-1, 1)
        x = offset[:, tap, 1] + (cols + j * dilation[1])
        sampled = _sample(image, x, y).view(batch, channels, *out_hw)
        out = out + F.conv2d(sampled, weight[:, :, i:i + 1, j:j + 1], groups=groups)
    return out


def _sample(image: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """Bilinear values of ``image (B, C, H, W)`` at pixels ``x, y (B, H', W')``; zero outside.

    The sampler counts -1 and 1 as the outer edges of the border pixels here: unlike the other convention, that one is
    defined for a map one pixel wide, and both give the same samples with zeros outside.
    """
    height, width = image.shape[2:]
    grid = torch.stack([(2 * x + 1) / width - 1, (2 * y + 1) / height - 1], dim=-1)
    return F.grid_sample(image, grid, mode='bilinear', padding_mode='zeros', align_corners=False)


class DeformConv2d(nn.Module):
    """Stand-in for ``mmcv.ops.DeformConv2d``: see :func:`deform_conv2d`.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output.
        kernel_size: (rows, columns) of taps.
        stride: distance of neighbouring outputs, in input pixels.
        padding: zeros added on each side, in input pixels.
        dilation: distance of neighbouring taps, in input pixels.
        groups: blocks of channels that the weight keeps apart.
        deform_groups: blocks of input channels that share one set of offsets.
        bias: must be False; mmcv's operator has none.
        im2col_step: a batching knob of the compiled operator; changes nothing here.

    Raises:
        ValueError: ``bias=True``, or channels that the groups do not divide.
    """

    def __init__(self,
                 in_channels: int,
                 out_channels: int,
                 kernel_size: Pair,
                 stride: Pair = 1,
                 padding: Pair = 0,
                 dilation: Pair = 1,
                 groups: int = 1,
                 deform_groups: int = 1,
                 bias: bool = False,
                 im2col_step: int = 32) -> None:
        super().__init__()
        if bias:
            raise ValueError('DeformConv2d has no bias, got bias=True; leave it out')
        for name, channels, count in (('in_channels', in_channels, groups),
                                      ('out_channels', out_channels, groups),
                                      ('in_channels', in_channels, deform_groups)):
            if channels % count:
                raise ValueError(f'DeformConv2d needs {name} divisible by its groups, '
                                 f'got {name}={channels} and {count} groups')
        self.in_channels = in_channels
        self.out_channels = out_channels
        self.kernel_size = _pair(kernel_size)
        self.stride = _pair(stride)
        self.padding = _pair(padding)
        self.dilation = _pair(dilation)
        self.groups = groups
        self.deform_groups = deform_groups
        self.im2col_step = im2col_step
        # mmcv's own names for a convolution's settings, read by weight initialisers.
        self.transposed = False
        self.output_padding = (0, )
        self.weight = nn.Parameter(
            torch.empty(out_channels, in_channels // groups, *self.kernel_size))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the weight as mmcv does: uniform, ReLU gain over the fan-in."""
        nn.init.kaiming_uniform_(self.weight, nonlinearity='relu')

    def forward(self, x: Tensor, offset: Tensor) -> Tensor:
        """``x (B, C, H, W)`` and ``offset (B, 2 kh kw deform_groups, H', W')`` -> ``(B, C', H', W')``.

        A map smaller than the kernel is padded with zeros below and to the right, and the result cropped again.
        """
        pads = [max(k - size, 0) for k, size in zip(self.kernel_size, x.shape[2:])]
        if any(pads):
            x, offset = (F.pad(t, (0, pads[1], 0, pads[0])) for t in (x, offset))
        out = deform_conv2d(x, offset, self.weight, self.stride, self.padding, self.dilation,
                            self.groups, self.deform_groups)
        return out[:, :, :out.shape[2] - pads[0], :out.shape[3] - pads[1]]

    def extra_repr(self) -> str:
        """The constructor's arguments."""
        return (f'in_channels={self.in_channels}, out_channels={self.out_channels}, '
                f'kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}, '
                f'dilation={self.dilation}, groups={self.groups}, '
                f'deform_groups={self.deform_groups}, bias=False')
