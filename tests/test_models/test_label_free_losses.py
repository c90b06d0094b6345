"""Losses that need no label: colours, smoothness, the round trip."""
from __future__ import annotations

import copy
import math

import numpy as np
import pytest
import torch

from mmrefine.errors import ConfigError
from mmrefine.models import CycleLoss, PhotometricLoss, SmoothnessLoss
from mmrefine.models.training_progress import at_progress
from mmrefine.schedule import Schedule
from mmrefine.structures import FlowOutputs, FlowTargets

TINY = 1e-3  # the epsilon of the Charbonnier penalty
LOSSES = [
    pytest.param(PhotometricLoss('color', None), id='color'),
    pytest.param(PhotometricLoss('ssim', None), id='ssim'),
    pytest.param(PhotometricLoss('census', None), id='census'),
    pytest.param(PhotometricLoss('census', 'cycle'), id='census, both ways'),
    pytest.param(PhotometricLoss('census', None, unlabelled=True), id='census beside labels'),
    pytest.param(SmoothnessLoss(order=1), id='first order'),
    pytest.param(SmoothnessLoss(order=2), id='second order'),
    pytest.param(CycleLoss(None), id='cycle'),
    pytest.param(CycleLoss('cycle'), id='cycle of what is seen'),
]


def value_of(loss, flows, frames1=None, frames2=None, flows_bw=None):
    frames1 = torch.zeros(1, 3, *flows[-1].shape[-2:]) if frames1 is None else frames1
    outputs = FlowOutputs(flows, frames1, frames1 if frames2 is None else frames2, flows_bw)
    return loss(outputs, FlowTargets())


def constant(x, y, height=10, width=12):
    return torch.tensor([x, y]).view(1, 2, 1, 1).expand(1, 2, height, width).clone()


def grey(values):
    """Frames ``(1, 3, H, W)`` of equal channels."""
    return values.view(1, 1, *values.shape[-2:]).expand(1, 3, -1, -1).clone()


# colours
def test_frames_of_two_levels_differ_by_the_penalty_of_their_difference():
    """(0.3^2 + 0.001^2)^0.45 at every pixel, whatever the motion, as long as it stays inside."""
    dark, bright = torch.full((1, 3, 10, 12), 0.2), torch.full((1, 3, 10, 12), 0.5)
    wanted = (0.3**2 + TINY**2)**0.45
    for flow in (constant(0., 0.), constant(3., -2.)):
        assert value_of(PhotometricLoss('color', None), [flow], dark, bright) == pytest.approx(wanted, rel=1e-5)


@pytest.mark.parametrize('residual, least', [('color', TINY**0.9), ('ssim', 0.), ('census', 0.01**0.4)])
def test_the_true_motion_is_the_minimum_and_costs_what_the_penalty_costs_at_zero(residual, least):
    image = torch.rand(1, 3, 24, 30)
    loss = PhotometricLoss(residual, None)
    # frame 2 is frame 1 moved by (2, 1); the pixels that came in are not asked for
    frames2 = image.roll((1, 2), dims=(2, 3))
    seen = [frames[..., :-1, :-2] for frames in (image, frames2)]
    costs = {(x, y): float(value_of(loss, [constant(float(x), float(y), 23, 28)], *seen))
             for x in (0, 1, 2, 3) for y in (0, 1, 2)}
    assert min(costs, key=costs.get) == (2, 1)
    assert value_of(loss, [constant(0., 0., 24, 30)], image) == pytest.approx(least, rel=1e-3, abs=1e-6)


def numpy_census(frames1, frames2):
    """The mean of the census residual of two frames ``(3, H, W)``, by loops over neighbours in float64."""
    orders = []
    for frame in (frames1, frames2):
        grey = 255 * np.tensordot([0.299, 0.587, 0.114], frame.double().numpy(), axes=1)
        height, width = grey.shape
        center = grey[3:-3, 3:-3]
        around = [grey[3 + dy:height - 3 + dy, 3 + dx:width - 3 + dx] - center
                  for dy in range(-3, 4) for dx in range(-3, 4)]
        orders.append([difference / np.sqrt(0.81 + difference**2) for difference in around])
    squares = [(first - second)**2 for first, second in zip(*orders)]
    return np.mean((sum(square / (0.1 + square) for square in squares) + 0.01)**0.4)


