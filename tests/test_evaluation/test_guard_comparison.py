from __future__ import annotations

import math

import numpy as np
import pytest

from mmrefine.evaluation.guard.comparison import compare, compare_all, student_quantile


def test_the_same_gain_everywhere_is_sure():
    found = compare([-0.1] * 8, range(8))
    assert found.is_better and found.better == 1 and found.pairs == 8
    for value in (found.change, found.low, found.high):
        assert value == pytest.approx(math.expm1(-0.1))


def test_a_mixed_change_is_not():
    found = compare([-0.3, 0.28] * 5, range(10))
    assert found.change < 0 < found.high and not found.is_better and found.better == 0.5


def test_the_interval_is_that_of_the_normal_distribution_where_there_are_many_pairs():
    values = np.random.default_rng(0).normal(-0.01, 0.1, 400)
    found = compare(values, range(400))
    half = 1.96 * values.std() / math.sqrt(400)
    assert math.log1p(found.low) == pytest.approx(values.mean() - half, abs=0.15 * half)
    assert math.log1p(found.high) == pytest.approx(values.mean() + half, abs=0.15 * half)


@pytest.mark.parametrize('clusters', [2, 3, 4, 7, 16])
def test_nothing_is_seldom_taken_for_a_gain(clusters):
    """However few they are: a plain bootstrap would call every fourth change of nothing sure with two."""
    rng = np.random.default_rng(1)
    called = sum(compare(rng.normal(0, 0.1, clusters), range(clusters)).is_better for _ in range(800))
    assert called <= 800 * 0.025 + 3 * math.sqrt(800 * 0.025)


@pytest.mark.parametrize('freedom, table',
                         [(1, 12.706), (2, 4.303), (3, 3.182), (6, 2.447), (30, 2.042), (1000, 1.962)])
def test_quantiles_of_student_are_those_of_the_tables(freedom, table):
    assert student_quantile(0.975, freedom) == pytest.approx(table, abs=1e-3)
    assert student_quantile(0.025, freedom) == pytest.approx(-table, abs=1e-3)


def test_two_pairs_that_agree_by_chance_prove_little():
    assert (not compare([-0.02, -0.03], range(2)).is_better
            and not compare([-0.2, -0.05, -0.1], range(3), 0.99).is_better)


def test_a_pair_said_often_is_said_once():
    values = np.random.default_rng(2).normal(-0.05, 0.1, 12)
    once = compare(values, range(12))
    often = compare(np.repeat(values, 7), np.repeat(np.arange(12), 7))
    assert (often.low, often.high) == pytest.approx((once.low, once.high))
    assert compare(np.repeat(values, 7), range(84)).high < once.high


def test_more_confidence_widens_the_interval():
    values = np.random.default_rng(3).normal(-0.05, 0.1, 12)
    wide, narrow = compare(values, range(12), 0.99), compare(values, range(12), 0.8)
    assert wide.low < narrow.low < narrow.high < wide.high


def test_one_scene_alone_proves_nothing():
    found = compare([-0.5, -0.6], ['a', 'a'])
    assert not found.is_better and found.high == math.inf and found.to_dict()['interval_percent'][1] is None


def test_the_same_seed_says_the_same():
    values = np.random.default_rng(4).normal(0, 0.1, 9)
    assert compare(values, range(9), seed=5) == compare(values, range(9), seed=5)
    assert compare(values, range(9), seed=5) != compare(values, range(9), seed=6)


@pytest.mark.parametrize('losses, clusters', [([], []), ([1.], ['a', 'b'])])
def test_nothing_to_compare_is_refused(losses, clusters):
    with pytest.raises(ValueError, match=f'got {len(losses)} and {len(clusters)}'):
        compare(losses, clusters)


def test_five_clusters_that_agree_prove_nothing_and_six_do():
    assert not compare([-0.1] * 5, range(5)).is_better and compare([-0.1] * 6, range(6)).is_better
    assert compare([-0.1] * 6, [0, 0, 1, 1, 2, 2]).runs == 3


@pytest.mark.parametrize('clusters', [7, 20])
@pytest.mark.parametrize('alike', [0., 0.9])
def test_of_several_candidates_that_gain_nothing_any_is_seldom_taken_for_better(clusters, alike):
    rng = np.random.default_rng(8)

    def candidates():
        common = rng.normal(0, 0.1, clusters)
        return [math.sqrt(alike) * common + math.sqrt(1 - alike) * rng.normal(0, 0.1, clusters) for _ in range(4)]

    called = sum(any(one.is_better for one in compare_all(candidates(), range(clusters))) for _ in range(400))
    assert called <= 400 * 0.025 + 3 * math.sqrt(400 * 0.025)


def test_candidates_that_are_alike_cost_no_more_than_one():
    values = np.random.default_rng(6).normal(-0.05, 0.1, 12)
    alone = compare(values, range(12))
    for found, factor in zip(compare_all([values, values, 2 * values], range(12)), (1, 1, 2)):
        ends = math.log1p(found.low) / factor, math.log1p(found.high) / factor
        assert ends == pytest.approx((math.log1p(alone.low), math.log1p(alone.high)))


def test_candidates_that_differ_cost_no_more_than_their_number():
    rng = np.random.default_rng(7)
    values = rng.normal(-0.05, 0.1, (4, 30))
    alone = [compare(one, range(30)) for one in values]
    bonferroni = [compare(one, range(30), 1 - 0.05 / 4) for one in values]
    for end in ('low', 'high'):  # on average: a candidate also pays for the longer tails of others
        near, found, far = (np.array([getattr(one, end) for one in some])
                            for some in (alone, compare_all(values, range(30)), bonferroni))
        assert (np.abs(found - near) > 0).all() and np.abs(found - near).mean() < 1.2 * np.abs(far - near).mean()


def test_candidates_need_the_same_pairs():
    with pytest.raises(ValueError, match='got 2 and 3 and 2'):
        compare_all([[1., 2.], [1., 2., 3.]], range(2))
