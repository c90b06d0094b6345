"""What the cascade shows the teacher, and what it makes of the answer."""
from __future__ import annotations

import pytest
import torch

from mmrefine.errors import ConfigError, TeacherError
from mmrefine.geometry import pixel_grid, resize, resize_flow
from mmrefine.labeling import CascadeView


class ScaledTeacher:
    """Knows the motion of frames of ``base`` size; at another size it sees the same motion there.

    The motion is affine, ``f = M p + t`` px at base size, so a right resize keeps it exact. Each
    call adds ``drift`` px (of the size it was shown) to tell the looks apart.
    """

    def __init__(self, base, accepts_flow_init=True, drift=(0., 0., 0.)):
        self.accepts_flow_init = accepts_flow_init
        grid = pixel_grid(*base, torch.zeros(1))
        self.truth = torch.stack([.05 * grid[:, 0] + .1 * grid[:, 1] + 2., -.1 * grid[:, 0] + 1.],
                                 1)
        self.drift = drift
        self.calls = []

    def estimate(self, frames1, frames2, flow_init=None):
        answer = resize_flow(self.truth, frames1.shape[-2:]) + self.drift[len(self.calls)]
        self.calls.append((frames1, frames2, flow_init, answer))
        answer = answer.expand(len(frames1), -1, -1, -1)
        return [torch.zeros_like(answer), answer]            # coarse to fine: the last one counts


def pair(height=9, width=12, batch=2):
    return torch.rand(batch, 3, height, width), torch.rand(batch, 3, height, width)


def test_at_scale_one_the_view_is_the_last_answer_of_the_teacher_bit_for_bit():
    frames1, frames2 = pair()
    teacher = ScaledTeacher((9, 12))
    flow = CascadeView(scales=(1., ))(teacher, frames1, frames2)
    (seen1, seen2, start, answer), = teacher.calls
    assert torch.equal(seen1, frames1) and torch.equal(seen2, frames2) and start is None
    assert torch.equal(flow, answer.expand(2, -1, -1, -1))


@pytest.mark.parametrize('scales', [(2., ), (1., 2.), (.5, 1., 1.5), (3., )])
def test_motion_seen_at_another_size_comes_back_in_pixels_of_the_frames(scales):
    teacher = ScaledTeacher((9, 12))
    flow = CascadeView(scales=scales)(teacher, *pair())
    torch.testing.assert_close(flow, teacher.truth.expand(2, -1, -1, -1), rtol=0, atol=1e-5)
    assert len(teacher.calls) == len(scales)


def test_a_constant_motion_at_twice_the_size_is_divided_by_the_corner_distances():
    """17 px between the corner centres become 35: 7 px there are 7 * 17 / 35 = 3.4 px here."""

    class Seven:
        accepts_flow_init = True

        def estimate(self, frames1, frames2, flow_init=None):
            return [torch.full((len(frames1), 2, *frames1.shape[-2:]), 7.)]

    flow = CascadeView(scales=(2., ))(Seven(), *pair(18, 18))
    torch.testing.assert_close(flow, torch.full((2, 2, 18, 18), 3.4), rtol=0, atol=1e-6)


def test_frames_are_shown_at_the_rounded_size():
    teacher = ScaledTeacher((9, 13))
    frames1, frames2 = pair(9, 13)
    CascadeView(scales=(1.5, ))(teacher, frames1, frames2)
    (seen1, seen2, _, _), = teacher.calls
    assert torch.equal(seen1, resize(frames1, (14, 20)))     # round(13.5), round(19.5): to even
    assert torch.equal(seen2, resize(frames2, (14, 20)))


def test_each_look_starts_from_the_last_one_in_pixels_of_its_own_size():
    teacher = ScaledTeacher((9, 12), drift=(.5, -.25, 0.))
    CascadeView(scales=(1., 2., 3.))(teacher, *pair())
    first, second, third = teacher.calls
    assert first[2] is None
    torch.testing.assert_close(second[2], resize_flow(first[3], (18, 24)).expand(2, -1, -1, -1))
    torch.testing.assert_close(third[2], resize_flow(second[3], (27, 36)).expand(2, -1, -1, -1))
    assert float((second[2] - second[3]).abs().max()) > .5   # the drift shows: not its own answer


@pytest.mark.parametrize('accepts, warm', [(False, True), (True, False)])
def test_without_a_warm_start_the_teacher_gets_none_and_is_asked_once_at_the_last_size(
        accepts, warm):
    teacher = ScaledTeacher((9, 12), accepts_flow_init=accepts)
    flow = CascadeView(scales=(1., 2.), warm_start=warm)(teacher, *pair())
    (seen1, _, start, _), = teacher.calls
    assert start is None and seen1.shape[-2:] == (18, 24)
    torch.testing.assert_close(flow, teacher.truth.expand(2, -1, -1, -1), rtol=0, atol=1e-5)


def test_a_flow_of_another_size_is_refused_with_both_sizes():

    class Eighth:
        accepts_flow_init = True

        def estimate(self, frames1, frames2, flow_init=None):
            return [torch.zeros(len(frames1), 2, 2, 3)]

    # a resize would hide it
    with pytest.raises(TeacherError, match=r'Eighth.*\(2, 2, 2, 3\).*\(2, 2, 18, 24\)'):
        CascadeView(scales=(2., ))(Eighth(), *pair())


def test_a_teacher_without_an_answer_is_refused():

    class Silent:
        accepts_flow_init = False

        def estimate(self, frames1, frames2, flow_init=None):
            return []

    with pytest.raises(TeacherError, match='Silent.*gave no flow'):
        CascadeView()(Silent(), *pair())


@pytest.mark.parametrize('scales', [(), (1., 0.), (-2., ), (float('inf'), ), (float('nan'), )])
def test_scales_that_cannot_be_meant_are_refused_by_value(scales):
    with pytest.raises(ConfigError) as caught:
        CascadeView(scales=scales)
    assert 'CascadeView.scales' in str(caught.value) and repr(scales) in str(caught.value)