def test_census_is_the_formula_written_out():
    torch.manual_seed(1)
    frames1, frames2 = torch.rand(2, 1, 3, 9, 14)
    found = value_of(PhotometricLoss('census', None), [constant(0., 0., 9, 14)], frames1, frames2)
    assert found == pytest.approx(numpy_census(frames1[0], frames2[0]), rel=1e-5)


def test_ssim_is_the_formula_written_out():
    """Single window of 3 x 3 px: C1 = 0.01^2, C2 = 0.03^2, population variances."""
    torch.manual_seed(1)
    frames1, frames2 = torch.rand(2, 1, 3, 3, 3, dtype=torch.float64)
    terms = []
    for a, b in zip(frames1[0].numpy(), frames2[0].numpy()):
        shared = np.mean((a - a.mean()) * (b - b.mean()))
        ssim = ((2 * a.mean() * b.mean() + 0.01**2) * (2 * shared + 0.03**2)
                / ((a.mean()**2 + b.mean()**2 + 0.01**2) * (a.var() + b.var() + 0.03**2)))
        terms.append(min(max((1 - ssim) / 2, 0), 1))
    found = value_of(PhotometricLoss('ssim', None), [constant(0., 0., 3, 3).double()], frames1, frames2)
    assert found == pytest.approx(np.mean(terms), rel=1e-9)


def test_structure_knows_contrast_by_its_share_and_a_flat_frame_by_its_level():
    """Of two flat frames SSIM is (2ab + C1) / (a^2 + b^2 + C1)."""
    dark, bright = torch.full((1, 3, 8, 9), 0.2), torch.full((1, 3, 8, 9), 0.5)
    wanted = (1 - (2 * 0.2 * 0.5 + 1e-4) / (0.2**2 + 0.5**2 + 1e-4)) / 2
    assert value_of(PhotometricLoss('ssim', None), [constant(0., 0., 8, 9)], dark, bright) == pytest.approx(
        wanted, rel=1e-4)


def test_a_brighter_frame_is_the_same_to_census_and_another_to_colour():
    image = 0.7 * torch.rand(1, 3, 16, 16)
    still = [constant(0., 0., 16, 16)]
    assert value_of(PhotometricLoss('census', None), still, image, image + 0.2) == pytest.approx(0.01**0.4, rel=1e-3)
    wanted = (0.2**2 + TINY**2)**0.45
    assert value_of(PhotometricLoss('color', None), still, image, image + 0.2) == pytest.approx(wanted, rel=1e-3)


def test_only_pixels_that_land_inside_count():
    """The motion leads the right half out of the frame; what is there changes nothing."""
    flow = torch.zeros(1, 2, 8, 10)
    flow[:, 0, :, 5:] = 20.
    frames1, frames2 = torch.rand(1, 3, 8, 10), torch.rand(1, 3, 8, 10)
    loss = PhotometricLoss('color', None)
    before = value_of(loss, [flow], frames1, frames2)
    frames1[..., 5:] = 0.
    assert torch.equal(value_of(loss, [flow], frames1, frames2), before)
    half = value_of(loss, [flow[..., :5]], frames1[..., :5], frames2[..., :5])
    assert before == pytest.approx(float(half), rel=1e-5)


