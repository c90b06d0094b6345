"""DeformConv2d against its definition, plain convolution and finite differences."""
from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from mmrefine.compat.mmcv_ops import DeformConv2d, deform_conv2d


def bilinear(image, y, x):
    """Value of ``image (C, H, W)`` at a point; every corner outside counts as zero."""
    value = np.zeros(image.shape[0])
    top, left = math.floor(y), math.floor(x)
    for yy, xx in itertools.product((top, top + 1), (left, left + 1)):
        if 0 <= yy < image.shape[1] and 0 <= xx < image.shape[2]:
            value += (1 - abs(y - yy)) * (1 - abs(x - xx)) * image[:, yy, xx]
    return value


def deform_by_definition(image, offset, weight, stride, padding, dilation, groups, deform_groups):
    batch, channels = image.shape[:2]
    out_channels, _, kh, kw = weight.shape
    out = np.zeros((batch, out_channels) + offset.shape[2:])
    full = np.zeros((out_channels, channels, kh, kw))  # the grouped weight with its zeros written out
    for o in range(out_channels):
        first = o // (out_channels // groups) * (channels // groups)
        full[o, first:first + channels // groups] = weight[o]
    share = channels // deform_groups
    for n, y, x, i, j, g in itertools.product(range(batch), range(offset.shape[2]), range(offset.shape[3]),
                                              range(kh), range(kw), range(deform_groups)):
        at = 2 * (g * kh * kw + i * kw + j)
        value = bilinear(image[n, g * share:(g + 1) * share],
                         y * stride - padding + i * dilation + offset[n, at, y, x],
                         x * stride - padding + j * dilation + offset[n, at + 1, y, x])
        out[n, :, y, x] += full[:, g * share:(g + 1) * share, i, j] @ value
    return out


# kernel, stride, padding, dilation, groups, deform_groups
ARGUMENTS = [
    (3, 1, 1, 1, 1, 1),  # MaskFlowNet
    (3, 2, 1, 1, 1, 1),
    (3, 1, 2, 2, 1, 1),
    (3, 1, 0, 1, 2, 1),
    (3, 1, 1, 1, 1, 2),
    (2, 2, 1, 1, 4, 2),
    (1, 1, 0, 1, 2, 4),
]


def case(kernel, stride, padding, dilation, groups, deform_groups, spread=2.5, size=(5, 6)):
    make = dict(dtype=torch.float64)
    image = torch.randn(2, 4, *size, **make)
    weight = torch.randn(8, 4 // groups, kernel, kernel, **make)
    out = [(s + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1 for s in size]
    offset = (torch.rand(2, 2 * kernel**2 * deform_groups, *out, **make) * 2 - 1) * spread
    return image, offset, weight


@pytest.mark.parametrize('arguments', ARGUMENTS)
def test_it_samples_and_sums_as_its_definition(arguments):
    image, offset, weight = case(*arguments)
    wanted = deform_by_definition(image.numpy(), offset.numpy(), weight.numpy(), *arguments[1:])
    found = deform_conv2d(image, offset, weight, *arguments[1:])
    np.testing.assert_allclose(found.numpy(), wanted, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize('arguments', ARGUMENTS)
def test_zero_offsets_give_a_plain_convolution(arguments):
    image, offset, weight = case(*arguments)
    _, stride, padding, dilation, groups, _ = arguments
    found = deform_conv2d(image, torch.zeros_like(offset), weight, *arguments[1:])
    torch.testing.assert_close(found, F.conv2d(image, weight, None, stride, padding, dilation, groups))


@pytest.mark.parametrize('dy, dx', [(0, 2), (-1, 0), (2, -3), (9, 0)])
def test_whole_pixel_offsets_convolve_the_shifted_map(dy, dx):
    image, offset, weight = case(3, 1, 1, 1, 1, 1)
    offset[:, 0::2], offset[:, 1::2] = dy, dx
    reach = 12
    wide = F.pad(image, (reach, ) * 4)
    wanted = F.conv2d(wide, weight, padding=1)[..., reach + dy:reach + dy + 5, reach + dx:reach + dx + 6]
    torch.testing.assert_close(deform_conv2d(image, offset, weight, padding=1), wanted)


@pytest.mark.parametrize('arguments', ARGUMENTS)
def test_gradients_of_input_offset_and_weight_are_those_of_finite_differences(arguments):
    image, offset, weight = case(*arguments, size=(3, 4))
    # Bilinear sampling has a kink at whole pixels; finite differences must not step over it.
    offset = offset.floor() + 0.2 + 0.6 * torch.rand_like(offset)
    inputs = [t.requires_grad_() for t in (image, offset, weight)]
    assert torch.autograd.gradcheck(
        lambda i, o, w: deform_conv2d(i, o, w, *arguments[1:]), inputs, fast_mode=True)


def test_each_deform_group_moves_its_own_channels():
    image, offset, weight = case(1, 1, 0, 1, 1, 2)
    offset.zero_()
    offset[:, 3] = 1.  # x of the second group
    moved = torch.cat([image[:, :2], F.pad(image[:, 2:, :, 1:], (0, 1))], dim=1)
    found = deform_conv2d(image, offset, weight, deform_groups=2)
    torch.testing.assert_close(found, F.conv2d(moved, weight))


def test_a_map_one_pixel_wide_is_sampled_at_its_pixel():
    image, weight = torch.tensor([[[[2.], [4.]]]]), torch.ones(1, 1, 1, 1)
    offset = torch.zeros(1, 2, 2, 1)
    offset[0, 0, 0] = 0.5
    assert deform_conv2d(image, offset, weight).flatten().tolist() == pytest.approx([3., 4.])


@pytest.mark.parametrize('size', [(2, 2), (1, 6), (5, 1)])
def test_a_map_smaller_than_the_kernel_gives_what_the_definition_gives(size):
    layer = DeformConv2d(4, 8, 3, padding=1).double()
    image, offset, _ = case(3, 1, 1, 1, 1, 1, size=size)
    wanted = deform_by_definition(image.numpy(), offset.numpy(), layer.weight.detach().numpy(), 1, 1, 1, 1, 1)
    found = layer(image, offset)
    assert tuple(found.shape[2:]) == size
    np.testing.assert_allclose(found.detach().numpy(), wanted, rtol=1e-10, atol=1e-10)


def test_half_precision_offsets_do_not_move_the_taps_of_a_wide_map():
    # In bfloat16 the pixel 301 reads 302: coordinates must not be rounded, only the small offsets may be.
    image = torch.arange(512.).view(1, 1, 1, 512)
    offset = torch.zeros(1, 2, 1, 512, dtype=torch.bfloat16)
    found = deform_conv2d(image, offset.float(), torch.ones(1, 1, 1, 1))
    torch.testing.assert_close(found, image, atol=1e-3, rtol=0)
    assert torch.equal(deform_conv2d(image, offset, torch.ones(1, 1, 1, 1)), found.bfloat16())


def test_autocast_trains_all_three_inputs():
    layer = DeformConv2d(4, 8, 3, padding=1)
    image = torch.randn(1, 4, 6, 6, requires_grad=True)
    shift = torch.nn.Conv2d(4, 18, 3, padding=1)
    with torch.autocast('cpu', torch.bfloat16):
        out = layer(image, shift(image))
    wanted = layer(image, shift(image))
    assert out.dtype == torch.bfloat16  # as in mmcv, the dtype of the offsets
    torch.testing.assert_close(out.float(), wanted, atol=0.1, rtol=0.1)
    out.float().square().sum().backward()
    for tensor in (image, layer.weight, shift.weight):
        assert tensor.grad.isfinite().all() and tensor.grad.abs().sum() > 0


def test_the_weight_has_mmcvs_name_shape_and_spread():
    layer = DeformConv2d(64, 32, 3, groups=2)
    assert {k: tuple(v.shape) for k, v in layer.state_dict().items()} == {'weight': (32, 32, 3, 3)}
    # uniform within sqrt(6 / fan_in)
    bound = math.sqrt(6 / (32 * 9))
    assert float(layer.weight.detach().abs().max()) == pytest.approx(bound, rel=1e-2)


@pytest.mark.parametrize('settings, message', [
    (dict(bias=True), 'bias=True'),
    (dict(groups=3), 'in_channels=4 and 3 groups'),
    (dict(deform_groups=3), 'in_channels=4 and 3 groups'),
    (dict(groups=4), 'out_channels=6 and 4 groups'),
])
def test_impossible_settings_are_refused_by_value(settings, message):
    with pytest.raises(ValueError, match=message):
        DeformConv2d(4, 6, 3, **settings)


def test_offsets_of_another_size_are_refused_with_the_size_wanted():
    with pytest.raises(ValueError, match=r'needs offset \(1, 18, 5, 5\).*got \(1, 18, 4, 4\)'):
        deform_conv2d(torch.rand(1, 2, 5, 5), torch.rand(1, 18, 4, 4), torch.rand(1, 2, 3, 3), padding=1)
