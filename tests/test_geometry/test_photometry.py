"""What a pixel looks like: Lab against published values, census by brute force, exposure with outliers, windows."""
from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch

from mmrefine.geometry import (box_mean, census_residual, lab, lab_residual, luma, match_exposure, match_local_exposure,
                               texture_strength)


def color(*rgb):
    return torch.tensor(rgb, dtype=torch.float32).view(1, 3, 1, 1)


# CIE Lab of the sRGB primaries under D65 (e.g. B. Lindbloom's calculator), and greys by hand:
# 0.5 -> Y = ((0.5 + 0.055) / 1.055)^2.4 = 0.21404, L = 116 Y^(1/3) - 16; 0.02 -> L = 903.3 * 0.02 / 12.92
@pytest.mark.parametrize('rgb, wanted', [
    ((1, 1, 1), (100, 0, 0)), ((0, 0, 0), (0, 0, 0)), ((.5, .5, .5), (53.389, 0, 0)), ((.02, .02, .02), (1.3983, 0, 0)),
    ((1, 0, 0), (53.241, 80.092, 67.203)), ((0, 1, 0), (87.735, -86.183, 83.179)),
    ((0, 0, 1), (32.297, 79.188, -107.860)),
])
def test_lab_of_known_colours(rgb, wanted):
    assert lab(color(*rgb)).flatten().tolist() == pytest.approx(wanted, abs=2e-3)


def test_lab_agrees_with_opencv_within_its_table():
    """OpenCV looks sRGB up in a coarse table in float32, off by up to half a unit."""
    image = np.random.rand(40, 40, 3).astype(np.float32)
    ours = lab(torch.from_numpy(image).permute(2, 0, 1)[None])[0].permute(1, 2, 0).numpy()
    difference = np.abs(ours - cv2.cvtColor(image, cv2.COLOR_RGB2Lab))
    assert difference.max() < 1. and difference.mean() < .15


def test_the_lab_residual_is_the_euclidean_distance_where_the_motion_lands():
    frames1, frames2 = color(.5, .5, .5).repeat(1, 1, 1, 3), color(1, 0, 0).repeat(1, 1, 1, 3)
    frames2[..., 0] = .5
    flow = torch.zeros(1, 2, 1, 3)
    flow[0, 0] = torch.tensor([2., -1., 5.])                  # to red, to grey, out
    red = ((53.241 - 53.389)**2 + 80.092**2 + 67.203**2)**.5
    found = lab_residual(frames1, frames2, flow).flatten().tolist()
    assert found[:2] == pytest.approx([red, 0], abs=5e-3) and found[2] == float('inf')


def test_luma_weighs_the_channels_and_counts_in_grey_levels():
    assert [float(luma(color(*rgb))) for rgb in ((1, 0, 0), (0, 1, 0), (0, 0, 1), (1, 1, 1))] == pytest.approx(
        [76.245, 149.685, 29.07, 255.])


def test_a_box_mean_counts_only_pixels_of_the_frame():
    image = torch.arange(12.).view(1, 1, 3, 4)
    found = box_mean(image, 1)
    assert float(found[0, 0, 0, 0]) == (0 + 1 + 4 + 5) / 4 and float(found[0, 0, 1, 1]) == pytest.approx(5)
    assert torch.allclose(box_mean(image, 9), torch.full_like(image, 5.5))   # a window larger than the frame


def brute_force_census(one, two, radius, tie):
    """Frames ``(3, H, W)`` at rest."""
    height, width = one.shape[1:]
    found = np.zeros((height, width))
    for y in range(height):
        for x in range(width):
            wrong = count = 0
            for v in range(max(y - radius, 0), min(y + radius + 1, height)):
                for u in range(max(x - radius, 0), min(x + radius + 1, width)):
                    if (u, v) != (x, y):
                        orders = [np.sign(d) * (abs(d) > tie / 255)
                                  for d in (f[:, v, u] - f[:, y, x] for f in (one, two))]
                        wrong, count = wrong + np.mean(orders[0] != orders[1]), count + 1
            found[y, x] = wrong / count
    return found


@pytest.mark.parametrize('radius, tie', [(1, .1), (2, .1), (3, 25.)])
def test_census_is_the_share_of_comparisons_that_turn_out_differently(radius, tie):
    one, two = (torch.randint(0, 9, (1, 3, 7, 8)).float() * 10 / 255 for _ in range(2))
    found = census_residual(one, two, torch.zeros(1, 2, 7, 8), radius, tie)
    np.testing.assert_allclose(found[0, 0].numpy(), brute_force_census(one[0].numpy(), two[0].numpy(), radius, tie),
                               atol=1e-6)
    assert .2 < float(found.mean()) < .8


