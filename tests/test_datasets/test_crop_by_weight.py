"""Crops by label weight: every chance is counted over all windows of a small frame."""
from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from mmrefine.datasets.transforms import RandomCrop
from mmrefine.errors import ConfigError

# windows of 2x2 px in a frame of 2x5: their left ends are 0..3, their weights 0, 1, 4, 3
COLUMNS = np.float32([0, 0, .5, 1.5, 0])
WEIGHT = np.tile(COLUMNS, (2, 1))[..., None]
TOTALS = np.array([0., 1., 4., 3.])


def left_ends(count, weight=WEIGHT, seed=0, **settings):
    """The left end of each of ``count`` crops; the frame's pixels hold their column."""
    crop, rng = RandomCrop((2, 2), **settings), np.random.default_rng(seed)
    frame = np.broadcast_to(np.arange(5, dtype=np.uint8)[None, :, None], (2, 5, 3))
    return [int(crop(dict(frame1=frame, frame2=frame, weight=weight, rng=rng))['frame1'][0, 0, 0])
            for _ in range(count)]


def chances(windows, pick='proportional', floor=0.):
    """Chance of each left end, by summing over all equally likely draws of that many windows."""
    found = np.zeros(4)
    for draw in product(range(4), repeat=windows):
        totals = TOTALS[list(draw)]
        if totals.sum() == 0:
            chosen = np.eye(windows)[0]
        elif pick == 'best':
            chosen = np.eye(windows)[totals.argmax()]
        else:
            chosen = totals / totals.sum()
        if totals.sum() > 0:
            chosen = (1 - floor) * chosen + floor / windows
        np.add.at(found, list(draw), chosen / 4**windows)
    return found


@pytest.mark.parametrize('settings', [
    dict(density=3), dict(density=3, pick='best'), dict(density=3, floor=.5), dict(density=3, pick='best', floor=.2),
    dict(density=1),
    dict(density=False, floor=.5), dict(density=3, floor=1.)])
def test_windows_come_up_as_often_as_counted(settings):
    wanted = chances(**dict(windows=int(settings['density']) or 1,
                            **{k: v for k, v in settings.items() if k != 'density'}))
    found = np.bincount(left_ends(4000, **settings), minlength=4) / 4000
    assert wanted.sum() == pytest.approx(1)
    assert found == pytest.approx(wanted, abs=4 * .5 / 4000**.5)             # four standard deviations of a share


def test_the_counted_chances_tell_the_settings_apart():
    """Guards the test above: its bound of 0.032 must not hide a setting."""
    kinds = [chances(3), chances(3, 'best'), chances(3, floor=.5), chances(3, 'best', .2), chances(1)]
    assert min(abs(a - b).max() for i, a in enumerate(kinds) for b in kinds[:i]) > .064
    assert chances(1).tolist() == [.25] * 4


@pytest.mark.parametrize('pick', ['proportional', 'best'])
def test_without_a_floor_an_empty_window_comes_up_only_in_empty_company_and_with_one_at_least_that_often(pick):
    assert chances(3, pick)[0] == pytest.approx(1 / 64)
    assert chances(3, pick, .4).min() >= .4 * .25
    assert left_ends(2000, density=16, pick=pick).count(0) == 0
    assert left_ends(2000, density=16, pick=pick, floor=.4).count(0) / 2000 == pytest.approx(.1, abs=.03)


def test_the_best_of_many_is_the_heaviest_window():
    assert set(left_ends(50, density=40, pick='best')) == {2}


def test_a_label_without_weight_is_cropped_at_random():
    found = np.bincount(left_ends(2000, np.zeros_like(WEIGHT), density=4, pick='best'), minlength=4) / 2000
    assert found == pytest.approx([.25] * 4, abs=.045)


@pytest.mark.parametrize('density', [False, True])
def test_settings_of_old_draw_the_same_numbers_and_cut_the_same_windows(density):
    """The draws spelled out: corners of 8 windows or of one, then one choice by weight;
    nothing more is taken from the generator.
    """
    weight = np.random.default_rng(3).random((20, 30, 1)).astype(np.float32)
    y, x = np.mgrid[:20, :30].astype(np.uint8)
    frame = np.stack([y, x, x], -1)
    for seed in range(20):
        rng, ours = np.random.default_rng(seed), np.random.default_rng(seed)
        count = 8 if density else 1
        tops, lefts = rng.integers(0, 14, size=count, endpoint=True), rng.integers(0, 22, size=count, endpoint=True)
        chosen = 0
        if density:
            totals = np.array([weight[a:a + 6, b:b + 8].sum(dtype=np.float64) for a, b in zip(tops, lefts)])
            chosen = rng.choice(8, p=totals / totals.sum())
        cut = RandomCrop((6, 8), density=density)(dict(frame1=frame, frame2=frame, weight=weight, rng=ours))
        assert cut['frame1'][0, 0, :2].tolist() == [tops[chosen], lefts[chosen]]
        assert ours.random() == rng.random()


@pytest.mark.parametrize('settings, said', [
    (dict(density=0), 'RandomCrop.density must be True, False or a number of windows, at least 1, got 0'),
    (dict(density=-3), 'RandomCrop.density .* got -3'),
    (dict(density=2.5), 'RandomCrop.density .* got 2.5'),
    (dict(pick='worst'), "RandomCrop.pick must be 'proportional' or 'best', got 'worst'"),
    (dict(floor=1.5), r'RandomCrop.floor must lie in \[0, 1\], got 1.5'),
])
def test_values_that_cannot_be_meant_are_refused_by_key_and_value(settings, said):
    with pytest.raises(ConfigError, match=said):
        RandomCrop((4, 4), **settings)
