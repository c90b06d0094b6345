from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest

from mmrefine.evaluation.guard.comparison import compare
from mmrefine.evaluation.guard.runs import LEAST_RUNS, correlation_of_neighbours, independent_runs, run_length


def autoregressive(correlation, count, rng):
    """A stationary series of variance 1 whose neighbours have this correlation."""
    values = [rng.normal()]
    for _ in range(count - 1):
        values.append(correlation * values[-1] + math.sqrt(1 - correlation**2) * rng.normal())
    return values


@pytest.mark.parametrize('count', [7, 12, 32, 200])
def test_independent_samples_are_each_a_run(count):
    rng = np.random.default_rng(0)
    lengths = [run_length(rng.normal(size=count), ['a'] * count) for _ in range(300)]
    assert np.mean([length == 1 for length in lengths]) > 0.75


@pytest.mark.parametrize('correlation', [0.5, 0.7, 0.9])
def test_correlated_samples_make_runs_as_long_as_theory_says_within_a_factor(correlation):
    rng, theory = np.random.default_rng(1), (1 + correlation) / (1 - correlation)
    lengths = [run_length(autoregressive(correlation, 200, rng), ['a'] * 200) for _ in range(50)]
    assert theory / 2 < np.median(lengths) < 1.5 * theory


def test_the_interval_of_a_correlated_series_misses_its_mean_far_less_often_than_that_of_single_samples():
    """The mean of such a series strays 1.7 times as far as that of independent samples."""
    rng, missed = np.random.default_rng(2), dict(runs=0, singles=0)
    for _ in range(400):
        losses = 0.1 * np.array(autoregressive(0.5, 32, rng))
        for name, clusters in (('runs', independent_runs(losses, ['a'] * 32)), ('singles', range(32))):
            found = compare(losses, clusters)
            missed[name] += not found.low < 0 < found.high
    assert missed['singles'] > 0.2 * 400 and missed['runs'] < 0.7 * missed['singles']


@pytest.mark.parametrize('shots, length', [(2, 3), (4, 5), (5, 12)])
def test_independent_samples_of_a_few_short_shots_are_runs_whatever_the_shots_differ_by(shots, length):
    rng, scenes = np.random.default_rng(3), [name for name in 'abcde'[:shots] for _ in range(length)]
    levels = np.repeat(10 * rng.normal(size=shots), length)
    found = [len(set(independent_runs(levels + rng.normal(size=len(scenes)), scenes))) for _ in range(300)]
    assert np.mean([count == len(scenes) for count in found]) > 0.85


def test_a_trend_is_a_correlation_and_alternating_samples_have_none():
    assert correlation_of_neighbours(range(30), ['a'] * 30) > 0.7
    assert run_length([1., -1.] * 10, ['a'] * 20) == 1


def test_runs_are_neighbours_of_equal_length_and_do_not_reach_beyond_a_scene():
    rng = np.random.default_rng(4)
    values = [*autoregressive(0.8, 60, rng), *autoregressive(0.8, 41, rng)]
    scenes = ['a'] * 60 + ['b'] * 41
    runs, length = independent_runs(values, scenes), run_length(values, scenes)
    assert length > 2 and runs == sorted(runs)  # no run comes twice
    sizes = {scene: [size for run, size in Counter(runs).items() if run[0] == scene] for scene in 'ab'}
    assert len(sizes['a']) == 60 // length and len(sizes['b']) == 41 // length
    assert all(max(some) - min(some) <= 1 and min(some) >= length for some in sizes.values())


def test_with_enough_scenes_whole_scenes_are_drawn():
    scenes = [f's{i}' for i in range(LEAST_RUNS) for _ in range(3)]
    assert independent_runs(range(len(scenes)), scenes) == scenes
    few = scenes[:-3]
    assert len(set(independent_runs(np.random.default_rng(5).normal(size=len(few)), few))) > LEAST_RUNS


def test_few_scenes_that_stand_for_others_and_differ_are_drawn_whole():
    rng, scenes = np.random.default_rng(6), [name for name in 'abc' for _ in range(4)]
    noise = rng.normal(size=12)
    apart = noise + np.repeat([0., 6., -6.], 4)
    assert independent_runs(apart, scenes, sampled=True) == scenes
    assert len(set(independent_runs(apart, scenes))) == 12  # they stand for themselves
    taken = [len(set(independent_runs(rng.normal(size=12), scenes, sampled=True))) == 3 for _ in range(300)]
    assert np.mean(taken) < 0.2  # one in ten of those that are alike, and what runs of neighbours make of it
    assert independent_runs([1., 1., 1.], ['a', 'a', 'b'], sampled=True) != ['a', 'a', 'b']


def test_equal_losses_and_single_samples_have_no_correlation():
    assert run_length([0.3] * 9, ['a'] * 9) == run_length([0.3], ['a']) == 1
    assert independent_runs([1., 2., 3.], ['a', 'b', 'c']) == [('a', 0), ('b', 0), ('c', 0)]
