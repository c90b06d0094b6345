"""Shares are kept to the pair, and each part is drawn as if it were alone."""
from itertools import islice

import numpy as np
import pytest

from mmrefine.datasets import DrawSampler, MixedSampler, samplers
from mmrefine.errors import ConfigError
from mmrefine.schedule import Schedule, Shares


class Parts:
    """A data set of 5 items of ``true`` and 7 of ``pseudo``, or of other parts."""

    def __init__(self, **sizes):
        self.part_sizes = sizes or dict(true=5, pseudo=7)

    def __len__(self):
        return sum(self.part_sizes.values())


def sampler_of(shares, data=None, batch=4, steps=100, **more):
    sampler = MixedSampler(data or Parts(), shares, seed=3, **more)
    sampler.set_course(batch, steps)
    return sampler


def draws_of(sampler, count):
    return list(islice(iter(sampler), count))


def counts(draws, batch=4, first=5):
    """Of each batch, how many draws are from the first part."""
    return [sum(index < first for index, *_ in draws[k:k + batch]) for k in range(0, len(draws), batch)]


@pytest.mark.parametrize('shares, wanted', [
    (dict(true=0.5, pseudo=0.5), [2] * 10),
    (dict(true=1, pseudo=3), [1] * 10),                         # only proportions count
    (dict(true=0.75), [3] * 10),                                # the other part takes the rest
    (dict(true=0.1), [0, 1, 0, 1, 0, 0, 1, 0, 1, 0]),           # 0.4, 0.8, 1.2, … to the nearest whole number
    (dict(true=0., pseudo=1.), [0] * 10),
])
def test_each_batch_has_what_its_shares_have_added_up_to(shares, wanted):
    assert counts(draws_of(sampler_of(shares), 40)) == wanted


def test_shares_run_linearly_from_knot_to_knot():
    # 8, 6, 4, 2, 0, 0, … of 8: half of the training fades the part out
    draws = draws_of(sampler_of(dict(true=[(0., 1.), (0.5, 0.)]), batch=8, steps=8), 64)
    assert counts(draws, 8) == [8, 6, 4, 2, 0, 0, 0, 0]
    assert [progress for *_, progress in draws[::8]] == [k / 8 for k in range(8)]


@pytest.mark.parametrize('parts', [2, 3, 5])
def test_no_part_is_ever_a_pair_behind_its_share(parts):
    rng = np.random.default_rng(parts)
    names = 'abcde'[:parts]
    for batch in (1, 3, 8):
        shares = {name: [(0., float(rng.uniform(0.05, 1))), (1., float(rng.uniform(0.05, 1)))] for name in names}
        data = Parts(**{name: 4 for name in names})
        part_of = np.array([index // 4 for index, *_ in draws_of(sampler_of(shares, data, batch, 60), 60 * batch)])
        owed = np.cumsum([batch * np.array(Shares('', shares, names).at(step / 60)) for step in range(60)], axis=0)
        given = np.cumsum([np.bincount(part_of[k * batch:(k + 1) * batch], minlength=parts) for k in range(60)], axis=0)
        assert np.abs(owed - given).max() < (0.5 + 1e-9 if parts == 2 else 1.)


def test_a_part_is_drawn_as_if_it_were_alone_whatever_the_shares():
    for name, first, size in (('true', 0, 5), ('pseudo', 5, 7)):
        alone = draws_of(DrawSampler(range(size), seed=3), 20)
        for shares in ({name: 1.}, dict(true=0.5), dict(true=[(0., 0.2), (1., 0.9)])):
            drawn = draws_of(sampler_of({**dict(true=0., pseudo=0.), **shares} if name in shares else shares), 200)
            mine = [(index - first, number) for index, number, _ in drawn if first <= index < first + size]
            assert mine[:20] == alone


@pytest.mark.parametrize('start', [1, 8, 30, 57])
def test_a_start_continues_the_uninterrupted_sequence(start):
    shares = dict(true=[(0., 0.5), (1., 0.1)])
    whole = draws_of(sampler_of(shares, steps=20), 80)
    sampler = sampler_of(shares, steps=20)
    draws_of(sampler, 5)
    sampler.set_start(start)
    assert draws_of(sampler, 80 - start) == whole[start:]


@pytest.mark.parametrize('world', [2, 4])
def test_the_ranks_together_make_the_draws_of_one_and_each_gets_its_share(monkeypatch, world):
    alone = draws_of(sampler_of(dict(true=0.5), batch=8), 80)
    for rank in range(world):
        monkeypatch.setattr(samplers, 'get_dist_info', lambda rank=rank: (rank, world))
        mine = draws_of(sampler_of(dict(true=0.5), batch=8), 80 // world)
        assert mine == alone[rank::world]
        assert counts(mine, 8 // world) == [4 // world] * 10


def test_the_order_does_not_depend_on_the_loop_where_shares_are_constant():
    sampler = MixedSampler(Parts(), dict(true=0.5), seed=3, num_draws=8)
    assert counts(list(sampler)) == [2, 2] and {progress for *_, progress in sampler} == {None}
    assert len(sampler) == 8


@pytest.mark.parametrize('build, message', [
    (lambda: MixedSampler(range(3), dict(true=1.)), 'parts of a data set, and range has none'),
    (lambda: sampler_of(dict(truth=1.)), "shares names 'truth', which is no part of the data set; it has true, pseudo"),
    (lambda: sampler_of({}), 'leaves out true and pseudo'),
    (lambda: sampler_of(dict(true=-0.1)), r'shares.true must be finite and not negative, got -0.1'),
    (lambda: sampler_of(dict(true=0, pseudo=0)), 'must not sum to 0, and they do where 0 of the training'),
    (lambda: sampler_of(dict(true=[(0, 1), (0.5, 0)], pseudo=[(0.5, 0), (1, 1)])), 'do where 0.5 of the training'),
    (lambda: sampler_of(dict(true=[(0, 0.5), (1, 1.5)])), 'at most 1, as pseudo takes the rest, got 1.5 where 1'),
    (lambda: sampler_of(dict(true='half')), "shares.true must be a number, or knots"),
    (lambda: sampler_of(dict(true=[(0.5, 1), (0.2, 0)])), 'shares.true must have knots with rising progress'),
    (lambda: sampler_of(dict(true=[(0, 1), (2, 0)])), r'shares.true, progress of a knot, must lie in \[0, 1\], got 2'),
    (lambda: next(iter(MixedSampler(Parts(), dict(true=[(0, 1), (1, 0)])))), 'only SelfTrainingLoop with MixedSampler'),
    (lambda: sampler_of(dict(true=1.), batch=0), 'batch must be a whole number, at least 1, got 0'),
])
def test_shares_that_cannot_be_meant_are_refused(build, message):
    with pytest.raises(ConfigError, match=message):
        build()


def test_a_schedule_is_constant_outside_its_knots():
    schedule = Schedule('weight', [(0.25, 2.), (0.75, 1.)])
    assert [schedule.at(progress) for progress in (0., 0.25, 0.5, 0.75, 1.)] == [2., 2., 1.5, 1., 1.]
    assert Schedule('weight', 3).at(None) == Schedule('weight', [(0., 3.)]).at(0.7) == 3.
