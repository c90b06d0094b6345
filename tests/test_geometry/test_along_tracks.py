"""What frames show along tracks, against plain loops."""
from __future__ import annotations

import numpy as np
import pytest
import torch

from mmrefine.geometry import (color_change, patch_mismatch, points_inside, resize, resize_points, sample_along,
                               track_speed)


def bilinear(image, x, y):
    """``(C,)`` of an image ``(C, H, W)``; outside is black."""
    height, width = image.shape[1:]
    total = np.zeros(len(image))
    x0, y0 = int(np.floor(x)), int(np.floor(y))
    for yy, wy in ((y0, 1 - (y - y0)), (y0 + 1, y - y0)):
        for xx, wx in ((x0, 1 - (x - x0)), (x0 + 1, x - x0)):
            if 0 <= xx < width and 0 <= yy < height:
                total += wy * wx * image[:, yy, xx]
    return total


@pytest.fixture
def clip():
    generator = torch.Generator().manual_seed(3)
    frames = torch.rand(4, 3, 9, 12, generator=generator)
    points = torch.rand(30, 4, 2, generator=generator) * torch.tensor([13., 10.]) - 1
    return frames, points


def test_samples_are_bilinear_with_pixel_centres_at_integers(clip):
    frames, points = clip
    wanted = [[bilinear(frames[t].numpy(), *points[n, t].tolist()) for t in range(4)] for n in range(30)]
    np.testing.assert_allclose(sample_along(frames, points).numpy(), wanted, atol=1e-5)
    at = points[:, :, None].repeat(1, 1, 5, 1)
    torch.testing.assert_close(sample_along(frames, at), sample_along(frames, points)[:, :, None].repeat(1, 1, 5, 1))


def test_the_change_of_colour_is_that_of_a_loop_and_infinite_outside(clip):
    frames, points = clip
    found = color_change(frames, points)
    left = 0
    for n, track in enumerate(points.tolist()):
        inside = all(0 <= x <= 11 and 0 <= y <= 8 for x, y in track)
        colors = [255 * bilinear(frames[t].numpy(), *track[t]) for t in range(4)]
        change = sum(np.sqrt(((color - colors[0])**2).sum()) for color in colors[1:]) / 3
        assert found[n].item() == pytest.approx(change if inside else float('inf'), rel=1e-4)
        assert bool(points_inside(points[n], (9, 12)).all()) is inside
        left += not inside
    assert 5 < left < 28
    assert color_change(frames[:1], points[:, :1].clamp(0, 8)).tolist() == [0.] * 30


def test_the_mismatch_of_patches_is_one_minus_the_correlation_of_a_loop(clip):
    frames, points = clip
    points = points.clamp(2, 6)
    found = patch_mismatch(frames, points, radius=2, noise=1.5)
    grey = 255 * (frames * torch.tensor([.299, .587, .114]).view(3, 1, 1)).sum(1, keepdim=True).numpy()
    for n, track in enumerate(points.tolist()):
        patches = [np.array([bilinear(grey[t], x + dx, y + dy)[0] for dy in range(-2, 3) for dx in range(-2, 3)])
                   for t, (x, y) in enumerate(track)]
        a = patches[0] - patches[0].mean()
        for t, patch in enumerate(patches):
            b = patch - patch.mean()
            wanted = 1 - (a * b).mean() / (np.sqrt((a * a).mean() * (b * b).mean()) + 1.5**2)
            assert found[n, t].item() == pytest.approx(wanted, abs=1e-4)


def test_gain_and_offset_change_nothing_and_a_flat_patch_is_no_evidence():
    frame = torch.rand(3, 20, 20, generator=torch.Generator().manual_seed(0))
    frames = torch.stack([frame, 0.5 * frame + 0.3, torch.full_like(frame, 0.4), 1 - frame])
    still = torch.full((1, 4, 2), 10.)
    same, dimmed, flat, inverted = patch_mismatch(frames, still)[0].tolist()
    assert same < 0.01 and dimmed < 0.01 and flat == pytest.approx(1, abs=1e-4) and inverted > 1.99


def test_speed_is_the_length_by_the_number_of_frames():
    track = torch.tensor([[[0., 0.], [3., 4.], [3., 4.], [3., -2.]], [[1., 1.]] * 4])
    assert track_speed(track).tolist() == [11 / 4, 0.] and track_speed(track[:, :1]).tolist() == [0., 0.]


@pytest.mark.parametrize('size', [(17, 31), (5, 7), (9, 12)])
def test_a_resized_ramp_has_at_resized_points_what_it_had_there(size):
    y, x = torch.meshgrid(torch.arange(9.), torch.arange(12.), indexing='ij')
    points = torch.tensor([[0., 0.], [11., 8.], [3.25, 6.5], [7.5, 0.75]])
    ramps = resize(torch.stack([x, y])[None], size)
    moved = resize_points(points, (9, 12), size)
    found = sample_along(ramps, moved[:, None])[:, 0]
    torch.testing.assert_close(found, points, rtol=0, atol=1e-4)
    torch.testing.assert_close(resize_points(moved, size, (9, 12)), points, rtol=0, atol=1e-5)


def test_a_side_of_one_pixel_has_no_extent_to_scale():
    assert resize_points(torch.tensor([[4., 0.]]), (1, 9), (1, 5)).tolist() == [[2., 0.]]