def test_census_leaves_out_neighbours_that_leave_the_frame():
    """All but the lower right pixel of 2x2 stay; it would disagree, but lands nowhere."""
    one = torch.tensor([[1., 2.], [3., 9.]]).expand(1, 3, 2, 2) / 255
    two = torch.tensor([[1., 2.], [3., 0.]]).expand(1, 3, 2, 2) / 255
    flow = torch.zeros(1, 2, 2, 2)
    assert census_residual(one, two, flow, 1)[0, 0, 0, 0] == pytest.approx(1 / 3)
    flow[..., 1, 1] = 5.
    found = census_residual(one, two, flow, 1)[0, 0]
    assert found[0, 0] == 0 and found[1, 1] == float('inf')


def test_a_pixel_without_a_neighbour_to_compare_has_no_census():
    assert census_residual(color(1, 1, 1), color(1, 1, 1), torch.zeros(1, 2, 1, 1)).item() == float('inf')


def test_exposure_is_measured_on_what_fits_although_two_fifths_of_the_frame_do_not():
    frames1 = torch.rand(1, 3, 40, 40) * .6 + .2
    gain, offset = torch.tensor([.7, .9, 1.2]).view(1, 3, 1, 1), .04
    frames2 = gain * frames1 + offset
    frames2[..., :16] = torch.rand(1, 3, 40, 16) * .5 + .5    # 40 % of the frame shows something else, brighter
    matched = match_exposure(frames1, frames2, torch.ones(1, 1, 40, 40, dtype=torch.bool))
    torch.testing.assert_close(matched[..., 16:], frames1[..., 16:], rtol=0, atol=1e-3)


@pytest.mark.parametrize('match', [match_exposure, match_local_exposure])
def test_pixels_outside_have_no_say_in_the_exposure(match):
    frames1 = torch.rand(1, 3, 20, 40) * .5
    frames2 = .8 * frames1 + .1
    inside = torch.ones(1, 1, 20, 40, dtype=torch.bool)
    inside[..., 12:] = False                                  # more than half
    frames2[..., 12:] = 1.
    torch.testing.assert_close(match(frames1, frames2, inside)[..., :12], frames1[..., :12], rtol=0, atol=3e-3)


@pytest.mark.parametrize('match', [match_exposure, match_local_exposure])
def test_a_flat_channel_has_an_offset_and_no_gain(match):
    inside = torch.ones(1, 1, 9, 9, dtype=torch.bool)
    flat = torch.full((1, 1, 9, 9), .5)
    torch.testing.assert_close(match(flat, flat + .1, inside), flat)
    none = ~inside
    assert bool(torch.isfinite(match(flat, flat + .1, none)).all())


def test_a_local_gain_is_that_of_the_spreads_with_one_level_of_noise_added_to_both():
    """Chequers of +-2 and +-1 levels: the gain is ``sqrt((2^2 + 1) / (1^2 + 1))``, and not 2."""
    sign = 1. - 2 * (torch.arange(31).view(-1, 1).add(torch.arange(31)) % 2).expand(1, 1, 31, 31)
    inside = torch.ones(1, 1, 31, 31, dtype=torch.bool)
    matched = 255 * match_local_exposure((100 + 2 * sign) / 255, (130 + sign) / 255, inside)
    torch.testing.assert_close(matched[..., 7:-7, 7:-7], (100 + 2.5**.5 * sign)[..., 7:-7, 7:-7], rtol=0, atol=.02)


def test_a_large_frame_has_the_exposure_of_a_part_of_its_pixels():
    frames = torch.rand(1, 1, 300, 300) * .5                  # more pixels than are looked at
    matched = match_exposure(frames, 1.5 * frames + .1, torch.ones(1, 1, 300, 300, dtype=torch.bool))
    torch.testing.assert_close(matched, frames, rtol=0, atol=1e-5)


def test_each_pair_of_a_batch_has_its_own_exposure():
    frames = torch.rand(2, 3, 12, 12) * .5
    lit = frames * torch.tensor([1.5, .8]).view(2, 1, 1, 1)
    torch.testing.assert_close(match_exposure(frames, lit, torch.ones(2, 1, 12, 12, dtype=torch.bool)), frames, rtol=0,
                               atol=1e-5)


def test_a_frame_of_one_pixel_has_no_texture():
    assert texture_strength(color(.2, .4, .6)).item() == 0
