"""The official RAFT inside mmflow: the same numbers as the authors' code, the same names as mmflow's encoder."""
from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from mmengine.config import Config

from mmrefine.compat.checkpoints import load_checkpoint_file
from mmrefine.compat.official_checkpoints import convert_raft
from mmrefine.errors import ConfigError
from mmrefine.fileio.flow_io import read_flow
from mmrefine.fileio.images import read_image
from mmrefine.models.networks import OfficialRAFTEncoder
from mmrefine.registry import MODELS

CONFIGS = Path(__file__).parents[2] / 'configs' / '_base_' / 'models'
PAIRS = {
    **{
        f'chairs/000000{i}': (f'000000{i}-img0.ppm', f'000000{i}-img1.ppm', f'000000{i}-gt.flo')
        for i in range(5)
    },
    'rubberwhale': ('frame10.png', 'frame11.png', 'flow10.flo'),
    'sintel_alley_1': ('frame_0001.png', 'frame_0002.png', 'frame_0001.flo'),
}
NORMS = {'batch': dict(type='BN'), 'instance': dict(type='IN'), 'none': None}


def build(config):
    """The refiner of a base config."""
    return MODELS.build(Config.fromfile(CONFIGS / config).model)


@lru_cache(maxsize=None)
def official_small(weights):
    refiner = build('raft_small.py').eval()
    state, _ = convert_raft(load_checkpoint_file(weights))
    refiner.estimator.load_state_dict(state, strict=True)
    return refiner


@lru_cache(maxsize=None)
def estimated_and_true(shared_data, pair):
    """Flow of our RAFT-small as the config sets it, ground truth, and where it is known; numpy (H, W, ...)."""
    folder = shared_data / 'flow_pairs' / pair.split('/')[0]
    first, second, truth = (folder / name for name in PAIRS[pair])
    frames = [torch.from_numpy(read_image(path)).permute(2, 0, 1)[None] / 255 for path in (first, second)]
    with torch.inference_mode():
        flow = official_small(shared_data / 'weights' / 'raft-small.pth').estimate(*frames)[-1]
    return (flow[0].permute(1, 2, 0).numpy(), *read_flow(truth))


@pytest.mark.parametrize('pair', PAIRS)
def test_epe_with_official_weights_is_that_of_the_official_code(shared_data, pair):
    oracle = json.loads((shared_data / 'oracles' / 'raft_small_epe.json').read_text())['pairs']
    assert set(oracle) == set(PAIRS)
    flow, truth, valid = estimated_and_true(shared_data, pair)
    epe = np.linalg.norm(flow - truth, axis=-1)[valid]
    assert epe.mean() == pytest.approx(oracle[pair]['epe'], abs=1e-3)
    assert 100 * (epe < 1).mean() == pytest.approx(100 * oracle[pair]['px1_accuracy'], abs=0.01)


def test_flow_with_official_weights_is_that_of_the_official_code(shared_data):
    oracle = np.load(shared_data / 'oracles' / 'raft_small_chairs_0000000.npz')['flow']
    flow = estimated_and_true(shared_data, 'chairs/0000000')[0]
    distance = np.linalg.norm(flow - oracle, axis=-1)
    assert distance.mean() < 1e-3
    assert distance.max() < 1e-2


