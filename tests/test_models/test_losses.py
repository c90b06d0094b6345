"""Losses that listen to weights."""
from __future__ import annotations

import pytest
import torch

from mmrefine.models import MaskedPyramidLoss, MaskedSequenceLoss
from mmrefine.structures import FlowOutputs, FlowTargets

LOSSES = [
    pytest.param(MaskedSequenceLoss(), id='sequence'),
    pytest.param(MaskedPyramidLoss(), id='pyramid'),
    pytest.param(MaskedPyramidLoss(q=0.4), id='robust pyramid'),
]


def value_of(loss, flows, target, weight):
    """The loss of flows against a label; such losses look at nothing else."""
    frames = torch.zeros(1)
    return loss(FlowOutputs(flows, frames, frames), FlowTargets(target, weight))


def constant(x, y, height=4, width=5):
    return torch.tensor([x, y]).view(1, 2, 1, 1).expand(1, 2, height, width).clone()


def ones(height=4, width=5):
    return torch.ones(1, 1, height, width)


def test_the_sequence_loss_is_the_formula_of_raft():
    """|(3,4)|_1 = 7 from the first iterate, decayed once; |(1,0)|_1 = 1 from the last: 0.5 * 7 + 1."""
    flows = [constant(3., 4.), constant(1., 0.)]
    assert value_of(MaskedSequenceLoss(gamma=0.5), flows, constant(0., 0.), ones()) == pytest.approx(4.5)


def test_the_pyramid_loss_is_the_length_of_the_error_by_level():
    """|(3,4)|_2 = 5 at weight 0.25, |(0,2)|_2 = 2 at weight 1."""
    flows = [constant(3., 4.), constant(0., 2.)]
    assert value_of(MaskedPyramidLoss(weights=(0.25, 1.)), flows, constant(0., 0.), ones()) == pytest.approx(3.25)


def test_the_robust_pyramid_loss_is_the_power_of_the_one_norm():
    """(|(3,4)|_1 + 2)^0.5 = 3."""
    loss = MaskedPyramidLoss(weights=(1., ), q=0.5, eps=2.)
    assert value_of(loss, [constant(3., 4.)], constant(0., 0.), ones()) == pytest.approx(3.)


def test_pyramid_weights_keep_to_the_fine_end():
    loss = MaskedPyramidLoss(weights=(1., 2., 3.))
    assert loss.level_weights(2) == [2., 3.]
    assert loss.level_weights(3) == [1., 2., 3.]
    assert loss.level_weights(5) == [1., 1., 1., 2., 3.]


def test_the_default_pyramid_weights_are_those_of_pwc_net_per_pixel():
    """PWC-Net sums weight times error over cells; a cell of level l covers 4^l pixels."""
    sums = {6: 0.32, 5: 0.08, 4: 0.02, 3: 0.01, 2: 0.005}
    per_pixel = [weight / 4**level for level, weight in sums.items()]
    wanted = [value / per_pixel[-1] for value in per_pixel]
    assert MaskedPyramidLoss().level_weights(5) == pytest.approx(wanted)


@pytest.mark.parametrize('loss', LOSSES)
def test_a_sparse_label_is_not_a_faint_one(loss):
    """F6: half of the pixels, all with the same error, give the same loss as all of them."""
    half = ones()
    half[..., :2, :] = 0.
    flows, target = [constant(3., -1.)], constant(0., 0.)
    assert value_of(loss, flows, target, half) == pytest.approx(float(value_of(loss, flows, target, ones())))


@pytest.mark.parametrize('loss', LOSSES)
def test_a_pixel_of_half_weight_counts_half(loss):
    flow = constant(0., 0., 1, 2)
    flow[..., 1] = 4.
    target = torch.zeros(1, 2, 1, 2)
    both = value_of(loss, [flow], target, torch.tensor([[[[1., 1.]]]]))
    moved = value_of(loss, [flow[..., 1:]], target[..., 1:], torch.ones(1, 1, 1, 1))
    still = value_of(loss, [flow[..., :1]], target[..., :1], torch.ones(1, 1, 1, 1))
    assert both == pytest.approx(float(moved + still) / 2)
    faint = value_of(loss, [flow], target, torch.tensor([[[[1., 0.5]]]]))
    assert faint == pytest.approx(float(0.5 * moved + still) / 1.5)


