"""RAFT-small with learned upsampling: it begins as RAFT-small, and can then say what RAFT-small cannot."""
from __future__ import annotations

import copy
from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from mmengine.config import Config
from mmflow.models.decoders.raft_decoder import RAFTDecoder

from mmrefine.apis import init_model
from mmrefine.errors import CheckpointError, ConfigError
from mmrefine.models import FlowRefiner, estimator_state, load_estimator
from mmrefine.models.raft_fast.two_way import runs_two_way
from mmrefine.registry import MODELS

MODELS_FOLDER = Path(__file__).resolve().parents[2] / 'configs/_base_/models'
CELL = 8


@lru_cache(maxsize=None)
def refiner_of(name):
    torch.manual_seed(0)
    refiner = FlowRefiner(Config.fromfile(MODELS_FOLDER / f'{name}.py').model.estimator, test_iters=3,
                          losses=[dict(type='MaskedSequenceLoss')]).eval()
    with torch.no_grad():  # random weights that move no more than such small frames could
        refiner.estimator.decoder.flow_pred.predict_layer.weight.mul_(.2)
    return refiner


def convex():
    """A network of its own, with the weights of the other one but for the head."""
    refiner = copy.deepcopy(refiner_of('raft_small_convex'))
    state = estimator_state(refiner, refiner_of('raft_small').estimator.state_dict(), 'raft_small.pth')
    refiner.estimator.load_state_dict(state)
    return refiner


def taught(refiner):
    """The same with a head that says something."""
    with torch.no_grad():
        torch.nn.init.normal_(refiner.estimator.decoder.mask_pred.predict_layer.weight, std=.3,
                              generator=torch.Generator().manual_seed(3))
    return refiner


def frames(height=67, width=75, seed=1):
    generator = torch.Generator().manual_seed(seed)
    first = torch.rand(2, 3, height, width, generator=generator)
    return first, .8 * first.roll(2, dims=-1) + .2 * torch.rand(2, 3, height, width, generator=generator)


def cells_and_mask(height, width, seed=0, dtype=torch.float32):
    generator = torch.Generator().manual_seed(seed)
    return (3 * torch.randn(2, 2, height, width, generator=generator, dtype=dtype),
            torch.randn(2, 9 * CELL**2, height, width, generator=generator, dtype=dtype))


@pytest.mark.parametrize('size', [(8, 8), (9, 14), (1, 6), (30, 54)])
def test_it_begins_as_the_bilinear_enlargement_of_mmflow(size):
    decoder = refiner_of('raft_small_convex').estimator.decoder
    cells, _ = cells_and_mask(*size)
    nothing_said = torch.zeros(2, 9 * CELL**2, *size)
    wanted = RAFTDecoder._upsample(decoder, cells)
    for mask in (nothing_said, None):
        torch.testing.assert_close(decoder._upsample(cells, mask), wanted, rtol=0, atol=1e-3)
    assert wanted.std() > 1.


def test_with_weights_of_raft_small_the_flow_is_that_of_raft_small():
    plain, ours, pair = refiner_of('raft_small'), convex(), frames()
    with torch.no_grad():
        wanted, found = plain.estimate(*pair)[-1], ours.estimate(*pair)[-1]
        torch.testing.assert_close(found, wanted, rtol=0, atol=1e-3)
        assert not torch.allclose(taught(ours).estimate(*pair)[-1], wanted, atol=.05)


def test_both_ways_at_once_and_the_network_itself_agree():
    ours, pair = taught(convex()), frames()
    assert runs_two_way(ours.estimator)
    with torch.no_grad():
        found = ours.estimate_both(*pair)
        wanted = ours.plain_flows(*pair)[-1], ours.plain_flows(*pair[::-1])[-1]
    for one, other in zip(found, wanted):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-3)


def test_a_pixel_is_a_mixture_of_the_nine_cells_around_its_own():
    """Against loops over pixels, in NumPy."""
    height, width = 3, 4
    cells, mask = cells_and_mask(height, width)
    found = refiner_of('raft_small_convex').estimator.decoder._upsample(cells, mask).numpy()
    said = mask.numpy().astype(float).reshape(2, 9, CELL, CELL, height, width) * 8
    cells = cells.numpy().astype(float)
    for n, y, x in np.ndindex(2, CELL * height, CELL * width):
        row, column, values, shares = y // CELL, x // CELL, [], []
        for k, (down, right) in enumerate(np.ndindex(3, 3)):
            at = row + down - 1, column + right - 1
            share = (max(0., 1 - abs(y * (height - 1) / (CELL * height - 1) - at[0]))
                     * max(0., 1 - abs(x * (width - 1) / (CELL * width - 1) - at[1])))
            inside = np.clip(at[0], 0, height - 1), np.clip(at[1], 0, width - 1)
            values.append(CELL * cells[n, :, inside[0], inside[1]])
            shares.append((share, (share + .02) * np.exp(said[n, k, y % CELL, x % CELL, row, column])))
        bilinear, raised = np.array(shares).T
        weights = raised / raised.sum() + bilinear - (bilinear + .02) / 1.18
        assert weights.sum() == pytest.approx(1)
        np.testing.assert_allclose(found[n, :, y, x], weights @ np.array(values), rtol=0, atol=1e-3)