def authors_encoder(x, state, net_type, norm):
    """The authors' encoder in formulas, from a state dict with our names; frozen statistics for batch norm."""

    def conv_norm(x, conv, norm_name, stride=1, relu=True):
        weight = state[f'{conv}.weight']
        x = F.conv2d(x, weight, state[f'{conv}.bias'], stride, weight.shape[-1] // 2)
        if norm == 'instance':
            x = (x - x.mean((2, 3), keepdim=True)) / (x.var((2, 3), unbiased=False, keepdim=True) + 1e-5).sqrt()
        elif norm == 'batch':
            mean, var, scale, shift = (
                state[f'{norm_name}.{name}'].view(-1, 1, 1)
                for name in ('running_mean', 'running_var', 'weight', 'bias'))
            x = (x - mean) / (var + 1e-5).sqrt() * scale + shift
        return x.clamp(min=0) if relu else x

    x = conv_norm(x, 'conv1', 'bn1', stride=2)
    for stage in (1, 2, 3):
        for block in (0, 1):
            name, stride = f'res_layer{stage}.{block}', 2 if stage > 1 and block == 0 else 1
            y = x
            for i in (1, 2) if net_type == 'Basic' else (1, 2, 3):
                strided = i == (1 if net_type == 'Basic' else 2)
                y = conv_norm(y, f'{name}.conv{i}', f'{name}.bn{i}', stride if strided else 1)
            if stride == 2:
                x = conv_norm(x, f'{name}.downsample.0', f'{name}.downsample.1', 2, relu=False)
            x = (x + y).clamp(min=0)
    return F.conv2d(x, state['conv2.weight'], state['conv2.bias'])


@pytest.mark.parametrize('norm', NORMS)
@pytest.mark.parametrize('net_type', ['Basic', 'Small'])
def test_encoder_computes_what_the_authors_wrote(net_type, norm):
    torch.manual_seed(0)
    encoder = OfficialRAFTEncoder(3, 24, net_type, NORMS[norm]).double().eval()
    for name, tensor in encoder.state_dict().items():  # no norm may look like the identity
        if tensor.dim() == 1:
            tensor.uniform_(0.5, 1.5)
    x = torch.randn(2, 3, 40, 56, dtype=torch.double)
    out = encoder(x)
    assert out.shape == (2, 24, 5, 7)
    torch.testing.assert_close(out, authors_encoder(x, encoder.state_dict(), net_type, norm))


@pytest.mark.parametrize('norm', ['batch', 'instance'])
@pytest.mark.parametrize('net_type, differs', [('Basic', False), ('Small', True)])
def test_encoder_is_that_of_mmflow_but_for_the_relu_of_the_bottleneck(net_type, differs, norm):
    encoders = pytest.importorskip('mmflow.models.encoders')
    stock = encoders.RAFTEncoder(3, 24, net_type, norm_cfg=NORMS[norm]).eval()
    ours = OfficialRAFTEncoder(3, 24, net_type, NORMS[norm]).eval()
    ours.load_state_dict(stock.state_dict(), strict=True)
    x = torch.randn(1, 3, 40, 56, generator=torch.Generator().manual_seed(0))
    distance = (ours(x) - stock(x)).abs().max().item()
    # F13: once mmflow's bottleneck has the ReLU too, ours is only needed without a norm
    assert distance > 1e-2 if differs else distance < 1e-5


def test_encoder_without_a_norm_has_nothing_but_convolutions():
    kinds = {name.rsplit('.', 2)[-2].rstrip('0123456789')
             for name in OfficialRAFTEncoder(norm_cfg=None, net_type='Small').state_dict()
             if '.downsample.' not in name}
    assert kinds == {'conv'}


def test_an_unknown_net_type_is_refused_by_name():
    with pytest.raises(ConfigError, match="net_type is 'Tiny', but there are only 'Basic' and 'Small'"):
        OfficialRAFTEncoder(net_type='Tiny')


@pytest.mark.parametrize('config, parameters', [
    ('raft_official.py', 5_257_536),  # as torchvision publishes for raft_large and raft_small
    ('raft_small.py', 990_162)
])
def test_a_config_builds_the_published_number_of_parameters(config, parameters):
    assert sum(p.numel() for p in build(config).estimator.parameters()) == parameters


@pytest.mark.parametrize('config', ['raft_official.py', 'raft_small.py'])
def test_a_config_trains_with_12_and_tests_with_32_iterations(config):
    refiner = build(config)
    frames = torch.rand(1, 2, 3, 128, 128)
    with torch.no_grad():
        assert len(refiner.plain_flows(frames[:, 0], frames[:, 1])) == 32
    assert refiner.train_iters == 12


def test_every_parameter_of_the_basic_network_learns_and_its_batch_norms_can_be_frozen():
    network = build('raft_official.py').estimator.train()
    network.freeze_bn()
    before = {k: v.clone() for k, v in network.state_dict().items() if 'running' in k}
    network.decoder.iters = 1
    network(torch.rand(1, 6, 128, 128), mode='tensor')[0].abs().sum().backward()
    assert [name for name, p in network.named_parameters() if p.grad is None] == []
    assert before and all(torch.equal(v, network.state_dict()[k]) for k, v in before.items())


def test_weights_start_as_the_authors_start_them():
    encoder = OfficialRAFTEncoder(3, 256, 'Basic', dict(type='BN'))
    encoder.init_weights()
    weight = encoder.conv1.weight  # He et al. 2015, fan out: variance 2 / (64 * 7 * 7)
    assert weight.std().item() == pytest.approx((2 / (64 * 49))**0.5, rel=0.03)
    assert torch.equal(encoder.bn1.weight, torch.ones(64))
