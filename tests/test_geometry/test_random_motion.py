"""Motion by formula, and pairs made of it."""
from __future__ import annotations

import math

import cv2
import numpy as np
import pytest
import torch

from mmrefine.geometry import (Ellipse, Patch, Similarity, backwarp, known_warp, landing_points, pieced_motion,
                               pixel_grid, random_similarity, random_warp, sample, smooth_motion)

GRID = pixel_grid(40, 60, torch.zeros((), dtype=torch.float64))


def waves(height=64, width=96):
    """A smooth picture ``(3, H, W)`` in [0, 1]."""
    x, y = pixel_grid(height, width, torch.zeros(()))[0]
    return 0.5 + 0.2 * torch.stack([torch.sin(x / 5) + torch.cos(y / 7), torch.sin((x + y) / 9),
                                    torch.cos(x / 11 - y / 6)])


def test_a_quarter_turn_takes_right_to_down_about_the_centre():
    turn = Similarity((10., 20.), math.pi / 2, 2., (1., -3.))
    point = torch.tensor([14., 20.], dtype=torch.float64).view(1, 2, 1, 1)
    # 4 px right of the centre -> 8 px below it, then the shift
    assert (point + turn.motion(point)).flatten().tolist() == pytest.approx([10 + 1, 20 + 8 - 3])


def test_there_and_back_is_nowhere():
    way = Similarity((7., 31.), 0.7, 1.3, (4., -9.))
    there = GRID + way.motion(GRID)
    assert (there + way.inverse().motion(there) - GRID).abs().max() < 1e-9


def test_an_ellipse_covers_its_axes_ends_and_nothing_beyond():
    region = Ellipse((20., 10.), (8., 3.), math.pi / 6)
    along = np.array([math.cos(math.pi / 6), math.sin(math.pi / 6)])
    across = np.array([-math.sin(math.pi / 6), math.cos(math.pi / 6)])
    for direction, axis in ((along, 8.), (across, 3.)):
        for side in (-1, 1):
            points = [np.array([20., 10.]) + side * far * axis * direction for far in (0.999, 1.001)]
            inside, outside = (bool(region.covers(torch.from_numpy(p).view(1, 2, 1, 1))) for p in points)
            assert inside and not outside


def test_the_bend_is_the_cubic_resize_of_the_drawn_numbers():
    rng = np.random.default_rng(4)
    rows, columns = rng.integers(3, 7, size=2)
    coarse = rng.normal(size=(rows, columns, 2)).astype(np.float32)
    wanted = cv2.resize(coarse, (60, 40), interpolation=cv2.INTER_CUBIC)
    found = smooth_motion(np.random.default_rng(4), 40, 60)[0].permute(1, 2, 0).numpy()
    assert np.abs(found - wanted).max() < 1e-4


def test_a_drawn_similarity_has_the_drawn_length_and_stays_within_turn_and_zoom():
    rng = np.random.default_rng(0)
    drawn = [random_similarity(rng, (0., 0.), lambda: 5., 10., 0.5) for _ in range(300)]
    assert all(math.hypot(*way.shift) == pytest.approx(5.) for way in drawn)
    angles, zooms = [math.degrees(way.angle) for way in drawn], [math.log2(way.scale) for way in drawn]
    assert 9 < max(angles) <= 10 and -10 <= min(angles) < -9 and 0.45 < max(zooms) <= 0.5 and -0.5 <= min(zooms) < -0.45
    assert {(way.shift[0] > 0, way.shift[1] > 0)
            for way in drawn} == {(a, b) for a in (True, False) for b in (True, False)}


def test_pieced_motion_is_a_translation_without_turn_zoom_bend_and_pieces_but_has_edges_with_pieces():
    lengths = []
    for seed in range(200):
        rng = np.random.default_rng(seed)
        flow = pieced_motion(rng, 8, 8, 8., 0., 0., (0, 0))
        flat = flow - 0.8 * _bend_of(seed)
        assert (flat - flat[..., :1, :1]).abs().max() < 1e-4
        lengths.append(float(flat[0, :, 0, 0].norm()))
    assert max(lengths) <= 8 + 1e-4 and np.mean(lengths) == pytest.approx(4, abs=0.5)  # evenly spread over [0, 8]
    steep = [pieced_motion(np.random.default_rng(3), 64, 96, 10., 6., 0.1, pieces).diff(dim=-1).abs().max()
             for pieces in ((3, 3), (0, 0))]
    assert steep[0] > 2 > 1 > steep[1]


