"""The teacher can neither learn nor change mode (F3)."""
from __future__ import annotations

import pytest
import torch

from mmrefine.errors import ConfigError
from mmrefine.models import FrozenTeacher
from mmrefine.structures import FlowEstimator


@pytest.fixture
def frames():
    return torch.rand(2, 1, 3, 64, 72)


def test_it_stays_frozen_after_train(build_raft):
    teacher = FrozenTeacher(build_raft(freeze_bn=False).train())
    teacher.train()
    assert not any(module.training for module in teacher.modules())
    assert not any(parameter.requires_grad for parameter in teacher.parameters())


def test_it_is_a_flow_estimator_that_answers_as_the_student_did(build_raft, frames):
    student = build_raft(test_iters=3).eval()
    teacher = FrozenTeacher(student)
    assert isinstance(teacher, FlowEstimator) and teacher.accepts_flow_init
    init = torch.ones(1, 2, 64, 72)
    for flow_init in (None, init):
        answers = teacher.estimate(*frames, flow_init)
        with torch.no_grad():
            assert torch.equal(answers[-1], student.estimate(*frames, flow_init)[-1])
        assert not answers[-1].requires_grad


def test_asking_both_ways_leaves_it_frozen(build_raft, frames):
    student = build_raft(freeze_bn=False)
    teacher = FrozenTeacher(student)
    before = {key: value.clone() for key, value in teacher.state_dict().items()}
    teacher.train()
    flows = teacher.estimate_both(*frames)
    assert not any(flow.requires_grad for flow in flows) and not any(module.training for module in teacher.modules())
    assert all(torch.equal(before[key], value) for key, value in teacher.state_dict().items())
    for flow, way in zip(flows, (frames, frames.flip(0))):
        torch.testing.assert_close(flow, student.eval().estimate(*way)[-1], rtol=0, atol=1e-4)


def test_bfloat16_is_near_and_answers_in_float32(build_raft, frames):
    student = build_raft()
    exact, rounded = FrozenTeacher(student), FrozenTeacher(student, dtype='bfloat16')
    seen = []
    rounded.refiner.estimator.encoder.register_forward_hook(lambda _, __, features: seen.append(features.dtype))
    for ask in (lambda teacher: torch.cat(teacher.estimate_both(*frames)),
                lambda teacher: teacher.estimate(*frames)[-1]):
        wanted, found = ask(exact), ask(rounded)
        assert found.dtype == torch.float32 and not torch.equal(found, wanted)
        assert float((found - wanted).abs().mean()) < .1 * float(wanted.abs().mean())
    assert len(seen) == 3 and set(seen) == {torch.bfloat16}
    with pytest.raises(ConfigError, match="'float32' or 'bfloat16', got 'int8'"):
        FrozenTeacher(student, dtype='int8')


def test_it_names_what_changes_its_answers_beside_the_weights(build_raft):
    student = build_raft()
    plain = FrozenTeacher(student)
    assert plain.describe() == dict(network='RAFT', iters=student.test_iters, frames=vars(student.normalize))
    assert not plain.depends_on_batch
    student.exit_below = .05
    other = FrozenTeacher(student, dtype='bfloat16')
    assert other.describe() == dict(plain.describe(), dtype='bfloat16', exit_below=.05) and other.depends_on_batch


def test_training_the_student_does_not_move_the_teacher(build_raft, frames, label):
    student = build_raft().train()
    teacher = FrozenTeacher(student)
    before, digest = teacher.estimate(*frames)[-1], teacher.digest()
    student(frames.transpose(0, 1), [label(64, 72)], mode='loss')['loss_masked_sequence'].backward()
    torch.optim.SGD(student.parameters(), lr=1e-2).step()
    assert torch.equal(teacher.estimate(*frames)[-1], before)
    assert teacher.digest() == digest
    assert FrozenTeacher(student).digest() != digest


def test_the_student_stays_trainable(build_raft):
    student = build_raft().train()
    FrozenTeacher(student)
    assert student.training and all(parameter.requires_grad for parameter in student.parameters())


def test_the_digest_depends_on_the_weights_alone(build_raft):
    student = build_raft()
    digest = FrozenTeacher(student).digest()
    student.test_iters = 9
    assert FrozenTeacher(student.train()).digest() == digest
    with torch.no_grad():
        student.estimator.encoder.conv1.bias[0] += 1e-3
    assert FrozenTeacher(student).digest() != digest
