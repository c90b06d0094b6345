"""The encoder of CorrFlow has the layers, sizes and numbers of parameters of the paper."""
from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from mmrefine.errors import ConfigError, InputError
from mmrefine.models.networks import CorrFlowEncoder
from mmrefine.registry import MODELS


@pytest.fixture(scope='module')
def network():
    """With statistics of batch norm that are not those it begins with."""
    torch.manual_seed(0)
    found = MODELS.build(dict(type='CorrFlowEncoder'))
    for module in found.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            for value, low, high in ((module.weight, 0.5, 1.5), (module.bias, -0.5, 0.5),
                                     (module.running_mean, -0.5, 0.5), (module.running_var, 0.5, 2.)):
                torch.nn.init.uniform_(value, low, high)
    return found.eval()


def test_the_numbers_of_parameters_are_the_published_ones(network):
    assert sum(value.numel() for value in network.parameters()) == 5_291_648
    assert sum(value.numel() for value in network.head.parameters()) == 147_520
    assert not [name for name, value in network.named_parameters() if not value.requires_grad]


def test_each_stage_has_the_size_and_the_channels_of_the_paper(network):
    x = torch.rand(2, 3, 64, 96)
    x = network.relu(network.bn1(network.conv1(x)))
    assert x.shape == (2, 64, 32, 48)
    for stage, (channels, stride) in zip(network.layers, ((64, 2), (128, 4), (256, 4), (256, 4))):
        x = stage(x)
        assert len(stage) == 2 and x.shape == (2, channels, 64 // stride, 96 // stride)
    assert network.head(x).shape == (2, 64, 16, 24) == network(torch.rand(2, 3, 64, 96)).shape


@pytest.mark.parametrize('size, cells', [((33, 46), (9, 12)), ((9, 8), (3, 2)), ((480, 8), (120, 2))])
def test_cells_are_a_quarter_of_the_frame_rounded_up(network, size, cells):
    assert network(torch.rand(1, 3, *size)).shape[2:] == cells
    assert network.stride == 4


def test_frames_of_which_the_guard_would_see_nothing_are_refused(network):
    with pytest.raises(InputError, match=r'frames of 8x7 px .* are too small for CorrFlow, which needs 8 px a side'):
        network(torch.rand(1, 3, 8, 7))


def test_features_are_those_of_the_formula(network):
    state = network.state_dict()

    def norm(x, name):
        mean, var, weight, bias = (state[f'{name}.{part}'].view(-1, 1, 1)
                                   for part in ('running_mean', 'running_var', 'weight', 'bias'))
        return (x - mean) / (var + 1e-5).sqrt() * weight + bias

    frames = torch.rand(2, 3, 24, 40)
    x = norm(F.conv2d(frames, state['conv1.weight'], stride=2, padding=3), 'bn1').relu()
    for stage, stride in enumerate((1, 2, 1, 1)):
        for block in (0, 1):
            name, step = f'layers.{stage}.{block}', 1 if block else stride
            y = norm(F.conv2d(x, state[f'{name}.conv1.weight'], stride=step, padding=1), f'{name}.bn1').relu()
            y = norm(F.conv2d(y, state[f'{name}.conv2.weight'], padding=1), f'{name}.bn2')
            if stage in (1, 2) and not block:  # where channels or size change
                x = norm(F.conv2d(x, state[f'{name}.downsample.0.weight'], stride=step), f'{name}.downsample.1')
            x = (y + x).relu()
    wanted = F.conv2d(x, state['head.weight'], state['head.bias'], padding=1)
    before = frames.clone()
    torch.testing.assert_close(network(frames), wanted, atol=1e-4 * float(wanted.abs().max()), rtol=0)
    assert torch.equal(frames, before)  # what is done in place is done to its own tensors
    assert len(state) == 1 + 5 + 8 * 12 + 2 * 6 + 2  # nothing of it was left out above


def test_every_parameter_learns():
    torch.manual_seed(0)
    network = CorrFlowEncoder()
    network.init_weights()
    network(torch.rand(2, 3, 16, 24)).square().mean().backward()
    assert all(float(value.grad.abs().sum()) > 0 for value in network.parameters())


def test_it_begins_with_the_weights_that_pytorch_draws_as_the_authors_code_does():
    torch.manual_seed(0)
    first = torch.nn.Conv2d(3, 64, 7, stride=2, padding=3, bias=False)
    torch.manual_seed(0)
    network = CorrFlowEncoder()
    network.init_weights()
    assert torch.equal(network.conv1.weight, first.weight)
    # nor is any layer louder: a cell would copy from the neighbour with the longest features, wherever it is
    for layer in network.modules():
        if isinstance(layer, torch.nn.Conv2d):
            inputs = layer.weight[0].numel()
            assert float(layer.weight.detach().abs().max()) <= inputs ** -0.5


def test_the_number_of_features_is_an_option_that_is_checked():
    assert CorrFlowEncoder(out_channels=7)(torch.rand(1, 3, 8, 8)).shape == (1, 7, 2, 2)
    with pytest.raises(ConfigError, match='CorrFlowEncoder.out_channels.*0'):
        CorrFlowEncoder(out_channels=0)
