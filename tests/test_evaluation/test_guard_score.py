from __future__ import annotations

import math

import pytest
import torch

from mmrefine.evaluation import Witness, distance, loss_against, mean_witness, witness
from mmrefine.evaluation.guard.score import FARTHEST, FLOORS, WEIGHTS


def moved(shift=2, size=(40, 48), seed=0):
    """A random picture and the same one moved to the right, and its true motion both ways."""
    wide = torch.rand(1, 3, size[0], size[1] + shift, generator=torch.Generator().manual_seed(seed))
    flow = torch.zeros(1, 2, *size)
    flow[:, 0] = shift
    return wide[..., shift:], wide[..., :-shift], flow, -flow


def test_the_true_motion_comes_back_and_keeps_its_colours_but_where_it_leaves_the_frame():
    one, two, fw, bw = moved(shift=2)
    found = witness(one, two, fw, bw)
    assert found.cycle == pytest.approx(FARTHEST * 2 / 48 / (1 + 2))
    assert found.color == pytest.approx(0, abs=1e-3)
    assert found.motion == 2 and math.isnan(found.warp)


def test_a_wrong_motion_that_comes_back_is_seen_by_its_colours():
    one, two, fw, bw = moved()
    right, wrong = witness(one, two, fw, bw), witness(one, two, 0 * fw, 0 * bw)
    assert wrong.cycle == 0 < right.cycle
    assert wrong.color > 20 > right.color


def test_brighter_exposure_is_not_held_against_the_motion():
    one, two, fw, bw = moved()
    assert witness(one, two * 0.7, fw, bw).color == pytest.approx(0, abs=1e-2)


def test_motion_that_flees_the_frame_does_not_flatter():
    one, two, fw, bw = moved()
    fled = witness(one, two, fw + 100, bw)
    assert fled.cycle == pytest.approx(FARTHEST / (1 + fled.motion)) and fled.color == 255
    assert loss_against(fled, witness(one, two, fw, bw)) > 1


def test_the_worst_tenth_is_that_of_the_whole_of_a_large_frame():
    one, two, fw, bw = moved(shift=100, size=(2200, 700))
    two = torch.cat([two[..., :1800, :], 1 - two[..., 1800:, :]], dim=-2)
    upside_down = [frames.flip(-2) for frames in (one, two, fw, bw)]
    assert witness(one, two, fw, bw).color == pytest.approx(witness(*upside_down).color, rel=.01)


def test_nan_counts_as_far_off():
    one, two, fw, bw = moved()
    lost = fw.clone()
    lost[..., :10] = float('nan')
    assert witness(one, two, lost, bw).cycle > witness(one, two, fw, bw).cycle
    assert distance(lost, fw, torch.ones_like(fw[:, :1])) == pytest.approx(FARTHEST * 10 / 48)


def test_a_distance_is_a_weighted_mean():
    truth = torch.zeros(1, 2, 4, 4)
    flow = truth.clone()
    flow[0, :, 0, 0] = torch.tensor([3., 4.])
    flow[0, :, 1, 1] = torch.tensor([300., 400.])
    weight = torch.ones(1, 1, 4, 4)
    assert distance(flow, truth, weight) == pytest.approx((5 + FARTHEST) / 16)
    weight[0, 0, 1, 1] = 0
    weight[0, 0, 0, 0] = 0.5
    assert distance(flow, truth, weight) == pytest.approx(2.5 / 14.5)
    assert math.isnan(distance(flow, truth, 0 * weight))


def test_a_slow_motion_that_misses_by_as_much_less_gains_nothing():
    one, two, fw, bw = moved(shift=8)
    fast, slow = (witness(one, two, part * fw, -0.5 * part * fw) for part in (1., 0.5))
    # misses by half of its motion either way; what leaves the frame counts apart
    inside = [(found.cycle * (1 + found.motion) - FARTHEST * found.motion / 48) / (1 - found.motion / 48) for found in (fast, slow)]
    assert inside == pytest.approx([4, 2])


def test_the_loss_is_the_weighted_mean_of_logarithms():
    teacher, student = Witness(1., 4., 2., 3.), Witness(0.5, 5., 1., 9.)
    wanted = (WEIGHTS['cycle'] * math.log((0.5 + FLOORS['cycle']) / (1 + FLOORS['cycle']))
              + WEIGHTS['color'] * math.log((5 + FLOORS['color']) / (4 + FLOORS['color']))
              + WEIGHTS['warp'] * math.log((1 + FLOORS['warp']) / (2 + FLOORS['warp'])))
    assert loss_against(student, teacher) == pytest.approx(wanted / sum(WEIGHTS.values()))
    assert loss_against(teacher, student) == pytest.approx(-wanted / sum(WEIGHTS.values()))
    assert loss_against(teacher, teacher) == 0


def test_a_witness_that_says_nothing_is_left_out():
    nan = float('nan')
    teacher, student = Witness(1., 4., nan, 3.), Witness(0.5, 4., nan, 9.)
    assert loss_against(student, teacher) == pytest.approx(
        WEIGHTS['cycle'] * math.log((0.5 + FLOORS['cycle']) / (1 + FLOORS['cycle'])) / (WEIGHTS['cycle'] + WEIGHTS['color']))
    assert mean_witness([Witness(1., 2., nan, 4.), Witness(3., 4., 6., 6.)]) == Witness(2., 3., 6., 5.)
