"""Starts of every quality: how far from the label, how often they are drawn, and that training begins there."""
from __future__ import annotations

import pytest
import torch

from mmrefine.errors import ConfigError
from mmrefine.models import FlowRefiner, RandomStart

PAIRS = 4000


def starts(flow=(24., -10.), weight=1., **settings):
    torch.manual_seed(0)
    target = torch.tensor(flow).view(1, 2, 1, 1).expand(PAIRS, 2, 8, 8)
    return RandomStart(**settings)(target, torch.full((PAIRS, 1, 8, 8), weight)), target


def test_as_many_pairs_as_prob_says_start_away_from_zero():
    start, _ = starts(prob=0.7)
    assert (start.flatten(1).abs().sum(1) > 0).float().mean().item() == pytest.approx(0.7, abs=0.03)


def test_without_shift_and_bend_three_quarters_start_at_the_label_and_the_others_on_the_way_to_it():
    start, target = starts(prob=1., shift=0., bend=0.)
    share = start[:, 0, 0, 0] / target[:, 0, 0, 0]
    assert torch.allclose(start, share.view(-1, 1, 1, 1) * target, atol=1e-5)
    assert (share == 1).float().mean().item() == pytest.approx(0.75, abs=0.03)
    on_the_way = share[share < 1]
    assert 0 <= on_the_way.min() < 0.02 and 0.98 < on_the_way.max()
    assert on_the_way.mean().item() == pytest.approx(0.5, abs=0.03)


def test_a_shift_is_one_vector_for_the_pair_no_longer_than_said_in_every_direction_and_mostly_short():
    start, _ = starts(flow=(0., 0.), prob=1., shift=16., bend=0.)
    assert torch.equal(start, start[..., :1, :1].expand_as(start))
    vector = start[..., 0, 0]
    length = vector.norm(dim=1)
    assert 15 < length.max() <= 16.001
    # u^2 v with u, v uniform: mean 1/3 * 1/2
    assert length.mean().item() == pytest.approx(16 / 6, rel=0.05)
    assert vector.mean(0).abs().max() < 0.2


def test_a_bend_is_smooth_and_has_the_deviation_that_was_asked_for():
    torch.manual_seed(0)
    target, weight = torch.zeros(PAIRS, 2, 40, 40), torch.ones(PAIRS, 1, 40, 40)
    start = RandomStart(prob=1., shift=0., bend=4., knots=5)(target, weight)
    # u^4 has the mean 1/5; the knots lie at the centres of 8 px blocks, between which cubic interpolation damps
    assert start.pow(2).mean().sqrt().item() == pytest.approx(4 / 5**0.5, rel=0.3)
    step = (start[..., 1:] - start[..., :-1]).pow(2).mean().sqrt()
    assert step < 0.3 * start.pow(2).mean().sqrt()


def test_what_has_no_weight_counts_as_no_motion_even_if_it_is_nan():
    start, _ = starts(flow=(float('nan'), 1.), weight=0., prob=1., shift=0., bend=0.)
    assert torch.equal(start, torch.zeros_like(start))


@pytest.mark.parametrize('key, value', [('prob', 1.5), ('shift', -1.), ('bend', -0.1), ('knots', 1)])
def test_a_value_out_of_range_is_named(key, value):
    with pytest.raises(ConfigError, match=f'RandomStart.{key} .*{value}'):
        RandomStart(**{key: value})


def test_training_begins_at_the_start_and_prediction_at_zero(build_raft, label):
    refiner = build_raft(train_start=dict(type='RandomStart', prob=1., shift=0., bend=0.))
    seen = []
    refiner.estimator.decoder.corr_lookup.register_forward_hook(
        lambda module, inputs, output: seen.append(inputs[1].clone()))
    torch.manual_seed(3)
    refiner(torch.rand(8, 2, 3, 64, 64), [label(64, 64, flow=16.) for _ in range(8)], mode='loss')
    first = seen[0].flatten(1)
    assert torch.equal(first, first[:, :1].expand_as(first))
    # 16 px are two cells
    assert (first[:, 0] == 2).sum() >= 4 and first.max() == 2
    seen.clear()
    refiner.estimate(*torch.rand(2, 1, 3, 64, 64))
    assert not seen[0].any()


def test_a_network_that_cannot_start_from_a_flow_refuses():
    with pytest.raises(ConfigError, match='model.train_start: PWCNet cannot start from a flow'):
        FlowRefiner(
            estimator=dict(
                type='PWCNet',
                encoder=dict(
                    type='PWCNetEncoder',
                    in_channels=3,
                    net_type='Basic',
                    pyramid_levels=['level1', 'level2', 'level3', 'level4', 'level5', 'level6'],
                    out_channels=(16, 32, 64, 96, 128, 196)),
                decoder=dict(
                    type='PWCNetDecoder',
                    in_channels=dict(level6=81, level5=213, level4=181, level3=149, level2=117),
                    flow_div=20.,
                    corr_cfg=dict(type='Correlation', max_displacement=4, padding=0))),
            train_start=dict(type='RandomStart'))
