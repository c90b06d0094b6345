"""The contrastive flow loss against closed forms, symmetry and brute force."""
from __future__ import annotations

import math

import pytest
import torch

from mmrefine.models import ContrastiveFlowLoss
from mmrefine.structures import FlowOutputs, FlowTargets


def value_of(loss, feat1, feat2, target, weight, padding=(0, 0, 0, 0)):
    """The loss of features against a label; it looks at nothing else."""
    frames = torch.zeros(1)
    return loss(FlowOutputs([], frames, frames, features=(feat1, feat2), padding=padding), FlowTargets(target, weight))


def one_hot_grid(height, width, scale=1.):
    """Features that differ in every cell: cell i is ``scale * e_i``."""
    cells = height * width
    return (scale * torch.eye(cells)).view(1, cells, height, width)


def test_identical_features_give_log_n_whatever_the_motion():
    feat = torch.ones(2, 5, 4, 6)
    target = torch.randn(2, 2, 32, 48) * 3
    loss = value_of(ContrastiveFlowLoss(), feat, feat, target, torch.ones(2, 1, 32, 48))
    assert loss.item() == pytest.approx(math.log(24), abs=1e-5)


def test_features_that_move_with_the_label_are_right_and_any_other_motion_is_wrong():
    feat1 = one_hot_grid(3, 5, scale=20.)
    feat2 = feat1.roll(1, dims=3)  # one cell to the right
    target = torch.zeros(1, 2, 24, 40)
    weight = torch.ones(1, 1, 24, 40)
    wrong = value_of(ContrastiveFlowLoss(), feat1, feat2, target, weight)
    target[:, 0] = 8.
    right = value_of(ContrastiveFlowLoss(), feat1, feat2, target, weight)
    target[:, 0], target[:, 1] = 0., 8.
    other_axis = value_of(ContrastiveFlowLoss(), feat1, feat2, target, weight)
    assert right < 1e-3 and wrong > 50 and other_axis > 50


def test_it_is_the_sum_written_out():
    torch.manual_seed(1)
    feat1, feat2 = torch.randn(1, 7, 3, 4), torch.randn(1, 7, 3, 4)
    cells, shares = torch.tensor([0.25, -0.5]), torch.rand(3, 4)  # cells of motion, the same everywhere
    target = (8 * cells).view(1, 2, 1, 1).expand(1, 2, 24, 32)
    weight = shares.repeat_interleave(8, 0).repeat_interleave(8, 1)[None, None]
    total = count = 0.
    for y in range(3):
        for x in range(4):
            end_x, end_y = x + 0.25, y - 0.5
            if end_x > 3 or end_y < 0:
                continue
            scores = torch.stack([feat1[0, :, y, x] @ feat2[0, :, v, u] for v in range(3) for u in range(4)]) / 7**0.5
            log_p = scores.log_softmax(0).view(3, 4)
            found = sum(0.5 * (0.75 * log_p[v, x] + 0.25 * log_p[v, x + 1]) for v in (y - 1, y))
            total -= shares[y, x] * found
            count += shares[y, x]
    assert count > 1
    found = value_of(ContrastiveFlowLoss(loss_weight=2.), feat1, feat2, target, weight)
    assert found.item() == pytest.approx(2 * (total / count).item(), abs=1e-5)


def test_motion_without_weight_does_not_count():
    torch.manual_seed(2)
    feat1, feat2 = torch.randn(1, 7, 3, 4), torch.randn(1, 7, 3, 4)
    target, weight = torch.zeros(1, 2, 24, 32), torch.ones(1, 1, 24, 32)
    weight[..., :4] = 0.
    clean = value_of(ContrastiveFlowLoss(), feat1, feat2, target, weight)
    target[..., :4] = 1e4
    assert torch.equal(value_of(ContrastiveFlowLoss(), feat1, feat2, target, weight), clean)


@pytest.mark.parametrize('nonsense', [float('nan'), float('inf'), -1e30])
def test_a_label_without_weight_may_say_anything(nonsense):
    """It must neither be counted nor be looked up."""
    torch.manual_seed(4)
    feat1, feat2 = torch.randn(2, 1, 7, 3, 4, requires_grad=True)
    target, weight = torch.randn(1, 2, 24, 32), torch.ones(1, 1, 24, 32)
    weight[..., :11, :13] = 0.
    clean = value_of(ContrastiveFlowLoss(), feat1, feat2, target, weight)
    target[..., :11, :13] = nonsense
    loss = value_of(ContrastiveFlowLoss(), feat1, feat2, target, weight)
    assert torch.equal(loss, clean)
    assert all(bool(grad.isfinite().all()) for grad in torch.autograd.grad(loss, (feat1, feat2)))


def test_padding_has_no_weight():
    """4 px left and 4 px right, 8 px below: the label of a smaller frame counts where that frame lies."""
    torch.manual_seed(5)
    feat1, feat2 = torch.randn(2, 1, 7, 3, 4)
    target, weight = torch.randn(1, 2, 16, 24), torch.rand(1, 1, 16, 24)
    whole, weights = torch.zeros(1, 2, 24, 32), torch.zeros(1, 1, 24, 32)
    whole[..., :16, 4:-4], weights[..., :16, 4:-4] = target, weight
    wanted = value_of(ContrastiveFlowLoss(), feat1, feat2, whole, weights)
    assert torch.equal(value_of(ContrastiveFlowLoss(), feat1, feat2, target, weight, padding=(4, 4, 0, 8)), wanted)


@pytest.mark.parametrize('weight, motion', [(0., 0.), (1., 1e3)], ids=['no weight', 'everything leaves'])
def test_nothing_to_match_is_zero_with_zero_gradient(weight, motion):
    feat1, feat2 = torch.randn(1, 5, 3, 4, requires_grad=True), torch.randn(1, 5, 3, 4, requires_grad=True)
    target, weights = torch.full((1, 2, 24, 32), motion), torch.full((1, 1, 24, 32), weight)
    loss = value_of(ContrastiveFlowLoss(), feat1, feat2, target, weights)
    loss.backward()
    assert loss.item() == 0 and not feat1.grad.any() and not feat2.grad.any()


def test_a_temperature_is_worth_larger_features():
    torch.manual_seed(3)
    feat1, feat2 = torch.randn(2, 1, 7, 3, 4)
    target, weight = torch.randn(1, 2, 24, 32), torch.ones(1, 1, 24, 32)
    sharp = value_of(ContrastiveFlowLoss(temperature=0.25), feat1, feat2, target, weight)
    large = value_of(ContrastiveFlowLoss(), 2 * feat1, 2 * feat2, target, weight)
    assert sharp.item() == pytest.approx(large.item(), rel=1e-5)
    assert abs(sharp - value_of(ContrastiveFlowLoss(), feat1, feat2, target, weight)) > 0.01
    with pytest.raises(ValueError, match='temperature must be positive, got 0'):
        ContrastiveFlowLoss(temperature=0)
