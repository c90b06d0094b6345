"""Which pixels losses without labels leave out, and when."""
from __future__ import annotations

import pytest
import torch
from mmengine.logging import MessageHub

from mmrefine.geometry import backwarp, cycle_consistent, lands_inside
from mmrefine.models import CycleLoss, PhotometricLoss
from mmrefine.models.losses.occlusion import Occlusion
from mmrefine.structures import FlowOutputs, FlowTargets


@pytest.fixture
def step():
    """Tells the losses which step they are in, as MMEngine does."""
    hub = MessageHub.get_current_instance()
    yield lambda number: hub.update_info('iter', number)
    hub.pop_info('iter')


def moved_square():
    """A square of 4 px that goes 5 px to the right over a still ground, both ways; it covers columns 9 to 12."""
    there, back = torch.zeros(2, 1, 2, 8, 20)
    there[:, 0, 2:6, 4:8] = 5.
    back[:, 0, 2:6, 9:13] = -5.
    return there, back


@pytest.mark.parametrize('kind', ['range_map', 'cycle'])
def test_ground_that_is_covered_does_not_count_and_all_else_does(kind):
    there, back = moved_square()
    wanted = torch.ones(1, 1, 8, 20)
    wanted[..., 2:6, 9:13] = 0.
    assert torch.equal(Occlusion(kind, 0)(there, back), wanted)


@pytest.mark.parametrize('miss, seen', [(0.70, True), (0.72, False)])
def test_the_round_trip_is_that_of_unflow(miss, seen):
    """At rest the bound is sqrt(0.5) = 0.707 px; both flows count, b where f ends."""
    flow, back = torch.zeros(2, 1, 2, 6, 6)
    back[:, 0] = miss
    miss_squared, motion = miss**2, miss**2
    assert bool(Occlusion('cycle', 0)(flow, back)[0, 0, 3, 3]) is (miss_squared <= 0.01 * motion + 0.5) is seen


def test_the_round_trip_is_the_check_of_labels_with_the_numbers_of_unflow():
    torch.manual_seed(1)
    there = torch.tensor([2., -1.]).view(1, 2, 1, 1) + 0.5 * torch.randn(2, 2, 12, 14)
    back = -there.flip(3)
    kept = cycle_consistent(there, back, 0.01, 0.5, form='squared', magnitude='warped')
    assert torch.equal(Occlusion('cycle', 0)(there, back).bool(), kept | ~lands_inside(there))
    assert 0.1 < kept.float().mean() < 0.9


@pytest.mark.parametrize('kind', ['range_map', 'cycle'])
def test_what_leaves_the_crop_counts_as_seen(kind):
    flow = torch.zeros(1, 2, 5, 9)
    flow[:, 0] = 3.
    back = torch.full_like(flow, 30.)  # nothing comes from anywhere, and nothing comes back
    wanted = (torch.arange(9.) > 5).float()
    assert torch.equal(Occlusion(kind, 0)(flow, back)[0, 0, 2], wanted)


def test_masks_count_from_their_step_on(step):
    there, back = moved_square()
    occlusion = Occlusion('cycle', 3)
    step(2)
    assert bool(occlusion(there, back).all()) and bool(occlusion(there, None).all())
    step(3)
    assert occlusion(there, back).sum() == 160. - 16.
    with pytest.raises(ValueError, match="occlusion='cycle' needs the way back"):
        occlusion(there, None)


@pytest.mark.parametrize('kind', ['range_map', 'cycle'])
@pytest.mark.parametrize('build', [PhotometricLoss, CycleLoss])
def test_what_is_occluded_has_no_say_and_masks_no_gradient(kind, build):
    """The gradient is that of the mean over the pixels that are seen, with the masks as constants."""
    torch.manual_seed(0)
    there, back = (flow.requires_grad_() for flow in moved_square())
    frames1, frames2 = torch.rand(2, 1, 3, 8, 20)
    settings = dict(residual='color') if build is PhotometricLoss else {}
    value = build(occlusion=kind, **settings)(FlowOutputs([there], frames1, frames2, [back]), FlowTargets())
    found = torch.autograd.grad(value, (there, back))

    def mean(flow, other, first, second):
        miss = (backwarp(second, flow, 'border') - first if build is PhotometricLoss
                else flow + backwarp(other, flow))
        seen = Occlusion(kind, 0)(flow, other).bool() & lands_inside(flow)
        return ((miss**2 + 1e-6)**0.45).mean(dim=1, keepdim=True)[seen].mean()

    wanted = (mean(there, back, frames1, frames2) + mean(back, there, frames2, frames1)) / 2
    assert value.item() == pytest.approx(wanted.item(), rel=1e-5)
    for one, other in zip(found, torch.autograd.grad(wanted, (there, back))):
        torch.testing.assert_close(one, other)
    if build is PhotometricLoss:
        assert not found[0][..., 2:6, 9:13].any() and found[0][..., 2:6, 4:8].any()
