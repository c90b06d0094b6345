from __future__ import annotations

import math

import pytest
import torch

from mmrefine.evaluation.flow.witnesses import limited_error, pair_witnesses
from mmrefine.evaluation.guard.comparison import loss_against, mean_observation
from mmrefine.evaluation.guard.measures import FARTHEST, FLOORS, WEIGHTS


def moved(shift=2, size=(40, 48), seed=0):
    """A random picture and the same one moved to the right, and its true motion both ways."""
    wide = torch.rand(1, 3, size[0], size[1] + shift, generator=torch.Generator().manual_seed(seed))
    flow = torch.zeros(1, 2, *size)
    flow[:, 0] = shift
    return wide[..., shift:], wide[..., :-shift], flow, -flow


def test_the_true_motion_comes_back_and_keeps_its_colours_but_where_it_leaves_the_frame():
    one, two, fw, bw = moved(shift=2)
    found = pair_witnesses(one, two, fw, bw)
    assert found['cycle'] == pytest.approx(FARTHEST * 2 / 48 / (1 + 2))
    assert found['color'] == pytest.approx(0, abs=1e-3)
    assert found['motion'] == 2 and math.isnan(found['warp'])


def test_a_wrong_motion_that_comes_back_is_seen_by_its_colours():
    one, two, fw, bw = moved()
    right, wrong = pair_witnesses(one, two, fw, bw), pair_witnesses(one, two, 0 * fw, 0 * bw)
    assert wrong['cycle'] == 0 < right['cycle']
    assert wrong['color'] > 20 > right['color']


def test_brighter_exposure_is_not_held_against_the_motion():
    one, two, fw, bw = moved()
    assert pair_witnesses(one, two * 0.7, fw, bw)['color'] == pytest.approx(0, abs=1e-2)


def test_motion_that_flees_the_frame_does_not_flatter():
    one, two, fw, bw = moved()
    fled = pair_witnesses(one, two, fw + 100, bw)
    assert fled['cycle'] == pytest.approx(FARTHEST / (1 + fled['motion'])) and fled['color'] == 255
    assert loss_against(fled, pair_witnesses(one, two, fw, bw), WEIGHTS, FLOORS) > 1


def test_the_worst_tenth_is_that_of_the_whole_of_a_large_frame():
    one, two, fw, bw = moved(shift=100, size=(2200, 700))
    two = torch.cat([two[..., :1800, :], 1 - two[..., 1800:, :]], dim=-2)
    upside_down = [frames.flip(-2) for frames in (one, two, fw, bw)]
    assert pair_witnesses(one, two, fw, bw)['color'] == pytest.approx(pair_witnesses(*upside_down)['color'], rel=.01)


def test_nan_counts_as_far_off():
    one, two, fw, bw = moved()
    lost = fw.clone()
    lost[..., :10] = float('nan')
    assert pair_witnesses(one, two, lost, bw)['cycle'] > pair_witnesses(one, two, fw, bw)['cycle']
    assert limited_error(lost, fw, torch.ones_like(fw[:, :1])) == pytest.approx(FARTHEST * 10 / 48)


def test_a_distance_is_a_weighted_mean():
    truth = torch.zeros(1, 2, 4, 4)
    flow = truth.clone()
    flow[0, :, 0, 0] = torch.tensor([3., 4.])
    flow[0, :, 1, 1] = torch.tensor([300., 400.])
    weight = torch.ones(1, 1, 4, 4)
    assert limited_error(flow, truth, weight) == pytest.approx((5 + FARTHEST) / 16)
    weight[0, 0, 1, 1] = 0
    weight[0, 0, 0, 0] = 0.5
    assert limited_error(flow, truth, weight) == pytest.approx(2.5 / 14.5)
    assert math.isnan(limited_error(flow, truth, 0 * weight))


def test_a_slow_motion_that_misses_by_as_much_less_gains_nothing():
    one, two, fw, bw = moved(shift=8)
    fast, slow = (pair_witnesses(one, two, part * fw, -0.5 * part * fw) for part in (1., 0.5))
    # misses by half of its motion either way; what leaves the frame is taken out
    inside = []
    for found in (fast, slow):
        outside = found['motion'] / 48
        inside.append((found['cycle'] * (1 + found['motion']) - FARTHEST * outside) / (1 - outside))
    assert inside == pytest.approx([4, 2])


def test_the_loss_is_the_weighted_mean_of_logarithms():
    teacher, student = dict(cycle=1., color=4., warp=2., motion=3.), dict(cycle=0.5, color=5., warp=1., motion=9.)
    wanted = (WEIGHTS['cycle'] * math.log((0.5 + FLOORS['cycle']) / (1 + FLOORS['cycle']))
              + WEIGHTS['color'] * math.log((5 + FLOORS['color']) / (4 + FLOORS['color']))
              + WEIGHTS['warp'] * math.log((1 + FLOORS['warp']) / (2 + FLOORS['warp'])))
    assert loss_against(student, teacher, WEIGHTS, FLOORS) == pytest.approx(wanted / sum(WEIGHTS.values()))
    assert loss_against(teacher, student, WEIGHTS, FLOORS) == pytest.approx(-wanted / sum(WEIGHTS.values()))
    assert loss_against(teacher, teacher, WEIGHTS, FLOORS) == 0


def test_a_witness_that_says_nothing_is_left_out():
    nan = float('nan')
    teacher, student = dict(cycle=1., color=4., warp=nan, motion=3.), dict(cycle=0.5, color=4., warp=nan, motion=9.)
    wanted = WEIGHTS['cycle'] * math.log((0.5 + FLOORS['cycle']) / (1 + FLOORS['cycle']))
    assert loss_against(student, teacher, WEIGHTS, FLOORS) == pytest.approx(
        wanted / (WEIGHTS['cycle'] + WEIGHTS['color']))
    assert mean_observation([dict(cycle=1., warp=nan), dict(cycle=3., warp=6.)]) == dict(cycle=2., warp=6.)


def test_what_lies_over_the_scene_is_not_judged():
    one, two, fw, bw = moved()
    fixed = torch.zeros(1, 1, 40, 48, dtype=torch.bool)
    fixed[..., :12] = True
    over = [torch.where(fixed, torch.full_like(frame, 0.3), frame) for frame in (one, two)]
    lost = torch.where(fixed, torch.full_like(fw, 9.), fw)  # whatever is said of the overlay
    seen, other = (pair_witnesses(*over, flow, bw, 1., fixed) for flow in (fw, lost))
    assert seen['color'] == pytest.approx(other['color'], abs=1e-6) and seen['motion'] == other['motion'] == 2
    assert seen['color'] < 1 < pair_witnesses(*over, lost, bw, 1.)['color']
    nothing = pair_witnesses(one, two, fw, bw, 1., torch.zeros_like(fixed))
    assert nothing == pair_witnesses(one, two, fw, bw, 1.)
