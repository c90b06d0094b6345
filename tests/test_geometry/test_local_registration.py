"""Motion registered in the picture, on pictures that move by a known part of a pixel."""
from __future__ import annotations

import pytest
import torch

from mmrefine.geometry import register_locally, resize, sample
from mmrefine.geometry.grid import pixel_grid

SIZE = (48, 64)
INNER = (..., slice(10, -10), slice(10, -10))


def moved(motion, seed=0):
    """Two frames of a texture, and the motion between them, the same everywhere."""
    noise = torch.rand(1, 3, 24, 32, generator=torch.Generator().manual_seed(seed))
    frames2 = resize(noise, SIZE)
    flow = torch.tensor(motion).view(1, 2, 1, 1).expand(1, 2, *SIZE)
    frames1 = sample(frames2, pixel_grid(*SIZE, frames2) + flow, padding='border', mode='bicubic')
    return frames1, frames2, flow


def far(flow, truth):
    return float((flow - truth).norm(dim=1)[INNER].mean())


@pytest.mark.parametrize('radius', [3, 6])
@pytest.mark.parametrize('motion', [(0.4, -0.3), (2.3, 1.6), (-3., 0.)])
def test_what_is_half_a_pixel_off_is_set_right(motion, radius):
    frames1, frames2, truth = moved(motion)
    start = truth + torch.tensor([0.4, 0.3]).view(1, 2, 1, 1)
    found = register_locally(frames1, frames2, start, radius=radius, steps=3)
    assert far(start, truth) == pytest.approx(0.5, abs=1e-3)
    assert far(found, truth) < 0.05


def test_one_step_is_the_least_squares_of_the_window_in_the_middle():
    """The second implementation: weights of the window and the normal equations written out, at one pixel."""
    frames1, frames2, truth = moved((0.3, 0.2))
    start, radius, damping, (y, x) = torch.zeros_like(truth), 2, 2.5, (20, 30)
    found = register_locally(frames1, frames2, start, radius=radius, steps=1, damping=damping, furthest=9.)[0, :, y, x]
    one, two = frames1.double()[0], frames2.double()[0]
    weight = torch.zeros(SIZE, dtype=torch.double)
    fall = torch.tensor([1., 2., 3., 4., 5., 4., 3., 2., 1.], dtype=torch.double) / 25
    weight[y - 4:y + 5, x - 4:x + 5] = torch.outer(fall, fall)

    def less_its_mean(image):
        mean = torch.zeros_like(image)
        for v in range(6, SIZE[0] - 6):
            for u in range(6, SIZE[1] - 6):
                mean[:, v, u] = (image[:, v - 4:v + 5, u - 4:u + 5] * torch.outer(fall, fall)).sum(dim=(1, 2))
        return image - mean

    middle = (one + two) / 2
    slope_x, slope_y = torch.zeros_like(one), torch.zeros_like(one)
    slope_x[:, :, 1:-1] = (middle[:, :, 2:] - middle[:, :, :-2]) / 2
    slope_y[:, 1:-1] = (middle[:, 2:] - middle[:, :-2]) / 2
    gx, gy, change = map(less_its_mean, (slope_x, slope_y, two - one))
    rows = torch.stack([gx, gy]).flatten(1)
    weights = (weight / 3).expand(3, *SIZE).flatten()
    normal = (rows * weights) @ rows.T + (damping / 255)**2 * torch.eye(2, dtype=torch.double)
    expected = -torch.linalg.solve(normal, (rows * weights) @ change.flatten())
    torch.testing.assert_close(found.double(), expected, atol=2e-4, rtol=1e-3)


def test_brightness_moves_nothing():
    frames1, frames2, truth = moved((0.4, -0.3))
    found = register_locally(frames1, frames2, truth)
    brighter = register_locally(frames1, frames2 + 0.2, truth)
    torch.testing.assert_close(found, brighter, atol=1e-4, rtol=0.)


def test_where_nothing_is_to_be_seen_nothing_moves():
    flat = torch.full((1, 3, *SIZE), 0.5)
    start = torch.full((1, 2, *SIZE), 0.7)
    torch.testing.assert_close(register_locally(flat, flat, start), start)


def test_steps_are_no_longer_than_allowed():
    frames1, frames2, truth = moved((0., 0.))
    start = truth + torch.tensor([6., -5.]).view(1, 2, 1, 1)
    found = register_locally(frames1, frames2, start, steps=3, furthest=0.5)
    assert (found - start).norm(dim=1).max() <= 1.5 + 1e-4
