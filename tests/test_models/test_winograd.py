"""Convolutions by Winograd's minimal filtering against the plain ones, in float64 and by PyTorch."""
import pytest
import torch
import torch.nn.functional as F

from mmrefine.models.raft_fast import winograd
from mmrefine.models.raft_fast.winograd import WinogradConvolutions, convolve, transform_weights


@pytest.fixture(autouse=True)
def _no_gradients():
    with torch.no_grad():
        yield


def _case(batch=2, channels=72, out=64, size=(12, 16)):
    torch.manual_seed(0)
    inputs = torch.randn(batch, channels, *size).contiguous(memory_format=torch.channels_last)
    return inputs, torch.randn(out, channels, 3, 3) / (9 * channels)**.5, torch.randn(out)


@pytest.mark.parametrize('size', [(12, 16), (13, 18), (1, 1), (3, 7), (5, 4), (90, 70), (3, 1030)])
def test_results_are_those_of_the_plain_sum_in_float64_whatever_the_size(size):
    inputs, weight, bias = _case(size=size)
    found = convolve(inputs, transform_weights(weight), bias)
    exact = F.conv2d(inputs.double(), weight.double(), bias.double(), padding=1)
    assert found.shape == exact.shape and found.dtype == torch.float32
    assert (found - exact).abs().max() < 1e-4  # of results of about 1.4


def test_an_impulse_gives_the_weights():
    inputs = torch.zeros(1, 32, 9, 9)
    inputs[0, 7, 4, 5] = 1.
    weight = torch.randn(32, 32, 3, 3)
    found = convolve(inputs, transform_weights(weight))
    assert torch.allclose(found[0, :, 3:6, 4:7], weight[:, 7].flip(1, 2), atol=1e-5)
    found[0, :, 3:6, 4:7] = 0.
    assert found.abs().max() < 1e-5  # nothing of it leaks out of its window


def test_a_sample_gives_the_same_bits_in_every_batch():
    inputs, weight, _ = _case(batch=5)
    weights = transform_weights(weight)
    whole = convolve(inputs, weights)
    assert all(torch.equal(whole[i:i + 1], convolve(inputs[i:i + 1], weights)) for i in range(5))


@pytest.fixture
def counted(monkeypatch):
    calls = []
    monkeypatch.setattr(winograd, 'convolve', lambda *args: calls.append(1) or convolve(*args))
    return calls


def test_layers_and_functions_are_computed_that_way_while_it_is_active(counted):
    inputs, weight, bias = _case()
    layer = torch.nn.Conv2d(72, 64, 3, padding=1)
    layer.weight.copy_(weight)
    layer.bias.copy_(bias)
    plain = layer(inputs)
    assert not counted
    with WinogradConvolutions():
        found = [layer(inputs), F.conv2d(inputs, weight, bias, padding=1), torch.conv2d(inputs, weight, bias, 1, 1)]
    assert len(counted) == 3
    assert all(torch.allclose(one, plain, atol=1e-4) for one in found)


@pytest.mark.parametrize('other', [
    dict(stride=2), dict(padding=0), dict(padding='same'), dict(dilation=2), dict(groups=2), dict(out=16),
    dict(channels=16), dict(kernel=1), dict(kernel=(3, 5)), dict(dtype=torch.float64), dict(dtype=torch.bfloat16)
])
def test_other_convolutions_stay_as_they_are_to_the_bit(other, counted):
    kernel = other.pop('kernel', 3)
    dtype = other.pop('dtype', torch.float32)
    channels = other.pop('channels', 72)
    layer = torch.nn.Conv2d(channels, other.pop('out', 64), kernel, **{'padding': 1, **other}).to(dtype)
    inputs = torch.randn(1, channels, 12, 16, dtype=dtype)
    plain = layer(inputs)
    with WinogradConvolutions():
        assert torch.equal(layer(inputs), plain)
    assert not counted


@pytest.mark.parametrize('size, gains', [((9, 13), True), ((8, 13), False), ((12, 16), True), ((4, 45), True),
                                         ((4, 44), False), ((8, 12), False)])
def test_frames_of_fewer_than_12_tiles_keep_the_plain_way_whatever_their_batch(size, gains, counted):
    inputs, weight, bias = _case(size=size, batch=3)
    with WinogradConvolutions():
        found = F.conv2d(inputs, weight, bias, padding=1)
    assert len(counted) == gains
    assert torch.equal(found, F.conv2d(inputs, weight, bias, padding=1)) is not gains


def test_gradients_and_autocast_keep_the_plain_way(counted):
    inputs, weight, bias = _case()
    with WinogradConvolutions():
        with torch.autocast('cpu', dtype=torch.bfloat16):
            assert F.conv2d(inputs, weight, bias, padding=1).dtype == torch.bfloat16
        with torch.enable_grad():
            F.conv2d(inputs, weight.requires_grad_(), bias, padding=1).sum().backward()
    assert not counted and weight.grad is not None


def test_a_new_block_sees_changed_weights():
    inputs, weight, _ = _case()
    for _ in range(2):
        with WinogradConvolutions():
            found = F.conv2d(inputs, weight, padding=1)
        assert torch.allclose(found, F.conv2d(inputs, weight, padding=1), atol=1e-4)
        weight.mul_(-3.)
