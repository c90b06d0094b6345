"""What the network sees of the whole crop teaches what it should see of the inner part."""
from __future__ import annotations

import math

import pytest
import torch
from mmengine.logging import MessageHub

from mmrefine.errors import ConfigError
from mmrefine.geometry import resize
from mmrefine.models import SelfSupervisionLoss
from mmrefine.structures import FlowOutputs, FlowSample, FlowTargets, WholeFrames

SIZE = (25, 37)  # an inset of (4, 6) leaves 17 x 25: enlarging multiplies distances by 24 / 16 and 36 / 24 = 1.5
TINY = 1e-3


def at_once(**settings):
    return SelfSupervisionLoss(**{'begin': 0., 'ramp': 0., 'loss_weight': 1., **settings})


def constant(x, y):
    return torch.tensor([x, y]).view(1, 2, 1, 1).expand(1, 2, *SIZE).clone()


class Asked:
    """A network that says of the inner part what it is told, and remembers what it was shown."""

    def __init__(self, *answers):
        self.answers, self.seen = list(answers), []

    def __call__(self, frames1, frames2):
        self.seen.append((frames1, frames2, torch.is_grad_enabled()))
        return self.answers.pop(0)


def outputs_of(teacher, teacher_back, network, frames=None):
    frames = torch.rand(2, 1, 3, *SIZE) if frames is None else frames
    return FlowOutputs([teacher], frames[0], frames[1], [teacher_back], estimate=network)


def test_a_student_that_misses_pays_its_miss_where_it_does_not_trust_itself():
    """A constant motion that comes back: T = 1 wherever it stays inside, seen from the inner part everywhere. The
    student's way leaves its frame, so S = 0."""
    teacher, student = constant(2., -1.), constant(100., 0.)
    network = Asked(([student], [student]))
    found = at_once()(outputs_of(teacher, -teacher, network), FlowTargets())
    wanted = 0.
    for x, y in ((2., -1.), (-2., 1.)):  # what was 2 px is 3 px in the enlarged part
        wanted += (math.hypot(100. - 1.5 * x, TINY) + math.hypot(1.5 * y, TINY)) / 2 / 2
    assert found.item() == pytest.approx(wanted, rel=1e-5)
    frames1, frames2, training = network.seen[0]
    assert training and frames1.shape[-2:] == SIZE


def test_a_student_that_comes_back_is_left_alone_and_so_is_what_the_teacher_is_not_sure_of():
    teacher, student = constant(2., -1.), constant(1., 0.)
    # the student's round trip is perfect: 1 - S = 0 but where its motion leaves the frame, one column of 37 each way
    found = at_once()(outputs_of(teacher, -teacher, Asked(([student], [-student]))), FlowTargets())
    miss = (math.hypot(1. - 3., TINY) + math.hypot(1.5, TINY)) / 2
    assert found.item() == pytest.approx(miss / SIZE[1], rel=1e-4)
    # a teacher that misses by 1 px: T = exp(-1 / (0.003^2 (25^2 + 37^2))) = exp(-55.7)
    lost = at_once()(outputs_of(teacher, constant(-1., 1.), Asked(([constant(100., 0.)], ) * 2)), FlowTargets())
    assert 0. <= lost.item() < 1e-20


def test_trust_is_the_gaussian_of_the_round_trip():
    """The student misses by (1, 0): S = exp(-1 / (0.03^2 (25^2 + 37^2))) in the middle columns."""
    teacher, student, back = constant(0., 0.), constant(0.5, 0.), constant(0.5, 0.)
    found = at_once()(outputs_of(teacher, teacher, Asked(([student], [back]))), FlowTargets()).item()
    trusted = math.exp(-1 / (0.03**2 * (25**2 + 37**2)))
    shares = [36 / 37 * (1 - trusted) + 1 / 37] * 2  # the last column moves out of the frame
    assert found == pytest.approx(sum(shares) / 2 * (math.hypot(0.5, TINY) + TINY) / 2, rel=1e-4)


def test_the_student_sees_the_inner_part_as_the_network_saw_it_and_the_teacher_the_colours_of_the_video():
    torch.manual_seed(0)
    frames, video = torch.rand(2, 1, 3, *SIZE), torch.rand(2, 3, 40, 50)
    whole = WholeFrames([video[0]], [video[1]], torch.tensor([[5., 3.]]))
    still, student = constant(0., 0.), constant(100., 0.)
    network = Asked(([still], [still]), ([student], [student]))
    found = at_once()(outputs_of(constant(7., 7.), constant(7., 7.), network, frames), FlowTargets(whole=whole))
    assert found.item() == pytest.approx((math.hypot(100., TINY) + TINY) / 2, rel=1e-4)  # compared with `still`
    (one, two, training), (inner1, inner2, student_training) = network.seen
    assert not training and student_training
    for seen, frame in ((one, video[0]), (two, video[1])):
        assert torch.equal(seen[0], frame[:, 3:3 + SIZE[0], 5:5 + SIZE[1]])
    for seen, frame in ((inner1, frames[0]), (inner2, frames[1])):
        assert torch.equal(seen, resize(frame[..., 4:21, 6:31], SIZE))


