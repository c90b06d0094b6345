"""Correlation against its definition, written out in loops."""
from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from mmrefine.compat.mmcv_ops import Correlation, correlation


def correlation_by_definition(a, b, kernel, reach, stride, padding, dilation, step):
    batch, _, height, width = a.shape
    out_h = (height + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1
    out_w = (width + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1
    patch = 2 * reach + 1
    out = np.zeros((batch, patch, patch, out_h, out_w))

    def inside(y, x):
        return 0 <= y < height and 0 <= x < width

    for u, v, y, x, i, j in itertools.product(range(patch), range(patch), range(out_h), range(out_w),
                                              range(kernel), range(kernel)):
        y1, x1 = y * stride - padding + i * dilation, x * stride - padding + j * dilation
        y2, x2 = y1 + (u - reach) * step, x1 + (v - reach) * step
        if inside(y1, x1) and inside(y2, x2):
            out[:, u, v, y, x] += (a[:, :, y1, x1] * b[:, :, y2, x2]).sum(axis=1)
    return out


# kernel_size, max_displacement, stride, padding, dilation, dilation_patch
ARGUMENTS = [
    (1, 1, 1, 0, 1, 1),
    (1, 4, 1, 0, 1, 1),  # PWC-Net: the window of displacements is wider than the map
    (1, 2, 1, 0, 1, 2),  # FlowNetC: every second displacement
    (1, 3, 2, 0, 1, 2),  # LiteFlowNet: coarse outputs
    (3, 1, 1, 0, 1, 1),
    (3, 1, 1, 1, 1, 1),
    (3, 2, 2, 1, 1, 2),
    (3, 1, 1, 2, 2, 1),
    (3, 2, 2, 3, 2, 2),
    (2, 1, 3, 1, 1, 3),
    (1, 0, 1, 2, 1, 1),
]


def features(height=6, width=7, channels=3):
    return (torch.randn(2, channels, height, width, dtype=torch.float64, requires_grad=True)
            for _ in range(2))


@pytest.mark.parametrize('arguments', ARGUMENTS)
def test_it_is_the_sum_over_window_and_channels_of_its_definition(arguments):
    a, b = features()
    wanted = correlation_by_definition(a.detach().numpy(), b.detach().numpy(), *arguments)
    found = Correlation(*arguments)(a, b)
    assert found.shape == wanted.shape
    np.testing.assert_allclose(found.detach().numpy(), wanted, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize('arguments', ARGUMENTS)
def test_its_gradients_are_those_of_finite_differences(arguments):
    a, b = features(4, 5, 2)
    assert torch.autograd.gradcheck(lambda x, y: correlation(x, y, *arguments), (a, b), fast_mode=True)


def test_pairs_set_the_two_axes_apart():
    a, b = features()
    square = correlation(a, b, 1, 2)
    assert torch.equal(correlation(a, b, 1, (1, 2)), square[:, 1:4])
    assert torch.equal(correlation(a, b, 1, 2, (1, 2)), square[..., ::2])


def test_nothing_divides_the_sum_of_the_channels():
    ones = torch.ones(1, 64, 3, 3)
    assert Correlation(max_displacement=1)(ones, ones)[0, 1, 1].eq(64.).all()


def test_motion_to_the_right_peaks_at_a_positive_x_displacement():
    frame1 = torch.zeros(1, 1, 5, 9)
    frame1[0, 0, 2, 3] = 1.
    frame2 = torch.zeros(1, 1, 5, 9)
    frame2[0, 0, 1, 5] = 1.  # 2 px right, 1 px up
    peak = Correlation(max_displacement=2)(frame1, frame2).nonzero()
    assert peak.tolist() == [[0, 2 - 1, 2 + 2, 2, 3]]


def test_only_one_input_wants_a_gradient():
    a, b = features()
    correlation(a.detach(), b, 1, 1).sum().backward()
    assert a.grad is None and b.grad.abs().sum() > 0


@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float16])
def test_half_precision_sums_are_as_good_as_float32_sums(dtype):
    a, b = (torch.rand(1, 512, 4, 4).to(dtype) for _ in range(2))
    exact = correlation(a.double(), b.double(), 1, 1)
    found = correlation(a, b, 1, 1)
    assert found.dtype == dtype
    assert torch.equal(found, exact.to(dtype))


def test_autocast_neither_breaks_nor_blurs_it():
    a, b = (torch.rand(1, 64, 6, 6, requires_grad=True) for _ in range(2))
    with torch.autocast('cpu', torch.bfloat16):
        found = correlation(a, b, 1, 2)
    found.sum().backward()
    assert torch.equal(found, correlation(a, b, 1, 2))
    assert a.grad.isfinite().all()


def test_a_mixed_precision_pair_is_multiplied_in_the_wider_type():
    a, b = torch.rand(1, 8, 3, 3).bfloat16(), torch.rand(1, 8, 3, 3)
    wanted = correlation(a.double(), b.double(), 1, 1)
    torch.testing.assert_close(correlation(b, a, 1, 1).double(),
                               correlation(b.double(), a.double(), 1, 1), rtol=1e-5, atol=1e-5)
    assert torch.equal(correlation(a, b, 1, 1), wanted.bfloat16())


def test_maps_of_two_shapes_are_refused_with_both_shapes():
    with pytest.raises(ValueError, match=r'got \(1, 2, 4, 4\) and \(1, 2, 4, 5\)'):
        correlation(torch.rand(1, 2, 4, 4), torch.rand(1, 2, 4, 5))


def test_a_map_smaller_than_the_window_is_refused_with_its_size():
    with pytest.raises(ValueError, match=r'kernel_size=\(3, 3\).*no output for feature maps of \(2, 8\)'):
        correlation(torch.rand(1, 2, 2, 8), torch.rand(1, 2, 2, 8), kernel_size=3)
