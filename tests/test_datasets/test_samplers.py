"""Draws are numbered once and for all: the same whatever the ranks, workers and interruptions."""
from collections import Counter
from itertools import islice

import pytest

from mmrefine.datasets import DrawSampler, samplers
from mmrefine.errors import ConfigError

DATA = range(7)


def first(sampler, count):
    return list(islice(iter(sampler), count))


def test_draws_are_numbered_and_every_pass_is_another_permutation():
    draws = first(DrawSampler(DATA, seed=3), 35)
    assert [draw for _, draw in draws] == list(range(35))
    passes = [tuple(index for index, _ in draws[7 * k:7 * k + 7]) for k in range(5)]
    assert all(sorted(one) == list(DATA) for one in passes)
    assert len(set(passes)) == 5


def test_seeds_give_different_orders_and_one_seed_the_same():
    assert first(DrawSampler(DATA, seed=3), 20) == first(DrawSampler(DATA, seed=3), 20)
    assert first(DrawSampler(DATA, seed=3), 20) != first(DrawSampler(DATA, seed=4), 20)


def test_without_shuffle_the_data_are_walked_in_order():
    assert first(DrawSampler(DATA, seed=3, shuffle=False), 9) == [(k % 7, k) for k in range(9)]


@pytest.mark.parametrize('start', [1, 7, 12, 20])
def test_a_start_continues_the_uninterrupted_sequence(start):
    whole = first(DrawSampler(DATA, seed=3), 30)
    assert first(DrawSampler(DATA, seed=3, start=start), 30 - start) == whole[start:]
    sampler = DrawSampler(DATA, seed=3)
    first(sampler, 5)
    sampler.set_start(start)
    assert first(sampler, 30 - start) == whole[start:]


@pytest.mark.parametrize('start', [0, 5])
@pytest.mark.parametrize('world', [2, 3])
def test_the_ranks_together_make_the_draws_of_one(monkeypatch, world, start):
    alone = list(DrawSampler(DATA, seed=3, start=start, num_draws=20))
    shares = []
    for rank in range(world):
        monkeypatch.setattr(samplers, 'get_dist_info', lambda rank=rank: (rank, world))
        sampler = DrawSampler(DATA, seed=3, start=start, num_draws=20)
        shares.append(list(sampler))
        assert shares[-1] == alone[rank::world] and len(shares[-1]) == len(sampler)
    assert Counter(sum(shares, [])) == Counter(alone)


def test_num_draws_ends_the_sequence_and_start_counts_towards_it():
    sampler = DrawSampler(DATA, seed=3, num_draws=10)
    assert len(list(sampler)) == len(sampler) == 10
    sampler.set_start(8)
    assert [draw for _, draw in sampler] == [8, 9] and len(sampler) == 2
    sampler.set_start(10)
    assert list(sampler) == [] and len(sampler) == 0


def test_an_endless_sampler_is_as_long_as_one_pass():
    assert len(DrawSampler(DATA, seed=3)) == 7


@pytest.mark.parametrize('build, message', [
    (lambda: DrawSampler([], seed=0), 'the dataset is empty'),
    (lambda: DrawSampler(DATA, seed=0, start=-1), 'start must be at least 0, got -1'),
    (lambda: DrawSampler(DATA, seed=0, num_draws=-2), 'num_draws must be None or at least 0, got -2'),
    (lambda: DrawSampler(DATA, seed=0).set_start(-3), 'got -3'),
])
def test_impossible_draws_are_refused(build, message):
    with pytest.raises(ConfigError, match=message):
        build()