def test_only_the_student_is_pulled_and_earlier_iterates_less():
    teacher, back = constant(0., 0.).requires_grad_(), constant(0., 0.).requires_grad_()
    students = [constant(90., 0.).requires_grad_(), constant(80., 0.).requires_grad_()]
    network = Asked((students, [constant(200., 0.)] * 2))
    at_once()(outputs_of(teacher, back, network), FlowTargets()).backward()
    assert teacher.grad is None and back.grad is None
    early, late = (student.grad[:, 0].sum().item() for student in students)
    assert late == pytest.approx(0.25, rel=1e-4) and early == pytest.approx(0.8 * late, rel=1e-4)


def test_the_gradient_is_that_of_the_formula():
    torch.manual_seed(1)
    teacher = torch.zeros(1, 2, 8, 9, dtype=torch.float64)
    frames = torch.rand(2, 1, 3, 8, 9, dtype=torch.float64)
    student = 100 + torch.rand(1, 2, 8, 9, dtype=torch.float64)  # leaves the frame: S = 0 around it

    def value(flow):
        return at_once()(outputs_of(teacher, teacher, Asked(([flow], [flow])), frames), FlowTargets())

    assert torch.autograd.gradcheck(value, (student.requires_grad_(), ), fast_mode=True)


def test_it_begins_late_and_grows(monkeypatch):
    hub, network = MessageHub.get_current_instance(), Asked()
    hub.update_info('max_iters', 1200)
    loss, found = SelfSupervisionLoss(), {}
    for step in (0, 499, 500, 550, 600, 1199):
        hub.update_info('iter', step)
        found[step] = loss.strength()
    flow = constant(1., 1.).requires_grad_()
    hub.update_info('iter', 499)
    value = loss(outputs_of(flow, -flow, network), FlowTargets())
    value.backward()
    hub.pop_info('iter'), hub.pop_info('max_iters')
    assert found == {0: 0., 499: 0., 500: 0., 550: pytest.approx(0.5), 600: pytest.approx(1.), 1199: 1.}
    assert value == 0. and not flow.grad.any() and network.seen == []


@pytest.mark.parametrize('settings, size, inner', [
    (dict(), (60, 90), (40, 60)), (dict(inset=64), (296, 696), (168, 568)), (dict(inset=0.25), (8, 16), (4, 8))])
def test_the_inner_part(settings, size, inner):
    assert torch.zeros(1, 1, *size)[SelfSupervisionLoss(**settings)._inner(*size)].shape[-2:] == inner


@pytest.mark.parametrize('settings, found', [
    (dict(inset=0.5), r'inset must be a share in \(0, 0.5\) or a whole number of px, at least 1, got 0.5'),
    (dict(inset=0), 'got 0'), (dict(begin=1.5), r'begin must be a share of the training in \[0, 1\], got 1.5'),
    (dict(ramp=-0.1), 'ramp must be'), (dict(gamma=0.), 'gamma must lie'),
    (dict(loss_weight=-1.), 'SelfSupervisionLoss.loss_weight must be finite and not negative, got -1.0')])
def test_settings_that_are_invalid_are_named(settings, found):
    with pytest.raises(ValueError, match=found):
        SelfSupervisionLoss(**settings)


def test_a_crop_of_which_nothing_is_left_and_outputs_without_the_network_are_refused():
    flow = constant(0., 0.)
    for begin in (0., 0.5):  # in the first step, not in the middle of the training
        with pytest.raises(ConfigError, match=r'inset=12 leaves nothing of crops of 25x37 px.*crop_size'):
            SelfSupervisionLoss(inset=12, begin=begin)(outputs_of(flow, flow, Asked()), FlowTargets())
    with pytest.raises(ValueError, match='needs the way back and the network'):
        at_once()(outputs_of(flow, flow, None), FlowTargets())


def test_a_real_network_learns_from_itself_in_the_precision_of_the_step(build_raft):
    refiner = build_raft(losses=[dict(type='SelfSupervisionLoss', begin=0., ramp=0.)], train_iters=2).train()
    with torch.no_grad():  # motion so small that the way there and back is trusted
        for parameter in refiner.estimator.decoder.flow_pred.parameters():
            parameter *= 0.01
    frames = torch.randint(0, 256, (2, 3, 70, 90), dtype=torch.uint8)
    sample = FlowSample(whole_frames=frames, metainfo=dict(corner=(10, 3)))
    inputs, seen = frames[None, ..., 3:67, 10:74].float() / 255, []
    refiner.estimator.encoder.register_forward_hook(lambda module, args, out: seen.append(out.dtype))
    with torch.autocast('cpu', dtype=torch.bfloat16):
        results = refiner(inputs, [sample], mode='loss')
    assert set(results) == {'loss_self_supervision'} and set(seen) == {torch.bfloat16} and len(seen) == 6
    results['loss_self_supervision'].backward()
    gradients = [p.grad for p in refiner.parameters() if p.grad is not None]
    assert len(gradients) > 50 and all(bool(g.isfinite().all()) for g in gradients) and any(g.any() for g in gradients)
