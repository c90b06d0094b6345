from __future__ import annotations

import math

import pytest
import torch

from mmrefine.evaluation.flow.more_witnesses import disturbed, still_error, still_pixels
from mmrefine.structures import as_frames
from mmrefine.synthetic import render_clip

SIZE = (96, 128)


@pytest.fixture(scope='module')
def scene():
    return as_frames(render_clip(75, 1, SIZE, 'source').frames)


def noisy(frame, strength, seed):
    rng = torch.Generator().manual_seed(seed)
    return (frame + strength / 255 * torch.randn(frame.shape, generator=rng)).clamp(0, 1)


@pytest.mark.parametrize('noise, least', [(0., 0.1), (1., 0.1), (4., 0.03)])  # grey levels; share, less under noise
def test_what_moves_is_not_still_and_what_stands_still_is(scene, noise, least):
    moved = scene.clone()
    moved[..., :48] = torch.roll(scene, 2, dims=-1)[..., :48]  # the left part moves by 2 px to the right
    one, two = noisy(scene, noise, 1), noisy(moved, noise, 2)
    still = still_pixels(one, two)[0, 0]
    assert float(still[:, 56:].float().mean()) > least and float(still[:, 4:40].float().mean()) < 0.02
    flow = torch.zeros(1, 2, *SIZE)
    flow[:, 0, :, :48] = 2.
    right, wrong = still_error(one, two, flow), still_error(one, two, flow + 0.5)
    assert right < 0.15 and wrong == pytest.approx(math.hypot(0.5, 0.5), abs=0.2) and wrong > right + 0.4
    everywhere = torch.ones(1, 1, *SIZE, dtype=torch.bool)
    assert math.isnan(still_error(one, two, flow, everywhere))


def test_under_a_moving_camera_and_where_all_is_flat_nothing_is_said(scene):
    flow = torch.zeros(1, 2, *SIZE)
    assert math.isnan(still_error(scene, torch.roll(scene, 3, dims=-1), flow))
    assert math.isnan(still_error(0 * scene + 0.5, 0 * scene + 0.5, flow))


def test_exposure_is_not_taken_for_motion(scene):
    flow = torch.ones(1, 2, *SIZE)
    assert still_error(scene, 0.8 * scene, flow) == pytest.approx(math.sqrt(2), abs=1e-5)


def test_a_disturbance_is_the_same_for_a_seed_and_as_strong_as_it_says(scene):
    grey = 0 * scene + 0.5
    assert torch.equal(disturbed(scene, (1, 2)), disturbed(scene, (1, 2)))
    assert not torch.equal(disturbed(scene, (1, 2)), disturbed(scene, (2, 1)))
    assert 255 * float((disturbed(grey, (0, )) - grey).std()) == pytest.approx(5., rel=0.03)
