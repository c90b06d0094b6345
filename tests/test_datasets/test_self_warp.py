"""Pairs made of one frame: the motion must be the one that was applied."""
from __future__ import annotations

import numpy as np
import pytest

from mmrefine.datasets.transforms import SelfWarp
from mmrefine.errors import ConfigError


def picture(points_x, points_y):
    """A smooth picture as a formula, so that it can be asked anywhere: (..., 3) grey levels."""
    waves = [np.sin(points_x / 5 + 1) + np.cos(points_y / 7), np.sin((points_x + points_y) / 9),
             np.cos(points_x / 11 - points_y / 6)]
    return 128 + 50 * np.stack([waves[0] / 2, waves[1], waves[2]], axis=-1)


def pair(seed, height=64, width=96):
    x, y = np.meshgrid(np.arange(width), np.arange(height))
    frame = np.rint(picture(x, y)).astype(np.uint8)
    return dict(frame1=frame, frame2=frame.copy(), flow=np.full((height, width, 2), 99, np.float32),
                weight=np.zeros((height, width, 1), np.float32), key='a/b', rng=np.random.default_rng(seed))


@pytest.mark.parametrize('seed', range(6))
def test_frame_1_is_the_picture_where_the_flow_ends_in_frame_2(seed):
    made = SelfWarp(prob=1., max_motion=10., noise=0.).transform(pair(seed))
    x, y = np.meshgrid(np.arange(96), np.arange(64))
    wanted = picture(x + made['flow'][..., 0], y + made['flow'][..., 1])
    inside = made['weight'][..., 0] > 0
    assert inside.mean() > 0.5
    assert np.abs(made['frame1'] - wanted)[inside].max() < 3  # rounding of two pictures, cubic interpolation
    assert np.array_equal(made['frame2'], pair(seed)['frame2'])


@pytest.mark.parametrize('seed', range(4))
def test_weight_is_one_exactly_where_the_motion_lands_inside(seed):
    made = SelfWarp(prob=1., max_motion=30.).transform(pair(seed))
    x, y = np.meshgrid(np.arange(96), np.arange(64))
    end_x, end_y = x + made['flow'][..., 0], y + made['flow'][..., 1]
    inside = (end_x >= 0) & (end_x <= 95) & (end_y >= 0) & (end_y <= 63)
    assert np.array_equal(made['weight'][..., 0] > 0, inside) and set(np.unique(made['weight'])) <= {0., 1.}


def test_ellipses_give_the_flow_edges_and_none_gives_none():
    def steepest(ellipses):
        made = SelfWarp(prob=1., max_motion=10., ellipses=ellipses).transform(pair(3))
        return np.abs(np.diff(made['flow'], axis=1)).max()

    assert steepest((3, 3)) > 2 > 1 > steepest((0, 0))


def test_a_share_of_the_pairs_is_replaced_and_the_others_are_untouched():
    replaced = 0
    for seed in range(300):
        before = pair(seed, 16, 16)
        after = SelfWarp(prob=0.3, max_motion=4.).transform(before)
        replaced += after is not before
        if after is before:
            assert after['flow'][0, 0, 0] == 99
    assert replaced / 300 == pytest.approx(0.3, abs=0.08)


def test_the_grain_of_the_two_frames_is_independent_and_as_strong_as_asked():
    flat = dict(pair(0), frame1=np.full((64, 96, 3), 128, np.uint8), frame2=np.full((64, 96, 3), 128, np.uint8))
    made = SelfWarp(prob=1., noise=4.).transform(flat)
    grain1, grain2 = made['frame1'].astype(float) - 128, made['frame2'].astype(float) - 128
    assert grain1.std() == pytest.approx(4, abs=0.1) and grain2.std() == pytest.approx(4, abs=0.1)
    assert abs(np.corrcoef(grain1.ravel(), grain2.ravel())[0, 1]) < 0.03


@pytest.mark.parametrize('wrong, story',
                         [(dict(prob=1.2), r'SelfWarp.prob .* 1.2'), (dict(max_motion=-1.), r'max_motion .* -1.0'),
                          (dict(ellipses=(3, 1)), r'ellipses .* \(3, 1\)')])
def test_values_out_of_range_are_refused(wrong, story):
    with pytest.raises(ConfigError, match=story):
        SelfWarp(**wrong)