@pytest.mark.parametrize('loss', LOSSES)
def test_no_weight_gives_zero_and_zero_gradient_whatever_the_label_says(loss):
    """F1, and a nan that hides behind weight 0 stays hidden."""
    flow = torch.randn(1, 2, 4, 5, requires_grad=True)
    target = torch.full((1, 2, 4, 5), float('nan'))
    value = value_of(loss, [flow * 2, flow], target, torch.zeros(1, 1, 4, 5))
    value.backward()
    assert value == 0. and torch.equal(flow.grad, torch.zeros_like(flow))


@pytest.mark.parametrize('loss', LOSSES)
def test_a_perfect_flow_has_a_finite_gradient(loss):
    flow = torch.ones(1, 2, 4, 5, requires_grad=True)
    value_of(loss, [flow], torch.ones(1, 2, 4, 5), ones()).backward()
    assert bool(torch.isfinite(flow.grad).all())


@pytest.mark.parametrize('loss', LOSSES)
def test_the_gradient_is_that_of_the_formula(loss):
    """Central differences of the loss's own value in float32, at errors far from the kinks."""
    flow = torch.tensor([[3., -2.], [1., 5.]]).view(1, 2, 1, 2).requires_grad_()
    target, weight = torch.zeros(1, 2, 1, 2), torch.tensor([[[[1., 0.25]]]])
    value_of(loss, [flow], target, weight).backward()
    for index in range(4):
        step = torch.zeros(4).index_fill(0, torch.tensor(index), 1e-2).view(1, 2, 1, 2)
        with torch.no_grad():
            after, before = (value_of(loss, [flow + sign * step], target, weight) for sign in (1, -1))
            slope = (after - before) / 2e-2
        assert flow.grad.flatten()[index] == pytest.approx(float(slope), abs=2e-3)


def test_motion_of_max_flow_and_more_has_no_say():
    loss = MaskedSequenceLoss(max_flow=10.)
    assert value_of(loss, [constant(0., 0.)], constant(6., 8.), ones()) == 0.
    assert value_of(loss, [constant(0., 0.)], constant(6., 7.9), ones()) == pytest.approx(13.9)


def test_loss_weight_scales_the_loss():
    flows, target = [constant(1., 0.)], constant(0., 0.)
    assert value_of(MaskedSequenceLoss(loss_weight=0.1), flows, target, ones()) == pytest.approx(0.1)
    assert value_of(MaskedPyramidLoss(loss_weight=0.1), flows, target, ones()) == pytest.approx(0.1)


@pytest.mark.parametrize('loss', LOSSES)
def test_shapes_that_do_not_fit_are_named(loss):
    flow, target = torch.zeros(2, 2, 4, 5), torch.zeros(2, 2, 4, 5)
    with pytest.raises(ValueError, match=r'weight must be \(2, 1, 4, 5\).*got \(2, 4, 5\)'):
        value_of(loss, [flow], target, torch.zeros(2, 4, 5))
    with pytest.raises(ValueError, match=r'target must be \(2, 2, 4, 5\).*got \(2, 2, 4, 6\)'):
        value_of(loss, [flow], torch.zeros(2, 2, 4, 6), torch.zeros(2, 1, 4, 5))
    with pytest.raises(ValueError, match=r'all flows must be \(2, 2, 4, 5\).*got \(2, 2, 2, 2\)'):
        value_of(loss, [flow[..., :2, :2], flow], target, torch.zeros(2, 1, 4, 5))
    with pytest.raises(ValueError, match='at least one flow'):
        value_of(loss, [], target, torch.zeros(2, 1, 4, 5))


@pytest.mark.parametrize('build, found', [
    (lambda: MaskedSequenceLoss(gamma=0.), r'gamma must lie in \(0, 1\], got 0'),
    (lambda: MaskedSequenceLoss(gamma=1.5), 'got 1.5'),
    (lambda: MaskedSequenceLoss(max_flow=-1.), 'max_flow must be positive.*got -1'),
    (lambda: MaskedPyramidLoss(weights=()), 'weights must be.*got ()'),
    (lambda: MaskedPyramidLoss(weights=(1., -2.)), 'weights must be.*-2.0'),
    (lambda: MaskedPyramidLoss(q=2.), 'q must lie.*got 2'),
    (lambda: MaskedPyramidLoss(eps=0.), 'eps must be positive.*got 0'),
])
def test_settings_that_cannot_be_meant_are_named(build, found):
    with pytest.raises(ValueError, match=found):
        build()
