"""The features that a network compares, of each family that has any."""
from __future__ import annotations

from functools import lru_cache

import pytest
import torch
from mmengine.config import Config

from mmrefine.compat.stock import stock_config_root
from mmrefine.errors import ConfigError
from mmrefine.models import FlowRefiner
from mmrefine.structures import FlowSample

# by stock config: the finest level that is compared, and px per cell of its features
FINEST = {
    'raft': (None, 8),
    'gma/gma': (None, 8),
    'flownetc': ('level3', 8),
    'pwcnet': ('level2', 4),
    'irrpwc': ('level2', 4),
    'maskflownets': ('level2', 4),
    'maskflownet': ('level2', 4),
    'liteflownet/liteflownet': ('level2', 2),
    'liteflownet2/liteflownet2': ('level3', 4),
}
LOSSES = [dict(type='ContrastiveFlowLoss', mode='sampled', exclude_within=0.)]


@lru_cache(maxsize=1)
def network_of(name):
    torch.manual_seed(0)
    return FlowRefiner(estimator=Config.fromfile(stock_config_root() / f'_base_/models/{name}.py').model).estimator


def refiner_of(name, **settings):
    return FlowRefiner(estimator=network_of(name), losses=LOSSES, **settings).train()


def seen_by_the_loss(refiner, inputs, *samples):
    """What the loss gets."""
    seen = []
    handle = refiner.losses['loss_contrastive_flow'].register_forward_hook(lambda _, args, output: seen.append(args[0]))
    results = refiner(inputs, list(samples), mode='loss')
    handle.remove()
    return seen[0], results['loss_contrastive_flow']


@pytest.mark.parametrize('name', FINEST)
def test_they_move_with_the_frames_and_the_loss_reaches_the_encoder(name):
    """Frame 2 is frame 1, 16 px further right; a random network matches that better than no motion, or a motion down.
    Frames of 120 px are padded by 4 px on each side."""
    level, stride = FINEST[name]
    refiner = refiner_of(name, train_iters=1 if level is None else None)
    frame = torch.nn.functional.interpolate(torch.rand(1, 3, 30, 32), scale_factor=4, mode='bicubic').clamp(0, 1)
    inputs = torch.stack([frame, frame.roll(16, dims=3)], dim=1)
    weight = torch.zeros(1, 120, 128)
    weight[:, 32:-32, 32:-48] = 1.
    values = {}
    for motion in ((16., 0.), (0., 16.), (0., 0.)):
        flow = torch.tensor(motion).view(2, 1, 1).expand(2, 120, 128)
        outputs, values[motion] = seen_by_the_loss(refiner, inputs, FlowSample(flow=flow, weight=weight))
    assert outputs.padding == ((0, 0, 0, 0) if level is None else (0, 0, 4, 4))
    height = 120 if level is None else 128
    assert all(feat.shape[-2:] == (height // stride, 128 // stride) for feat in outputs.features)
    assert values[16., 0.] < min(values[0., 16.], values[0., 0.]) - .3
    values[16., 0.].backward()
    network = getattr(refiner.estimator, 'maskflownetS', refiner.estimator)
    taught = {key for key, value in network.named_parameters() if value.grad is not None and value.grad.any()}
    refiner.zero_grad()
    assert taught and all(key.startswith('encoder.') for key in taught)


def test_another_level_may_be_chosen():
    refiner = refiner_of('pwcnet', feat='level4')
    sample = FlowSample(flow=torch.zeros(2, 64, 128), weight=torch.ones(1, 64, 128))
    outputs, _ = seen_by_the_loss(refiner, torch.rand(1, 2, 3, 64, 128), sample)
    assert [tuple(feat.shape) for feat in outputs.features] == [(1, 96, 4, 8)] * 2


def test_both_are_of_the_way_there_where_a_loss_asks_for_the_way_back():
    refiner = refiner_of('pwcnet')
    frames = torch.rand(2, 2, 3, 64, 64)
    samples = [FlowSample(flow=torch.zeros(2, 64, 64), weight=torch.ones(1, 64, 64))] * 2
    one_way, _ = seen_by_the_loss(refiner, frames, *samples)
    refiner.needs = refiner.needs | {'backward'}
    both, _ = seen_by_the_loss(refiner, frames, *samples)
    for found, wanted in zip(both.features, one_way.features):
        assert torch.allclose(found, wanted, atol=1e-6) and found.shape == wanted.shape
    assert not torch.allclose(both.features[0], both.features[1], atol=1e-3)


@pytest.mark.parametrize('name, level, message', [
    ('pwcnet', 'level1', "model.feat='level1': PWCNet compares features of level2, level3, level4, level5, "
     'level6; name one of these'),
    ('raft', 'level3', "model.feat='level3': RAFT has no features to choose from; leave it out"),
    ('flownets', 'level3', "model.feat='level3': FlowNetS has no features to choose from; leave it out"),
])
def test_a_level_that_is_not_there_is_named(name, level, message):
    with pytest.raises(ConfigError, match=message):
        FlowRefiner(estimator=network_of(name), feat=level)