def test_where_a_label_speaks_the_colours_do_not():
    """Each pixel of the way there counts by one minus the weight of its label; the way back has no label."""
    still, weight = constant(0., 0.), torch.rand(1, 1, 10, 12)
    dark, bright = torch.full((1, 3, 10, 12), 0.2), 0.2 + 0.6 * torch.rand(1, 3, 10, 12)
    penalty = ((bright - dark)**2 + TINY**2).pow(0.45).mean(dim=1)
    there = (penalty * (1 - weight)).sum() / (1 - weight).sum()
    labels = FlowTargets(still + math.nan, weight)
    loss = PhotometricLoss('color', None, unlabelled=True)
    assert loss(FlowOutputs([still], dark, bright), labels) == pytest.approx(float(there), rel=1e-5)
    both = loss(FlowOutputs([still], dark, bright, [still]), labels)
    assert both == pytest.approx(float(there + penalty.mean()) / 2, rel=1e-5)
    assert value_of(loss, [still], dark, bright) == pytest.approx(float(penalty.mean()), rel=1e-5)


# smoothness
def test_a_ramp_costs_its_slope_in_first_order_and_nothing_in_second():
    """u grows by 3 px a pixel along x: the mean over u and v, half of the sum over x and y."""
    flow = torch.zeros(1, 2, 10, 12)
    flow[:, 0] = 3. * torch.arange(12.)
    wanted = ((math.hypot(3., TINY) + TINY) / 2 + TINY) / 2
    assert value_of(SmoothnessLoss(order=1), [flow]) == pytest.approx(wanted, rel=1e-5)
    assert value_of(SmoothnessLoss(order=2), [flow]) == pytest.approx(TINY, rel=1e-5)
    bent = 2. * torch.arange(12.).view(1, 1, 1, 12)**2 * torch.tensor([1., 0.]).view(1, 2, 1, 1).expand(1, 2, 10, 1)
    wanted = ((math.hypot(4., TINY) + TINY) / 2 + TINY) / 2  # f(x-1) - 2 f(x) + f(x+1) = 2 * 2
    assert value_of(SmoothnessLoss(order=2), [bent]) == pytest.approx(wanted, rel=1e-5)


@pytest.mark.parametrize('order', [1, 2])
def test_smoothness_is_the_formula_written_out(order):
    torch.manual_seed(6)
    flow, frames = torch.randn(1, 2, 8, 9, dtype=torch.float64), torch.rand(1, 3, 8, 9, dtype=torch.float64)
    total, (f, image) = 0., (flow[0].numpy(), frames[0].numpy())
    for axis in (1, 2):
        image_change = np.take(image, range(order, image.shape[axis]), axis) - np.take(
            image, range(image.shape[axis] - order), axis)
        weight = np.exp(-np.abs(3. * image_change).mean(axis=0))
        total += np.mean(weight * np.sqrt(np.diff(f, order, axis)**2 + TINY**2)) / 2
    assert value_of(SmoothnessLoss(order, edge=3.), [flow], frames) == pytest.approx(total, rel=1e-9)


@pytest.mark.parametrize('order', [1, 2])
def test_smoothness_knows_no_axis(order):
    torch.manual_seed(2)
    flow, frames, loss = torch.randn(1, 2, 9, 12), torch.rand(1, 3, 9, 12), SmoothnessLoss(order, edge=2.)
    turned = value_of(loss, [flow.transpose(2, 3)], frames.transpose(2, 3))
    assert value_of(loss, [flow], frames) == pytest.approx(float(turned), rel=1e-5)
    assert value_of(loss, [-flow.flip(3)], frames.flip(3)) == pytest.approx(float(turned), rel=1e-5)


def test_an_edge_of_the_picture_lets_the_motion_go_by_its_contrast():
    """A step of 4 px on an edge of 0.1 grey costs exp(-20 * 0.1) of what it costs elsewhere."""
    flow, image = torch.zeros(1, 2, 4, 2), torch.zeros(4, 2)
    flow[:, 0, :, 1], image[:, 1] = 4., 0.1
    loss = SmoothnessLoss(edge=20.)
    elsewhere = value_of(loss, [flow]) - TINY / 2
    assert value_of(loss, [flow], grey(image)) - TINY / 2 == pytest.approx(math.exp(-2.) * float(elsewhere), rel=1e-4)


