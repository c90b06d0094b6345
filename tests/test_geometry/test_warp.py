"""Looking up the end of a motion."""
from __future__ import annotations

import pytest
import torch

from mmrefine.geometry import backwarp, color_residual, landing_points, lands_inside


def constant_flow(x, y, height=5, width=7):
    return torch.tensor([float(x), float(y)]).view(1, 2, 1, 1).expand(1, 2, height,
                                                                      width).contiguous()


def test_landing_points_are_pixel_plus_flow():
    points = landing_points(constant_flow(1.5, -2.))
    assert points[0, :, 4, 3].tolist() == [4.5, 2.]


@pytest.mark.parametrize('x, y', [(2, 0), (0, 1), (-3, 2)])
def test_backwarp_with_a_whole_translation_shifts_the_picture_and_leaves_black(x, y):
    image = torch.rand(1, 3, 5, 7)
    wanted = torch.zeros_like(image)
    for row in range(5):
        for column in range(7):
            if 0 <= row + y < 5 and 0 <= column + x < 7:
                wanted[..., row, column] = image[..., row + y, column + x]
    torch.testing.assert_close(backwarp(image, constant_flow(x, y)), wanted)


def test_backwarp_with_border_padding_repeats_the_edge():
    image = torch.rand(1, 1, 5, 7)
    warped = backwarp(image, constant_flow(3, 0), padding='border')
    torch.testing.assert_close(warped[..., 4:], image[..., -1:].expand(1, 1, 5, 3))


def test_backwarp_by_half_a_pixel_averages_two():
    image = torch.tensor([0., 2., 6.]).view(1, 1, 1, 3)
    warped = backwarp(image, constant_flow(.5, 0, 1, 3))
    assert warped.flatten().tolist() == pytest.approx([1., 4., 3.])   # 3: half of it is outside


def test_lands_inside_includes_the_outermost_centres_and_nothing_beyond():
    flow = torch.zeros(1, 2, 3, 3)
    flow[0, 0, 1, 1] = 1.            # onto the last column
    flow[0, 1, 0, 0] = 2.            # onto the last row
    flow[0, 0, 2, 2] = 1e-3          # beyond the last column
    flow[0, 1, 0, 2] = -1e-3         # above the first row
    flow[0, 0, 1, 0] = float('nan')
    flow[0, 1, 2, 0] = float('inf')
    assert lands_inside(flow)[0, 0].tolist() == [[True, True, False], [False, True, True],
                                                 [False, True, False]]


def test_color_residual_is_the_mean_over_rgb_in_grey_levels():
    black = torch.zeros(1, 3, 5, 5)
    coloured = torch.tensor([.5, .25, 0.]).view(1, 3, 1, 1).expand(1, 3, 5, 5)
    found = color_residual(black, coloured, torch.zeros(1, 2, 5, 5))
    torch.testing.assert_close(found, torch.full((1, 1, 5, 5), 255 * .25))
    torch.testing.assert_close(
        color_residual(coloured, black, torch.zeros(1, 2, 5, 5)), found)     # absolute


def test_color_residual_follows_the_motion_and_is_inf_where_it_leaves():
    frames1 = torch.rand(1, 3, 5, 7)
    frames2 = torch.roll(frames1, 2, dims=-1)                                # 2 px to the right
    found = color_residual(frames1, frames2, constant_flow(2, 0))
    torch.testing.assert_close(found[..., :5], torch.zeros(1, 1, 5, 5), atol=1e-3, rtol=0)
    assert torch.isinf(found[..., 5:]).all()