def _bend_of(seed):
    rng = np.random.default_rng(seed)
    random_similarity(rng, (4., 4.), lambda: rng.uniform(0, 8.), 0., 0.)
    return smooth_motion(rng, 8, 8)


def test_warping_frame_2_back_gives_frame_1_where_it_is_visible_and_hardly_elsewhere():
    for seed in range(6):
        made = random_warp(np.random.default_rng(seed), waves(), lambda: 5., lambda: 9., (2, 4))
        assert 0.5 < made.visible.float().mean() < 0.98
        # a pixel beside a patch mixes both: all four corners must be of one thing
        alone = 1 - torch.nn.functional.max_pool2d(1 - made.visible.float(), 5, 1, 2)
        residual = 255 * (backwarp(made.frames2, made.flow) - made.frames1).abs().mean(dim=1, keepdim=True)
        assert (residual[alone > 0] < 3).float().mean() > 0.97  # the rest lies along the edges of patches
        hidden = ~made.visible & (landing_points(made.flow)[:, :1] > 0) & (landing_points(made.flow)[:, :1] < 95)
        assert residual[hidden].median() > 10


def test_a_patch_hides_exactly_what_it_passes_over():
    """A disc of radius 6 moves 20 px to the right over a picture at rest."""
    patch = Patch(Ellipse((30., 32.), (6., 6.), 0.), Similarity((30., 32.), 0., 1., (20., 0.)), (30., 5.))
    made = known_warp(waves(), torch.zeros(1, 2, 64, 96), [patch])
    x, y = pixel_grid(64, 96, torch.zeros(()))[0]
    before, after = ((x - cx)**2 + (y - 32)**2 <= 36 for cx in (30, 50))
    assert torch.equal(made.visible[0, 0], ~after)
    assert torch.equal(made.flow[0, 0], 20. * before) and not made.flow[0, 1].any()
    assert torch.equal(made.frames2[0][:, ~after], waves()[:, ~after])
    there = sample(waves()[None], torch.stack([x + 30, y + 5])[None])
    assert torch.allclose(made.frames2[0][:, after], there[0][:, after], atol=1e-4)
    assert torch.allclose(made.frames1[0][:, before], made.frames2[0][:, after], atol=1e-4)


def test_of_two_patches_that_meet_the_later_one_is_on_top():
    still = Similarity((0., 0.), 0., 1., (0., 0.))
    right = Similarity((30., 32.), 0., 1., (20., 0.))
    stands = Patch(Ellipse((50., 32.), (6., 6.), 0.), still, (5., 5.))
    comes = Patch(Ellipse((30., 32.), (6., 6.), 0.), right, (0., 0.))
    for patches, seen in (([stands, comes], (True, False)), ([comes, stands], (False, True))):
        made = known_warp(waves(), torch.zeros(1, 2, 64, 96), patches)
        assert (bool(made.visible[0, 0, 32, 30]), bool(made.visible[0, 0, 32, 50])) == seen


def test_what_leaves_the_frame_is_not_visible_and_the_same_numbers_give_the_same_pair():
    made = known_warp(waves(), torch.full((1, 2, 64, 96), 10.), [])
    assert (made.visible[0, 0, :54, :86].all() and not made.visible[0, 0, 54:].any()
            and not made.visible[0, 0, :, 86:].any())
    one, other, third = (random_warp(np.random.default_rng(s), waves(), lambda: 3., lambda: 6.) for s in (1, 1, 2))
    assert (torch.equal(one.frames1, other.frames1) and torch.equal(one.flow, other.flow)
            and not torch.equal(one.flow, third.flow))


def test_a_frame_without_room_is_refused():
    with pytest.raises(ValueError, match='32 px a side, got 31x96'):
        random_warp(np.random.default_rng(0), waves(31), lambda: 1., lambda: 1.)
