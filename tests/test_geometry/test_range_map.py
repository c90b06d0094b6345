"""How often each pixel of frame 2 is where a pixel of frame 1 goes."""
from __future__ import annotations

import numpy as np
import torch

from mmrefine.geometry import range_map


def numpy_range_map(flow):
    """Pixel by pixel in float64: ``(2, H, W)`` -> ``(H, W)``."""
    height, width = flow.shape[1:]
    counts = np.zeros((height, width))
    for y in range(height):
        for x in range(width):
            end = np.array([x, y]) + flow[:, y, x]
            first = np.floor(end)
            for dx in (0, 1):
                for dy in (0, 1):
                    column, row = int(first[0]) + dx, int(first[1]) + dy
                    if 0 <= column < width and 0 <= row < height:
                        counts[row, column] += (1 - abs(end[0] - column)) * (1 - abs(end[1] - row))
    return counts


def test_it_is_the_sum_of_bilinear_shares_pixel_by_pixel():
    torch.manual_seed(0)
    flow = 3 * torch.randn(2, 2, 9, 11)
    wanted = [numpy_range_map(one.double().numpy()) for one in flow]
    np.testing.assert_allclose(range_map(flow)[:, 0].numpy(), wanted, atol=1e-3)


def test_at_rest_each_pixel_counts_once_and_a_shift_leaves_what_it_uncovers():
    assert torch.equal(range_map(torch.zeros(1, 2, 4, 5)), torch.ones(1, 1, 4, 5))
    flow = torch.zeros(1, 2, 4, 5)
    flow[:, 0] = 1.5
    assert torch.equal(range_map(flow)[0, 0, 0], torch.tensor([0., 0.5, 1., 1., 1.]))
    assert torch.equal(range_map(-flow)[0, 0, 0], torch.tensor([1., 1., 1., 0.5, 0.]))


def test_what_covers_another_counts_twice_where_it_ends():
    flow = torch.zeros(1, 2, 3, 6)
    flow[:, 0, :, 1] = 3.
    assert torch.equal(range_map(flow)[0, 0, 1], torch.tensor([1., 0., 1., 1., 2., 1.]))


def test_motion_that_is_no_number_or_far_away_counts_nowhere():
    flow = torch.zeros(1, 2, 1, 6)
    flow[0, 0, 0] = torch.tensor([float('nan'), float('inf'), -float('inf'), 1e30, -1e30, 0.])
    assert torch.equal(range_map(flow)[0, 0, 0], torch.tensor([0., 0., 0., 0., 0., 1.]))
