"""``DeformConv2d`` of ``mmcv.ops`` in plain PyTorch (F7)."""
from __future__ import annotations

from typing import Any, Tuple, Union

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.utils import _pair

Pair = Union[int, Tuple[int, int]]


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
        groups: blocks of channels that are convolved separately.
        deform_groups: blocks of input channels that share one set of offsets.

    Returns:
        ``(B, C', H', W')``, in the dtype of ``offset`` (the half-precision one under autocast), as in mmcv.

    Raises:
        ValueError: shapes that do not fit together.
    """
    steps: Tuple[Any, Any, Any] = (_pair(stride), _pair(padding), _pair(dilation))
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
        groups: blocks of channels that are convolved separately.
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