def test_however_sure_the_head_is_a_pixel_goes_little_beyond_its_cells():
    decoder = convex().estimator.decoder
    flow, mask = cells_and_mask(7, 9)
    with torch.no_grad():
        found = decoder._upsample(flow, 100 * mask)
    near = F.unfold(F.pad(CELL * flow, (1, 1, 1, 1), mode='replicate'), 3).view(2, 2, 9, 7, 9)
    low, high = (F.interpolate(end(dim=2), scale_factor=CELL, mode='nearest') for end in (near.amin, near.amax))
    beyond = torch.maximum(found - high, low - found) / (high - low)
    assert 0 < float(beyond.max()) < .136
    # the head wants the own cell alone, on both sides of a border
    flow = torch.zeros(1, 2, 3, 6)
    flow[..., 3:] = 100 / CELL
    sure = torch.zeros(1, 9, CELL**2, 3, 6)
    sure[:, 4] = 10.
    with torch.no_grad():
        found = decoder._upsample(flow, sure.flatten(1, 2))
    assert float(found.min()) == pytest.approx(-5.1, abs=.1) and float(found.max()) == pytest.approx(105.1, abs=.1)


def test_mixed_precision_does_not_round_the_motion():
    decoder, (cells, mask) = refiner_of('raft_small_convex').estimator.decoder, cells_and_mask(5, 6)
    wanted = decoder._upsample(cells, mask)
    with torch.autocast('cpu', torch.bfloat16):
        found = decoder._upsample(cells, mask)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, wanted)


def test_gradients_are_those_of_small_steps():
    decoder = refiner_of('raft_small_convex').estimator.decoder
    cells, mask = (part[:1].requires_grad_(True) for part in cells_and_mask(2, 3, dtype=torch.float64))
    assert torch.autograd.gradcheck(lambda *given: decoder._upsample(*given)[..., ::3, ::5], (cells, .1 * mask))


def test_it_can_say_a_border_inside_a_cell_which_bilinear_enlargement_cannot():
    decoder = refiner_of('raft_small_convex').estimator.decoder
    wanted = torch.zeros(1, 2, 5 * CELL, 6 * CELL)
    wanted[:, 0, :, 19:] = 10.  # px; pixel 19 lies within the third cell
    ends = {}
    for name in ('bilinear', 'convex'):
        cells = F.avg_pool2d(wanted, CELL).div(CELL).requires_grad_(True)
        mask = torch.zeros(1, 9 * CELL**2, 5, 6, requires_grad=name == 'convex')
        optimizer = torch.optim.Adam([cells, *([mask] if mask.requires_grad else [])], lr=.05)
        for _ in range(150):
            loss = (decoder._upsample(cells, mask) - wanted).abs().mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        ends[name] = loss.item()
    assert ends['convex'] < .1 * ends['bilinear'] and ends['bilinear'] > .2


def test_the_head_learns_in_training_and_as_in_the_network_itself():
    ours = convex().train()
    last = ours.estimator.decoder.mask_pred.predict_layer
    ours.estimate(*frames())[-1].square().mean().backward()
    found = last.weight.grad.clone()
    ours.zero_grad()
    ours.plain_flows(*frames())[-1].square().mean().backward()  # by the stock network, in its own way
    assert found.abs().max() > 0
    torch.testing.assert_close(found, last.weight.grad, rtol=1e-3, atol=1e-4 * float(found.abs().max()))


def test_the_head_is_the_same_for_every_seed():
    heads = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        network = init_model(MODELS_FOLDER / 'raft_small_convex.py').estimator
        network.init_weights()  # as the runner does, before it loads
        heads.append(estimator_state(FlowRefiner(network), refiner_of('raft_small').estimator.state_dict(), 'a'))
    assert all(torch.equal(value, heads[1][key]) for key, value in heads[0].items() if 'mask_pred' in key)
    assert heads[0]['decoder.mask_pred.layers.0.conv.weight'].std() > .01


def test_weights_without_a_head_put_a_learned_one_back(tmp_path):
    ours = taught(convex())
    torch.save(dict(state_dict=refiner_of('raft_small').estimator.state_dict()), tmp_path / 'small.pth')
    load_estimator(ours, tmp_path / 'small.pth')
    assert not ours.estimator.decoder.mask_pred.predict_layer.weight.any()


def test_learned_weights_come_back_and_are_refused_elsewhere_with_the_name_of_the_model(tmp_path):
    ours = taught(convex())
    torch.save(dict(state_dict=ours.estimator.state_dict()), tmp_path / 'refined.pth')
    other = convex()
    load_estimator(other, tmp_path / 'refined.pth')
    assert torch.equal(other.estimator.decoder.mask_pred.predict_layer.weight,
                       ours.estimator.decoder.mask_pred.predict_layer.weight)
    with pytest.raises(CheckpointError, match=r'refined\.pth: .*unexpected decoder\.mask_pred.* such as '
                                              'raft_small_convex, whose upsampling is learned'):
        load_estimator(copy.deepcopy(refiner_of('raft_small')), tmp_path / 'refined.pth')


def test_half_a_head_is_refused():
    state = taught(convex()).estimator.state_dict()
    del state['decoder.mask_pred.predict_layer.bias']
    with pytest.raises(CheckpointError, match='half.pth: .*missing decoder.mask_pred.predict_layer.bias'):
        estimator_state(convex(), state, 'half.pth')


def test_the_large_raft_has_learned_upsampling_already():
    config = Config.fromfile(MODELS_FOLDER / 'raft_official.py').model.estimator.decoder
    with pytest.raises(ConfigError, match="net_type is 'Basic', and only 'Small' lacks learned upsampling"):
        MODELS.build({**config, 'type': 'mmrefine.ConvexUpsamplingDecoder'})
