"""RAFT and GMA in training: flows and gradients of the network's own way."""
from __future__ import annotations

import gc
import weakref

import pytest
import torch
from mmflow.models.decoders.raft_decoder import CorrelationPyramid
from mmflow.models.utils.corr_lookup import CorrLookup
from test_two_way import CONFIGS, refiner_of

from mmrefine.errors import ConfigError
from mmrefine.models import FlowRefiner
from mmrefine.models.raft_fast import training_pass
from mmrefine.models.raft_fast.correlation_gradient import TrainedCorrelation
from mmrefine.models.raft_fast.iterations import _Kept
from mmrefine.structures import FlowSample

FAMILIES = ['raft', 'official small', 'gma']


def batch(height=67, width=75, count=2, seed=1):
    generator = torch.Generator().manual_seed(seed)
    first = torch.rand(count, 3, height, width, generator=generator)
    second = .8 * first.roll(2, dims=-1) + .2 * torch.rand(first.shape, generator=generator)
    samples = [FlowSample(flow=3 * torch.randn(2, height, width, generator=generator),
                          weight=torch.rand(1, height, width, generator=generator).round()) for _ in range(count)]
    return torch.stack([first, second], dim=1), samples


def learner(family, **settings):
    """A network in training; the same weights each time."""
    source = refiner_of(family)
    losses = [dict(type='MaskedSequenceLoss')]
    refiner = FlowRefiner(estimator=source.estimator, losses=losses, train_iters=3, **settings).train()
    with torch.no_grad():  # of random weights the flows would be too long to compare
        refiner.estimator.decoder.flow_pred.predict_layer.weight.mul_(.2)
    return refiner


@pytest.fixture
def gradients(monkeypatch):
    """What a network learns from a batch, its own way or ours: (loss, gradient by name)."""

    def of(refiner, ours=True, data=None, autocast=False, **patched):
        with monkeypatch.context() as patch:
            patch.setattr(FlowRefiner, '_trains_fast', lambda self, frames: ours)
            refiner.zero_grad()
            with torch.autocast('cpu', dtype=torch.bfloat16, enabled=autocast):
                loss, _ = refiner.parse_losses(refiner(*(data or batch()), mode='loss'))
            loss.backward()
        return loss.item(), {name: value.grad.clone() for name, value in refiner.named_parameters()
                             if value.grad is not None}

    before = {family: {key: value.clone() for key, value in refiner_of(family).state_dict().items()}
              for family in FAMILIES}
    yield of
    for family, state in before.items():
        refiner_of(family).load_state_dict(state)


def off_by(found, wanted):
    """Relative difference of all gradients together."""
    assert found.keys() == wanted.keys()
    square = sum((found[name] - wanted[name]).double().square().sum() for name in wanted)
    return float((square / sum(value.double().square().sum() for value in wanted.values())).sqrt())


@pytest.mark.parametrize('family', FAMILIES)
def test_gradients_are_those_of_the_network(gradients, family):
    """Where rounding moves a value over a kink (of a ReLU, of the L1 norm, of a window's border) the network itself is
    off by up to 1e-3, if its frames are changed by 1e-7; so there are four batches."""
    refiner, off = learner(family), []
    for seed in (1, 2, 3, 4):
        (loss, found), (wanted_loss, wanted) = (gradients(refiner, ours, batch(seed=seed)) for ours in (True, False))
        assert loss == pytest.approx(wanted_loss, rel=1e-6) and len(found) > 30
        off.append(off_by(found, wanted))
    assert min(off) < 1e-5 and max(off) < 1e-3


@pytest.mark.parametrize('family', FAMILIES)
def test_under_bfloat16_they_are_as_near_to_the_exact_ones_as_the_networks(gradients, family):
    refiner = learner(family)
    _, exact = gradients(refiner)
    rounded, stock = (gradients(refiner, ours=ours, autocast=True)[1] for ours in (True, False))
    assert off_by(rounded, exact) < 1.25 * off_by(stock, exact) < .1


def test_a_start_and_features_that_a_loss_listens_to_reach_it(gradients):
    refiner = learner('official small', train_start=dict(type='RandomStart', prob=1.))
    refiner.needs = refiner.needs | {'features'}
    off = []
    for seed in (1, 2, 3, 4):  # several batches, as above
        results = []
        for ours in (True, False):
            torch.manual_seed(3)
            results.append(gradients(refiner, ours, batch(seed=seed))[1])
        off.append(off_by(*results))
    assert min(off) < 1e-5 and max(off) < 1e-3
    with torch.no_grad(), refiner._features() as features:
        refiner._flows(*batch()[0].unbind(1), None, 1)
    assert [len(of_frame) for of_frame in features] == [2, 2]


