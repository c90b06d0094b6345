"""Asking both ways at once gives what asking each way gives."""
from __future__ import annotations

import pytest
import torch

from mmrefine.errors import TeacherError
from mmrefine.geometry import resize_flow
from mmrefine.labeling import CascadeView
from mmrefine.labeling.flow.views.both_ways import MirroredTeacher, both_ways, look_both_ways


class Difference:
    """Motion from the pictures: the difference of the first two channels, plus half of where it started."""
    accepts_flow_init = True

    def __init__(self):
        self.calls = []

    def estimate(self, frames1, frames2, flow_init=None):
        self.calls.append(len(frames1))
        start = 0. if flow_init is None else flow_init / 2
        return [torch.zeros(len(frames1), 2, *frames1.shape[-2:]), 8 * (frames2 - frames1)[:, :2] + start]


class AtOnce(Difference):
    """The same, with a method for both directions."""

    def __init__(self):
        super().__init__()
        self.asked = []

    def estimate_both(self, frames1, frames2, flow_init_fw=None, flow_init_bw=None, names=None):
        self.asked.append((frames1, frames2, flow_init_fw, flow_init_bw, names))
        return (super().estimate(frames1, frames2, flow_init_fw)[-1], super().estimate(frames2, frames1, flow_init_bw)[-1])


class Silent(Difference):

    def estimate(self, frames1, frames2, flow_init=None):
        return []


class Eighth(Difference):

    def estimate_both(self, frames1, frames2, flow_init_fw=None, flow_init_bw=None, names=None):
        return (torch.zeros(len(frames1), 2, 1, 2), ) * 2


def pairs(batch=2, height=9, width=12):
    return torch.rand(batch, 3, height, width), torch.rand(batch, 3, height, width)


@pytest.mark.parametrize('teacher', [Difference, AtOnce])
@pytest.mark.parametrize('start', [None, torch.rand(4, 2, 9, 12)])
def test_the_answer_is_forward_then_backward_each_from_its_own_start(teacher, start):
    frames1, frames2 = pairs()
    starts = (None, None) if start is None else start.chunk(2)
    wanted = [Difference().estimate(a, b, s)[-1] for a, b, s in ((frames1, frames2, starts[0]), (frames2, frames1, starts[1]))]
    assert torch.equal(both_ways(teacher(), frames1, frames2, start), torch.cat(wanted))


def test_a_teacher_without_a_method_for_both_is_asked_once():
    teacher = Difference()
    both_ways(teacher, *pairs())
    assert teacher.calls == [4]


@pytest.mark.parametrize('scales', [(1., ), (1., 2.), (.5, 2., 1.)])
def test_a_cascade_that_looks_both_ways_gives_what_it_gives_for_a_batch_of_both(scales):
    frames1, frames2 = pairs()
    view, teacher, names = CascadeView(scales=scales), AtOnce(), (['a', 'b'], ['c', 'd'])
    found = look_both_ways(view, teacher, frames1, frames2, names)
    wanted = view(Difference(), torch.cat([frames1, frames2]), torch.cat([frames2, frames1]))
    assert torch.equal(found, wanted)
    assert len(teacher.asked) == len(scales)
    for looked, scale in zip(teacher.asked, scales):
        assert looked[0].shape == (2, 3, round(scale * 9), round(scale * 12)) and looked[4] == names
    if len(scales) > 1:
        first = torch.cat(AtOnce().estimate_both(*teacher.asked[0][:2]))
        start = torch.cat(teacher.asked[1][2:4])
        torch.testing.assert_close(start, resize_flow(first, tuple(start.shape[-2:])), rtol=0, atol=1e-6)


def test_a_view_without_a_method_for_both_gets_a_batch_of_both():
    frames1, frames2 = pairs()
    seen = []

    def view(teacher, first, second):
        seen.append((first, second))
        return teacher.estimate(first, second)[-1]

    found = look_both_ways(view, Difference(), frames1, frames2)
    (first, second), = seen
    assert torch.equal(first, torch.cat([frames1, frames2])) and torch.equal(second, torch.cat([frames2, frames1]))
    assert torch.equal(found, both_ways(Difference(), frames1, frames2))


@pytest.mark.parametrize('accepts', [True, False])
def test_a_mirrored_teacher_accepts_a_start_as_the_teacher_behind_it_does(accepts):
    teacher = AtOnce()
    teacher.accepts_flow_init = accepts
    assert MirroredTeacher(teacher).accepts_flow_init is accepts


def test_a_teacher_without_an_answer_or_with_one_of_another_size_is_refused_by_its_name():
    with pytest.raises(TeacherError, match=r'Silent\) gave no flow for frames of 9x12 px'):
        both_ways(Silent(), *pairs())
    with pytest.raises(TeacherError, match=r'Eighth\) gave a flow of shape \(4, 2, 1, 2\).*wanted \(4, 2, 18, 24\)'):
        look_both_ways(CascadeView(scales=(2., )), Eighth(), *pairs())