# the round trip
def test_a_motion_that_comes_back_costs_nothing_and_any_other_its_miss():
    flow = constant(2., -1.)
    assert value_of(CycleLoss(), [flow], flows_bw=[-flow]) == pytest.approx(TINY**0.9, rel=1e-4)
    wanted = ((3.**2 + TINY**2)**0.45 + TINY**0.9) / 2  # 3 px along x, none along y, the same both ways
    assert value_of(CycleLoss(None), [flow], flows_bw=[constant(1., 1.)]) == pytest.approx(wanted, rel=1e-5)
    assert value_of(CycleLoss(), [flow], flows_bw=[constant(1., 1.)]) == 0.  # so far off it is occluded


def test_the_round_trip_is_the_same_either_way():
    torch.manual_seed(3)
    there, back = torch.randn(2, 1, 2, 9, 12)
    assert torch.equal(value_of(CycleLoss(), [there], flows_bw=[back]), value_of(CycleLoss(), [back], flows_bw=[there]))
    with pytest.raises(ValueError, match='CycleLoss needs the way back'):
        value_of(CycleLoss(), [there])


# all of them
@pytest.mark.parametrize('loss', LOSSES)
def test_earlier_iterates_count_less_and_loss_weight_scales_the_loss_over_the_training(loss):
    torch.manual_seed(4)
    flows, back = torch.randn(2, 2, 1, 2, 9, 12)
    frames1, frames2 = torch.rand(2, 1, 3, 9, 12)
    first, last = (value_of(loss, [flow], frames1, frames2, [way]) for flow, way in zip(flows, back))
    both = value_of(loss, list(flows), frames1, frames2, list(back))
    assert both == pytest.approx(0.8 * float(first) + float(last), rel=1e-5)
    tenfold = copy.deepcopy(loss)
    tenfold.loss_weight = Schedule('loss_weight', [(0., 20.), (0.5, 0.)])
    with at_progress(0.25):
        assert value_of(tenfold, list(flows), frames1, frames2, list(back)) == pytest.approx(10 * float(both), rel=1e-5)
    with at_progress(0.75):
        assert value_of(tenfold, list(flows), frames1, frames2, list(back)) == 0


@pytest.mark.parametrize('loss', LOSSES)
def test_the_gradient_is_that_of_the_formula(loss):
    """In float64, at motion that ends between pixels and inside."""
    torch.manual_seed(5)
    frames1, frames2 = torch.rand(2, 1, 3, 9, 10, dtype=torch.float64)
    rest = torch.tensor([0.4, -0.3], dtype=torch.float64).view(1, 2, 1, 1)
    there, back = (sign * rest + 0.05 * torch.rand(1, 2, 9, 10, dtype=torch.float64) for sign in (1, -1))
    there.requires_grad_(), back.requires_grad_()

    def value(flow_fw, flow_bw):
        return value_of(loss, [flow_fw], frames1, frames2, [flow_bw])

    assert torch.autograd.gradcheck(value, (there, back), atol=1e-5, rtol=1e-3, fast_mode=True)


@pytest.mark.parametrize('loss', [part for part in LOSSES if 'order' not in part.id])
def test_motion_that_leaves_gives_zero_and_zero_gradient(loss):
    flow, back = constant(50., 0.).requires_grad_(), constant(50., 0.).requires_grad_()
    value = value_of(loss, [flow], torch.rand(1, 3, 10, 12), torch.rand(1, 3, 10, 12), [back])
    value.backward()
    assert value == 0 and not flow.grad.any() and (back.grad is None or not back.grad.any())


def test_motion_that_is_not_a_number_does_not_end_the_process():
    """Where torch samples at nan on a CPU, its gradient reads memory that it does not own."""
    flow = constant(0., 0.)
    flow[..., 3:5, 2:6] = math.nan
    value = value_of(PhotometricLoss('color', None), [flow.requires_grad_()], torch.rand(1, 3, 10, 12),
                     torch.rand(1, 3, 10, 12))
    value.backward()
    assert value > 0 and not flow.grad[..., 3:5, 2:6].any()


