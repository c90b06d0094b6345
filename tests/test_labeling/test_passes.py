"""Asking both ways at once gives what asking each way gives."""
from __future__ import annotations

import pytest
import torch

from mmrefine.errors import TeacherError
from mmrefine.geometry import resize_flow
from mmrefine.labeling import CascadeView
from mmrefine.labeling.flow.views.passes import Pass, run_pass
from mmrefine.structures import LookRequest, PairBatch


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
        return (super().estimate(frames1, frames2, flow_init_fw)[-1], super().estimate(frames2, frames1,
                                                                                       flow_init_bw)[-1])


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
    wanted = [
        Difference().estimate(a, b, s)[-1] for a, b, s in ((frames1, frames2, starts[0]), (frames2, frames1, starts[1]))
    ]
    assert torch.equal(run_pass(teacher(), PairBatch(frames1, frames2), Pass(1.), start), torch.cat(wanted))
    alone = run_pass(teacher(), PairBatch(frames1, frames2), Pass(1.), starts[0], backward=False)
    assert torch.equal(alone, wanted[0])


def test_a_teacher_that_cannot_be_asked_both_ways_at_once_gets_a_batch_of_both():
    frames1, frames2 = pairs()
    seen = []

    class Watched(Difference):

        def estimate(self, frames1, frames2, flow_init=None):
            seen.append((frames1, frames2))
            return super().estimate(frames1, frames2, flow_init)

    run_pass(Watched(), PairBatch(frames1, frames2), Pass(1.))
    (first, second), = seen
    assert torch.equal(first, torch.cat([frames1, frames2])) and torch.equal(second, torch.cat([frames2, frames1]))


def test_where_nobody_needs_the_way_back_the_teacher_is_not_asked_for_it():
    for teacher in (Difference(), AtOnce()):
        look = CascadeView().look(teacher, PairBatch(*pairs()), LookRequest(backward=False))
        assert teacher.calls == [2, 2] and not getattr(teacher, 'asked', [])
        assert look.flow_fw.isfinite().all() and look.flow_bw.isnan().all()


@pytest.mark.parametrize('scales', [(1., ), (1., 2.), (.5, 2., 1.)])
def test_a_cascade_that_asks_both_ways_at_once_gives_what_it_gives_for_a_batch_of_both(scales):
    frames1, frames2 = pairs()
    view, teacher, names = CascadeView(scales=scales), AtOnce(), (['a', 'b'], ['c', 'd'])
    batch = PairBatch(frames1, frames2, names=names)
    assert torch.equal(view.look(teacher, batch).both_ways(), view.look(Difference(), batch).both_ways())
    assert len(teacher.asked) == len(scales)
    for looked, scale in zip(teacher.asked, scales):
        assert looked[0].shape == (2, 3, round(scale * 9), round(scale * 12)) and looked[4] == names
    if len(scales) > 1:
        first = torch.cat(AtOnce().estimate_both(*teacher.asked[0][:2]))
        start = torch.cat(teacher.asked[1][2:4])
        torch.testing.assert_close(start, resize_flow(first, tuple(start.shape[-2:])), rtol=0, atol=1e-6)


@pytest.mark.parametrize('accepts', [True, False])
def test_a_teacher_that_is_asked_both_ways_at_once_gets_a_start_only_if_it_takes_one(accepts):
    teacher = AtOnce()
    teacher.accepts_flow_init = accepts
    CascadeView().look(teacher, PairBatch(*pairs()))
    assert [asked[2] is not None for asked in teacher.asked] == ([False, True] if accepts else [False])


def test_a_teacher_without_an_answer_or_with_one_of_another_size_is_refused_by_its_name():
    with pytest.raises(TeacherError, match=r'Silent\) gave no flow for frames of 9x12 px'):
        run_pass(Silent(), PairBatch(*pairs()), Pass(1.))
    with pytest.raises(TeacherError, match=r'Eighth\) gave a flow of shape \(4, 2, 1, 2\).*wanted \(4, 2, 18, 24\)'):
        CascadeView(scales=(2., )).look(Eighth(), PairBatch(*pairs()))
