"""Sampling and resizing against brute force and closed forms."""
from __future__ import annotations

import math

import pytest
import torch

from mmrefine.geometry import pixel_grid, resize, resize_flow, sample


def brute_sample(image, x, y, padding):
    """Bilinear interpolation of ``(H, W)`` at one point, spelled out."""
    height, width = image.shape
    if padding == 'border':
        x, y = min(max(x, 0.), width - 1.), min(max(y, 0.), height - 1.)
    total = 0.
    for row in (math.floor(y), math.floor(y) + 1):
        for column in (math.floor(x), math.floor(x) + 1):
            if 0 <= row < height and 0 <= column < width:
                total += (1 - abs(x - column)) * (1 - abs(y - row)) * float(image[row, column])
    return total


def linear_flow(height, width, matrix, shift):
    """``f(p) = M p + t`` on all pixels, ``(1, 2, H, W)`` float64."""
    grid = pixel_grid(height, width, torch.zeros(1, dtype=torch.float64))
    moved = torch.tensordot(torch.tensor(matrix, dtype=torch.float64), grid[0], dims=1)
    return (moved + torch.tensor(shift, dtype=torch.float64).view(2, 1, 1))[None]


def test_the_grid_is_x_then_y_from_zero():
    grid = pixel_grid(2, 3, torch.zeros(1))
    assert grid.tolist() == [[[[0, 1, 2], [0, 1, 2]], [[0, 0, 0], [1, 1, 1]]]]


@pytest.mark.parametrize('padding', ['zeros', 'border'])
def test_sample_agrees_with_brute_force_inside_and_outside(padding):
    image = torch.rand(2, 3, 5, 7, dtype=torch.float64)
    points = torch.rand(2, 2, 6, 4, dtype=torch.float64) * 12 - 3     # px, also off the frame
    found = sample(image, points, padding)
    checked = 0
    for b in range(2):
        for c in range(3):
            for i in range(6):
                for j in range(4):
                    x, y = points[b, :, i, j].tolist()
                    wanted = brute_sample(image[b, c], x, y, padding)
                    assert found[b, c, i, j] == pytest.approx(wanted, abs=1e-12)
                    checked += 1
    assert checked == 144


def test_sample_at_pixel_centres_returns_the_pixels_the_outermost_too():
    image = torch.rand(1, 2, 6, 9)
    torch.testing.assert_close(sample(image, pixel_grid(6, 9, image)), image)


def test_sample_of_a_one_pixel_axis_finds_its_pixel():
    image = torch.tensor([[[[3., 5.]]]])                              # one row
    points = torch.tensor([0.5, 0.]).view(1, 2, 1, 1)
    assert sample(image, points).item() == pytest.approx(4.)


def test_resize_keeps_the_corner_centres():
    image = torch.rand(1, 1, 5, 7)
    larger = resize(image, (11, 20))
    for row, column in ((0, 0), (0, -1), (-1, 0), (-1, -1)):
        assert larger[0, 0, row, column] == pytest.approx(image[0, 0, row, column].item())


def test_resize_to_the_same_size_changes_no_bit():
    image = torch.rand(1, 3, 5, 7)
    assert torch.equal(resize(image, (5, 7)), image)


@pytest.mark.parametrize('size', [(13, 21), (5, 6), (9, 33)])
def test_resize_flow_is_exact_on_linear_flows(size):
    """A point at ``s p`` moves by ``s f(p)``: of ``M p + t`` that makes ``s M s^-1 p' + s t``."""
    (height, width), matrix, shift = (9, 11), [[.1, -.2], [.3, .05]], [1.5, -2.]
    sx, sy = (size[1] - 1) / (width - 1), (size[0] - 1) / (height - 1)
    wanted = linear_flow(
        *size, [[matrix[0][0], matrix[0][1] * sx / sy], [matrix[1][0] * sy / sx, matrix[1][1]]],
        [shift[0] * sx, shift[1] * sy])
    found = resize_flow(linear_flow(height, width, matrix, shift), size)
    torch.testing.assert_close(found, wanted, rtol=0, atol=1e-12)


def test_resize_flow_there_and_back_is_the_same_linear_flow():
    flow = linear_flow(9, 11, [[.1, -.2], [.3, .05]], [1.5, -2.])
    back = resize_flow(resize_flow(flow, (18, 22)), (9, 11))
    torch.testing.assert_close(back, flow, rtol=0, atol=1e-12)


def test_resize_flow_scales_x_and_y_each_with_its_own_factor():
    flow = torch.ones(1, 2, 4, 4)
    found = resize_flow(flow, (8, 8), factor=(2., 3.))
    torch.testing.assert_close(found[:, 0], torch.full((1, 8, 8), 2.))
    torch.testing.assert_close(found[:, 1], torch.full((1, 8, 8), 3.))


def test_a_resized_flow_still_points_at_the_same_colours_of_resized_frames():
    """An affine picture, moved by an affine flow, at two sizes: the same colour at the end."""
    flow = linear_flow(9, 11, [[-.2, .1], [.05, -.3]], [1., 1.5])     # stays inside
    picture = linear_flow(9, 11, [[.3, .7], [0., 0.]], [0., 0.])[:, :1]
    size = (17, 31)
    end = sample(picture, flow + pixel_grid(9, 11, flow))
    larger_flow = resize_flow(flow, size)
    larger_end = sample(resize(picture, size), larger_flow + pixel_grid(*size, flow))
    torch.testing.assert_close(larger_end, resize(end, size), rtol=0, atol=1e-12)