@pytest.mark.parametrize('order', [1, 2])
def test_edges_everywhere_leave_zero_and_zero_gradient(order):
    """exp(-150) is 0 in float32; stripes of period 4 change over one pixel or over two, in both directions."""
    stripes = (torch.arange(12) // 2 % 2).float() if order == 2 else (torch.arange(12) % 2).float()
    flow = torch.randn(1, 2, 12, 12, requires_grad=True)
    value = value_of(SmoothnessLoss(order), [flow], grey((stripes[:, None] + stripes) % 2))
    value.backward()
    assert value == 0 and not flow.grad.any()


@pytest.mark.parametrize('build, found', [
    (lambda: PhotometricLoss(gamma=0.), r'gamma must lie in \(0, 1\], got 0'),
    (lambda: SmoothnessLoss(loss_weight='1'), r"SmoothnessLoss.loss_weight must be a number, or knots .*, got '1'"),
    (lambda: CycleLoss(loss_weight=-1.), 'CycleLoss.loss_weight must be .* got -1'),
    (lambda: CycleLoss(gamma=1.5), 'got 1.5'),
    (lambda: PhotometricLoss('l2'), "residual must be 'census', 'color' or 'ssim', got 'l2'"),
    (lambda: PhotometricLoss(occlusion='wang'), "occlusion must be 'range_map', 'cycle' or None, got 'wang'"),
    (lambda: CycleLoss(occlusion_from=-1), 'occlusion_from must be an optimiser step, at least 0, got -1'),
    (lambda: SmoothnessLoss(order=3), 'order must be 1 or 2, got 3'),
    (lambda: SmoothnessLoss(edge=-1.), 'edge must be at least 0, got -1'),
])
def test_settings_that_are_invalid_are_named(build, found):
    with pytest.raises(ValueError, match=found):
        build()


def test_a_crop_that_is_smaller_than_a_window_is_refused():
    with pytest.raises(ConfigError, match=r"residual='census' compares windows of 7 px, got crops of 6x20 px"):
        value_of(PhotometricLoss(occlusion=None), [constant(0., 0., 6, 20)])


@pytest.mark.parametrize('loss', LOSSES)
def test_both_ways_are_the_mean_of_each_alone(loss):
    torch.manual_seed(7)
    there, back = 0.3 * torch.randn(2, 1, 2, 9, 12)
    frames1, frames2 = torch.rand(2, 1, 3, 9, 12)
    ways = [value_of(loss, [there], frames1, frames2, [back]), value_of(loss, [back], frames2, frames1, [there])]
    assert ways[0] == pytest.approx(float(ways[1]), rel=1e-5)
    if not loss.needs:
        single = [value_of(loss, [there], frames1, frames2), value_of(loss, [back], frames2, frames1)]
        assert ways[0] == pytest.approx(float(sum(single)) / 2, rel=1e-5)


def test_iterates_hold_no_census_until_the_backward_pass():
    """The graph keeps one gradient of the size of the flow for each of them."""
    frames1, frames2 = torch.rand(2, 1, 3, 32, 40)
    flows, kept = [torch.randn(1, 2, 32, 40, requires_grad=True) for _ in range(12)], []
    with torch.autograd.graph.saved_tensors_hooks(lambda x: kept.append(x.numel()) or x, lambda x: x):
        value = value_of(PhotometricLoss('census', None), flows, frames1, frames2)
    assert sum(kept) > 12 * 24 * 32 * 40  # what all iterates need while their gradients are taken
    assert 12 * 2 * 32 * 40 <= sum(node_size(value.grad_fn, set())) < 1.1 * 12 * 2 * 32 * 40
    assert all(gradient.any() for gradient in torch.autograd.grad(value, flows))


def node_size(node, seen):
    """Numbers that each node of a graph holds for its backward pass."""
    if node is None or node in seen:
        return []
    seen.add(node)
    own = [tensor.numel() for tensor in getattr(node, 'saved_tensors', ())]
    return own + [size for following, _ in node.next_functions for size in node_size(following, seen)]
