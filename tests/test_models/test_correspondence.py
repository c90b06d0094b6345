"""CorrFlow's objective: closed forms, a second implementation of it, and switches that really switch."""
from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from mmengine.logging import MessageHub
from torch import nn

from mmrefine.errors import ConfigError, MMRefineError
from mmrefine.models import (ColorClasses, ColorClassLoss, CorrespondenceLearner, CorrFlowEncoder, CycleColorLoss,
                             ScheduledSampling)
from mmrefine.registry import MODELS
from mmrefine.structures import ColorOutputs, TrackSample

SIZE = (32, 48)
RED, BLUE = (0.9, 0.1, 0.1), (0.1, 0.1, 0.9)
LOSSES = [dict(type='ColorClassLoss', sampling=dict(type='ScheduledSampling')), dict(type='CycleColorLoss')]
ENCODER = dict(type='mmrefine.CorrFlowEncoder', out_channels=16)


@pytest.fixture(autouse=True)
def hub():
    """A training that has not begun."""
    found = MessageHub.get_instance('correspondence')
    found.update_info('iter', 0)
    found.update_info('max_iters', 100)
    return found


@MODELS.register_module()
class GivenFeatures(CorrFlowEncoder):
    """In place of an encoder: features by a rule, of frames that it counts."""

    def __init__(self, rule='place', **kwargs):
        super().__init__(out_channels=1)
        self.rule, self.seen = rule, []

    def forward(self, frames):
        self.seen.append(len(frames))
        height, width = (side // 4 for side in frames.shape[-2:])
        if self.rule == 'uniform':
            return torch.zeros(len(frames), 4, height, width)
        if self.rule == 'place':  # one channel for each cell
            return 30 * torch.eye(height * width).view(1, -1, height, width).expand(len(frames), -1, -1, -1)
        # what it looks like: sum_c 200 cos(x_c - y_c) is greatest for the cell of the same colours
        look = F.avg_pool2d(frames, 4)
        return 200**0.5 * torch.cat([look.cos(), look.sin()], dim=1)


def two_halves(count=3, size=SIZE):
    """A clip that stands still: red on the left, blue on the right."""
    frames = torch.tensor(RED).view(3, 1, 1).expand(3, *size).clone()
    frames[:, :, size[1] // 2:] = torch.tensor(BLUE).view(3, 1, 1)
    return frames.expand(1, count, 3, *size)


def learner(rule=None, losses=LOSSES, **more):
    torch.manual_seed(0)
    found = CorrespondenceLearner(ENCODER if rule is None else GivenFeatures(rule), losses, **more)
    return found


def outputs(frames=3, batch=2, channels=8, classes=5, radius=3, seed=0):
    """Random features and colours in double precision."""
    rng = torch.Generator().manual_seed(seed)
    features = torch.randn(batch, frames, channels, 4, 6, generator=rng, dtype=torch.float64).requires_grad_()
    ids = torch.randint(classes, (batch, frames, 16, 24), generator=rng)
    cells = F.avg_pool2d(F.one_hot(ids, classes).permute(0, 1, 4, 2, 3).double().flatten(0, 1), 4)
    return ColorOutputs(torch.zeros(batch, frames, 3, 16, 24), features, ids, cells.unflatten(0, (batch, frames)),
                        radius, range(frames))


def test_a_clip_that_stands_still_is_copied_without_mistake_but_for_the_blur_between_cells():
    found = learner('place')(two_halves(), None, 'loss')
    # next to the edge, pixels lie 1/8, 3/8 of a cell from the middle of their own towards the other's: on both sides
    blur = -2 * (math.log(0.875) + math.log(0.625)) / SIZE[1]
    assert float(found['loss_color_class']) == pytest.approx(2 * blur, rel=1e-5)
    assert float(found['loss_cycle_color']) == pytest.approx(0.1 * 2 * blur, rel=1e-5)
    assert found['color_found'] == found['color_still'] == 1


def test_features_that_tell_nothing_give_the_mean_colour():
    found = learner('uniform', radius=None)(two_halves(), None, 'loss')
    assert float(found['loss_color_class']) == pytest.approx(2 * math.log(2), rel=1e-5)
    assert float(found['loss_cycle_color']) == pytest.approx(0.1 * 2 * math.log(2), rel=1e-5)
    one_colour = learner('uniform')(torch.full((1, 3, 3, *SIZE), 0.3), None, 'loss')
    assert float(one_colour['loss_color_class']) == pytest.approx(0, abs=1e-6)


def plain_step(out, reference, target, colours):
    """Each cell in turn asks those in its window (CorrFlow, equations 3 and 4)."""
    features, rows = out.features, []
    height, width = features.shape[-2:]
    for y in range(height):
        for x in range(width):
            near = [(j, i) for j in range(height) for i in range(width)
                    if max(abs(j - y), abs(i - x)) <= out.radius]
            scores = torch.stack([(features[:, target, :, y, x] * features[:, reference, :, j, i]).sum(dim=1)
                                  for j, i in near], dim=1).softmax(dim=1)
            rows.append(sum(scores[:, k, None] * colours[:, :, j, i] for k, (j, i) in enumerate(near)))
    return torch.stack(rows, dim=2).unflatten(2, (height, width))


def plain_entropy(out, colours, target):
    shares = F.interpolate(colours, scale_factor=4, mode='bilinear')
    return F.nll_loss((shares + 1e-8).log(), out.classes[:, target])


@pytest.mark.parametrize('truth', [True, False])
def test_the_losses_are_those_of_a_plain_implementation_and_so_are_their_gradients(truth):
    out = outputs(batch=1, channels=4, radius=2)
    sampling = dict(type='ScheduledSampling', start=float(truth), end=float(truth))
    found = ColorClassLoss(sampling)(out) + CycleColorLoss(0.1)(out)
    gradient, = torch.autograd.grad(found, out.features)
    cells = out.cells
    one = plain_step(out, 0, 1, cells[:, 0])
    two = plain_step(out, 1, 2, cells[:, 1] if truth else one)
    wanted = plain_entropy(out, one, 1) + plain_entropy(out, two, 2)
    wanted = wanted + 0.1 * plain_entropy(out, plain_step(out, 1, 0, plain_step(out, 0, 1, cells[:, 0])), 0)
    far = plain_step(out, 1, 2, plain_step(out, 0, 1, cells[:, 0]))
    wanted = wanted + 0.1 * plain_entropy(out, plain_step(out, 1, 0, plain_step(out, 2, 1, far)), 0)
    assert found.item() == pytest.approx(wanted.item(), rel=1e-9)
    torch.testing.assert_close(gradient, torch.autograd.grad(wanted, out.features)[0], rtol=1e-7, atol=1e-9)


def test_the_second_step_learns_through_the_first_only_where_it_copies_a_prediction():
    def gradient_at_first_frame(chance):
        out = outputs()
        two = ColorClassLoss(dict(type='ScheduledSampling', start=chance, end=chance))(out)
        one = ColorClassLoss()(ColorOutputs(out.frames[:, :2], out.features, out.classes, out.cells, 3, range(2)))
        assert two.item() > one.item() > 0
        return torch.autograd.grad(two - one, out.features)[0][:, 0].abs().max()

    assert gradient_at_first_frame(1.) < 1e-12 < 1e-6 < gradient_at_first_frame(0.)


@pytest.mark.parametrize('count', [2, 4])
def test_clips_of_any_length_are_walked_through_recursively(count):
    out = outputs(count)
    none = dict(type='ScheduledSampling', start=0., end=0.)
    walked = [(*range(t + 1), ) for t in range(1, count)]
    loss = ColorClassLoss(none)(out)
    assert [path for path in out._copied] == walked
    assert loss.item() == pytest.approx(sum(plain_entropy(out, out.walk(path), path[-1]).item() for path in walked))
    CycleColorLoss()(out)
    assert (*range(count), *reversed(range(count - 1))) in out._copied
    for path, cells in out._copied.items():
        torch.testing.assert_close(cells.sum(dim=1), torch.ones_like(cells[:, 0]), msg=str(path))


def test_true_colours_are_copied_less_and_less_often(hub):
    part = ScheduledSampling()
    chances = []
    for step in (0, 50, 99):
        hub.update_info('iter', step)
        torch.manual_seed(step)
        chances.append(part.chance)
        assert sum(part() for _ in range(4000)) / 4000 == pytest.approx(part.chance, abs=0.025)
    assert chances == pytest.approx([0.9, 0.75, 0.603])


def test_each_frame_is_encoded_once_and_gradients_reach_all_of_the_encoder():
    given = learner('look')
    given(torch.rand(2, 3, 3, *SIZE), None, 'loss')
    assert given.estimator.seen == [6]
    model = learner(bottleneck=dict(type='ChannelDropout'), warp=dict(type='CropWarp'))
    found = model(torch.rand(2, 3, 3, *SIZE), None, 'loss')
    (found['loss_color_class'] + found['loss_cycle_color']).backward()
    assert all(parameter.grad is not None and bool(parameter.grad.isfinite().all())
               for parameter in model.parameters())
    assert model.estimator.conv1.weight.grad.abs().max() > 0
    assert {key.partition('.')[0] for key in model.state_dict()} == {'estimator'}


def test_a_step_in_bfloat16_is_finite_and_scores_stay_in_single_precision():
    model = learner()
    frames = torch.rand(2, 3, 3, *SIZE)
    with torch.autocast('cpu', dtype=torch.bfloat16):
        assert model(frames).dtype == torch.bfloat16
        found = model(frames, None, 'loss')
    total = found['loss_color_class'] + found['loss_cycle_color']
    assert total.dtype == torch.float32
    total.backward()
    assert all(bool(parameter.grad.isfinite().all()) for parameter in model.parameters())
    whole = model(frames, None, 'loss')
    assert found['loss_color_class'].item() == pytest.approx(whole['loss_color_class'].item(), rel=0.1)


def test_the_way_back_over_cropped_frames_leaves_no_use_for_the_place_of_a_cell():
    """A network that only knows where a cell is comes back without mistake; not if the frames are cropped. One that
    sees what a cell looks like finds the way in both."""
    rng = torch.Generator().manual_seed(3)
    frame = F.interpolate(torch.rand(1, 3, 12, 18, generator=rng), (96, 144), mode='nearest')
    clip = frame[:, None].expand(-1, 3, -1, -1, -1)
    loss = [dict(type='CycleColorLoss', loss_weight=1.)]

    def cycle(rule, **warp):
        torch.manual_seed(1)
        return float(learner(rule, loss, warp=dict(type='CropWarp', **warp) if warp else None)(clip, None, 'loss')[
            'loss_cycle_color'])

    blind = cycle('uniform', shift=16.)
    assert cycle('place') < 0.2 * blind and cycle('place', shift=16.) > 2 * blind
    assert cycle('look') < 0.2 * blind and cycle('look', shift=16.) < 0.6 * blind


def test_without_motion_of_the_crop_the_warped_way_back_is_the_plain_one():
    frames = torch.rand(2, 4, 3, *SIZE)
    plain = learner('look')(frames, None, 'loss')
    still = learner('look', warp=dict(type='CropWarp', shift=0.))(frames, None, 'loss')
    for name in plain:
        assert plain[name].item() == pytest.approx(still[name].item(), rel=1e-4), name
    given = learner('look', warp=dict(type='CropWarp'))
    given(frames, None, 'loss')
    assert given.estimator.seen == [2 * (4 + 3)]


def test_colours_come_from_the_plain_frames_and_features_from_those_that_are_seen():
    frames, plain = torch.rand(1, 3, 3, *SIZE), (255 * torch.rand(3, 3, *SIZE)).byte()
    model = learner('look')
    seen = {}
    keep = model._outputs
    model._outputs = lambda *args: seen.setdefault('out', keep(*args))
    model(frames, [TrackSample(plain_frames=plain)], 'loss')
    assert torch.equal(seen['out'].classes[0], ColorClasses()(plain / 255))
    torch.testing.assert_close(seen['out'].features, model(frames))


def test_frames_of_sides_that_no_cell_divides_are_learned_from():
    model, frames = learner(), two_halves(size=(30, 45))
    out = model._outputs(frames, frames)
    assert out.cells.shape == (1, 3, 16, 8, 12) and out.classes.shape == (1, 3, 30, 45)
    found = learner('uniform', radius=None)
    assert bool(torch.isfinite(model(frames, None, 'loss')['loss_color_class']))
    share = 22 / 45  # of the left colour, in pixels and, but for a little, in cells, which overlap
    wanted = -share * math.log(share) - (1 - share) * math.log(1 - share)
    found.estimator.forward = lambda seen: torch.zeros(len(seen), 4, 8, 12)
    assert found(frames, None, 'loss')['loss_color_class'].item() == pytest.approx(2 * wanted, rel=1e-3)


def test_the_same_seed_gives_the_same_step_and_another_gives_another():
    model = learner(bottleneck=dict(type='ChannelDropout'), warp=dict(type='CropWarp'))
    frames = torch.rand(2, 3, 3, *SIZE)

    def step(seed):
        torch.manual_seed(seed)
        return {name: value.item() for name, value in model(frames, None, 'loss').items()}

    assert step(1) == step(1) and step(1) != step(2)


def test_every_switch_that_is_off_is_off():
    torch.manual_seed(0)
    bare = learner(losses=[dict(type='ColorClassLoss')], radius=None)
    frames = torch.rand(1, 3, 3, *SIZE)
    state = torch.get_rng_state()
    found = bare(frames, None, 'loss')
    assert torch.equal(torch.get_rng_state(), state)  # nothing is drawn
    assert set(found) == {'loss_color_class', 'color_found', 'color_still'}
    out = bare._outputs(frames, frames)
    ColorClassLoss()(out)
    assert list(out._copied) == [(0, 1), (1, 2)] and out.radius is None
    # all cells are asked
    scores = torch.einsum('bcp,bcq->bpq', out.features[:, 1].flatten(2), out.features[:, 0].flatten(2)).softmax(dim=2)
    wanted = torch.einsum('bpq,bkq->bkp', scores, out.cells[:, 0].flatten(2))
    torch.testing.assert_close(out.walk((0, 1)).flatten(2), wanted, rtol=1e-4, atol=1e-5)


def statistics(model):
    return {name: value.clone() for name, value in model.state_dict().items() if 'running' in name}


def test_statistics_for_use_are_those_of_frames_with_all_their_colours():
    torch.manual_seed(0)
    model, plain = (learner(bottleneck=dict(type='ChannelDropout', prob=prob)) for prob in (0.5, 0.))
    plain.load_state_dict(model.state_dict())
    dropped = 0
    for step in range(8):
        frames = torch.rand(1, 2, 3, *SIZE)
        torch.manual_seed(step)
        if model.bottleneck(frames) is frames:
            plain(frames, None, 'loss')
        else:
            dropped += 1
        torch.manual_seed(step)
        model(frames, None, 'loss')
    assert 0 < dropped < 8
    for name, value in statistics(model).items():
        torch.testing.assert_close(value, statistics(plain)[name])


@pytest.mark.parametrize('bottleneck', [dict(type='ChannelDropout', prob=1.), dict(type='GreyInput'), None])
def test_statistics_are_those_of_any_frames_where_others_are_never_seen(bottleneck):
    model = learner(bottleneck=bottleneck)
    before = statistics(model)
    model(torch.rand(1, 2, 3, *SIZE), None, 'loss')
    assert not any(torch.equal(value, before[name]) for name, value in statistics(model).items())


def test_encode_sees_frames_as_in_use_and_leaves_the_mode_as_it_is():
    model = learner(bottleneck=dict(type='ChannelDropout', prob=1.))
    frames = torch.rand(2, 3, 30, 45)
    model.train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    features = model.encode(frames)
    assert features.shape == (2, 16, 8, 12) and not features.requires_grad and model.training
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    torch.testing.assert_close(features, model.eval().estimator(frames))
    grey = learner(bottleneck=dict(type='GreyInput'))
    torch.testing.assert_close(grey.encode(frames), grey.encode(frames.flip(1) * 0 + _grey(frames)))
    assert model.describe() == dict(radius=6, stride=4, channels=16, bottleneck='ChannelDropout')
    assert model.pass_bytes((480, 854)) == 4 * 1024 * 120 * 214 and model.memory_settings() == []


def _grey(frames):
    return (frames * torch.tensor([0.299, 0.587, 0.114]).view(3, 1, 1)).sum(dim=1, keepdim=True).expand_as(frames)


@pytest.mark.parametrize('change, message', [
    (dict(estimator=nn.Conv2d(3, 4, 3)), 'model.estimator of a CorrespondenceLearner must be an encoder, .* Conv2d'),
    (dict(radius=-1), 'model.radius must be a whole number, at least 0, got -1'),
    (dict(losses=[dict(type='MaskedSequenceLoss')]), 'MaskedSequenceLoss needs labels, and this network provides'),
    (dict(losses=[dict(type='ColorClassLoss', sampling=dict(type='ScheduledSampling', start=1.5))]),
     r'ScheduledSampling.start must lie in \[0, 1\], got 1.5'),
    (dict(warp=dict(type='CropWarp', shift=-1.)), 'CropWarp.shift must be finite and not negative, got -1.0'),
    (dict(bottleneck=dict(type='ChannelDropout', prob=2.)), r'ChannelDropout.prob must lie in \[0, 1\], got 2.0'),
])
def test_a_setting_that_cannot_be_is_refused(change, message):
    with pytest.raises(ConfigError, match=message):
        CorrespondenceLearner(**{**dict(estimator=ENCODER, losses=LOSSES), **change})


def test_a_step_that_cannot_be_is_refused():
    frames = torch.rand(1, 3, 3, *SIZE)
    with pytest.raises(ConfigError, match='these clips have 1; set frames=2 or more'):
        learner('look')(frames[:, :1], None, 'loss')
    with pytest.raises(ConfigError, match='model.losses is empty.*ColorClassLoss'):
        learner('look', ())(frames, None, 'loss')
    with pytest.raises(ValueError, match="mode must be 'loss' or 'tensor', got 'predict'"):
        learner('look')(frames, None, 'predict')
    broken = learner()
    with torch.no_grad():
        broken.estimator.head.weight.fill_(float('nan'))
    with pytest.raises(MMRefineError, match='loss_color_class is nan: training has diverged'):
        broken(frames, None, 'loss')