def test_what_is_computed_again_has_the_same_gradients_to_the_bit_and_is_not_kept(gradients, monkeypatch):
    refiner = learner('official small')
    loss, wanted = gradients(refiner)
    kept = {}
    for limit in (None, 10**9, 0):
        refiner.max_train_bytes = limit
        sizes = {}

        def note(tensor):
            storage = tensor.untyped_storage()
            sizes[storage.data_ptr()] = storage.nbytes()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
            found_loss, found = gradients(refiner)
        kept[limit] = sum(sizes.values())
        assert found_loss == loss and all(torch.equal(found[name], value) for name, value in wanted.items())
    assert kept[None] == pytest.approx(kept[10**9], rel=.1) and kept[0] < .8 * kept[None]


def test_own_gradients_are_for_known_networks_that_learn(monkeypatch):
    calls = []
    monkeypatch.setattr('mmrefine.models.refiners.pair_estimator.training_flows',
                        lambda *args: calls.append(args) or training_pass.training_flows(*args))
    inputs, samples = batch()
    learner('official small')(inputs, samples, mode='loss')
    assert len(calls) == 1
    with torch.no_grad():
        learner('official small')(inputs, samples, mode='loss')
    pyramid = refiner_of('pwc')
    FlowRefiner(estimator=pyramid.estimator, losses=[dict(type='MaskedPyramidLoss')])(inputs, samples, mode='loss')
    assert len(calls) == 1


def test_a_limit_for_what_does_not_iterate_is_refused():
    with pytest.raises(ConfigError, match='model.max_train_bytes: PWCNet does not iterate'):
        FlowRefiner(estimator=refiner_of('pwc').estimator, max_train_bytes=10)
    with pytest.raises(ConfigError, match='model.max_train_bytes must be .* got -1'):
        FlowRefiner(estimator=refiner_of('raft').estimator, max_train_bytes=-1)
    assert 'pwc' in CONFIGS


@pytest.mark.parametrize('size, levels, radius', [((12, 20), 4, 3), ((9, 8), 4, 4), ((16, 11), 3, 2)])
def test_the_correlation_learns_as_that_of_mmflow(size, levels, radius):
    """The last level of 9 x 8 cells is one cell."""
    generator = torch.Generator().manual_seed(0)

    def draw(*shape):
        return torch.randn(shape, generator=generator)

    feat1, feat2 = (draw(2, 8, *size).requires_grad_() for _ in range(2))
    flows = [far * draw(2, 2, *size) for far in (1, 4, 20)]
    weights = [draw(2, levels * (2 * radius + 1)**2, *size) for _ in flows]
    trained = TrainedCorrelation(feat1, feat2, levels, radius)
    pyramid, look_up = CorrelationPyramid(levels), CorrLookup(radius)
    wanted = [look_up(pyramid(feat1, feat2), flow) for flow in flows]
    found = [trained(flow) for flow in flows]
    for one, other in zip(found, wanted):
        torch.testing.assert_close(one, other, rtol=0, atol=2e-5)
    for one, other in zip(torch.autograd.grad(found, (feat1, feat2), weights),
                          torch.autograd.grad(wanted, (feat1, feat2), weights)):
        assert (one - other).norm() < 1e-6 * other.norm()


@pytest.mark.parametrize('size', [(5, 4), (2, 3)])
def test_the_gradient_of_the_correlation_is_that_of_small_steps(size):
    generator = torch.Generator().manual_seed(0)
    feat1, feat2 = (torch.randn(2, 3, *size, generator=generator, dtype=torch.float64, requires_grad=True)
                    for _ in range(2))
    flows = [far * torch.randn(2, 2, *size, generator=generator, dtype=torch.float64) for far in (.5, 2.)]

    def windows(one, other):
        trained = TrainedCorrelation(one, other, 2, 1)
        return torch.cat([trained(flow) for flow in flows])

    assert torch.autograd.gradcheck(windows, (feat1, feat2))


def test_what_iterations_will_keep_is_foreseen_from_two_of_them():
    kept, source = _Kept(), torch.ones(100, requires_grad=True)
    shared = torch.rand(100)  # 400 bytes, kept once
    for _ in range(2):
        with kept.counting():
            (source * shared * torch.rand(100)).sum()
    once, twice = kept.after(1), kept.after(2)
    assert kept.after(12) == twice + 10 * (twice - once) and twice - once < once


def test_a_step_leaves_nothing_behind(monkeypatch):
    """Without a search for circles: the correlation of large frames takes hundreds of megabytes."""
    alive, begin = [], TrainedCorrelation.__init__

    def watched(self, *args):
        begin(self, *args)
        alive.extend([weakref.ref(self), weakref.ref(self._pyramid.corr)])

    monkeypatch.setattr(TrainedCorrelation, '__init__', watched)
    refiner = learner('official small')
    gc.disable()
    try:
        for learns in (True, False):  # a forward pass whose result is not used, too
            loss = refiner.parse_losses(refiner(*batch(64, 80, 1), mode='loss'))[0]
            if learns:
                loss.backward()
            del loss
            assert alive and all(one() is None for one in alive)
    finally:
        gc.enable()
