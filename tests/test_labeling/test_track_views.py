"""How a tracker is asked: at any scale the same answer, and of several answers the better one."""
from __future__ import annotations

import numpy as np
import pytest
import torch
from exact_tracks import FRAMES, SIZE, ExactTracker, render, rotations, translations

from mmrefine.errors import ConfigError, TeacherError
from mmrefine.labeling import ArbitratedTracks, DirectTracks
from mmrefine.labeling.tracks.views import track_pass
from mmrefine.registry import TEACHER_VIEWS

POINTS = torch.tensor([[20., 20.], [30., 25.], [40., 30.], [24., 32.], [0., 0.], [63., 47.], [33.25, 12.5]])
INNER = POINTS[[0, 1, 2, 3, 6]]
WORLDS = pytest.mark.parametrize('maps', [translations(), rotations()], ids=['translation', 'rotation'])


def truth(maps, points=INNER):
    return torch.stack([points @ torch.from_numpy(one[:, :2].T).float() + torch.from_numpy(one[:, 2]).float()
                        for one in maps], dim=1)


def noisy(there, back, length, seed=0):
    """Errors of ``length`` px that differ there and back, from the second frame on; the way back misses its start."""
    rng = np.random.default_rng(seed)
    angles = rng.uniform(0, 2 * np.pi, (2, *there.shape[:2]))
    for part, angle in zip((there, back), angles):
        errors = length * np.stack([np.cos(angle), np.sin(angle)], axis=-1)
        part[:, 1:] += errors[:, 1:]
    back[:, 0] += [length, 0]


@WORLDS
@pytest.mark.parametrize('scale', [0.5, 0.77, 1., 1.3, 2.])
def test_with_an_exact_teacher_the_scale_changes_nothing(maps, scale):
    frames = render(maps)
    look = DirectTracks(scale).look(ExactTracker(maps), frames, POINTS)
    assert look.frames is frames and torch.equal(look.visible, torch.ones(len(POINTS), FRAMES))
    torch.testing.assert_close(look.there, truth(maps, POINTS), rtol=0, atol=1e-4)
    torch.testing.assert_close(look.back, truth(maps, POINTS), rtol=0, atol=1e-4)


def test_the_teacher_is_shown_frames_and_points_of_one_scale():
    maps = translations()
    teacher, frames = ExactTracker(maps), render(maps)
    for view in (DirectTracks(1.5), ArbitratedTracks((1., 1.5))):
        view.look(teacher, frames, POINTS)
        assert [shape[-2:] for shape, _ in teacher.calls] == view.pass_sizes(SIZE) and view.pass_sizes(SIZE)
        shape, points = teacher.calls[-1]
        assert shape == (FRAMES, 3, 72, 96)
        torch.testing.assert_close(points[5], torch.tensor([95., 71.]), rtol=0, atol=1e-4)  # corner to corner
        teacher.calls.clear()


def test_one_pass_is_that_of_the_direct_view_to_the_bit():
    maps = rotations()
    direct, one = (view.look(ExactTracker(maps), render(maps), POINTS)
                   for view in (DirectTracks(2.), ArbitratedTracks((2., ))))
    assert torch.equal(direct.there, one.there) and torch.equal(direct.back, one.back)


@WORLDS
@pytest.mark.parametrize('length', [0.6, 2., 6.])
def test_where_the_larger_pass_is_exact_the_track_is_near_it(maps, length):
    def fault(scale, there, back, visible):
        if scale == 1:
            noisy(there, back, length)
            visible[:] = 0.2

    teacher, frames = ExactTracker(maps, fault=fault), render(maps)
    small = DirectTracks().look(teacher, frames, INNER)
    look = ArbitratedTracks().look(teacher, frames, INNER)
    assert (small.there - truth(maps))[:, 1:].norm(dim=-1).min() > 0.99 * length
    assert (look.there - truth(maps)).norm(dim=-1).max() < 0.03
    assert look.cycle_errors.max() < 0.06 and look.visible[:, 1:].min() > 0.95


@WORLDS
def test_a_larger_pass_that_is_broken_changes_nothing(maps):
    def fault(scale, there, back, visible):
        if scale == 2:
            noisy(there, back, 7.)
            visible[:] = 0.

    teacher, frames = ExactTracker(maps, fault=fault), render(maps)
    for scales in ((1., 2.), (1., 2., 1.5)):
        look = ArbitratedTracks(scales).look(teacher, frames, INNER)
        torch.testing.assert_close(look.there, truth(maps), rtol=0, atol=1e-4)
    small, look = (view.look(teacher, frames, INNER) for view in (DirectTracks(), ArbitratedTracks()))
    assert torch.equal(look.there, small.there) and torch.equal(look.back, small.back)
    assert torch.equal(look.visible, small.visible)


def test_a_pass_that_stands_still_and_comes_back_is_given_away_by_the_picture():
    maps, frames = translations(4., -2.), render(translations(4., -2.))

    def look(missed, **settings):
        def fault(scale, there, back, visible):
            if scale == 2:
                there[:], back[:] = there[:, :1], there[:, :1]  # comes back exactly
            else:
                back[:, 0] += [missed, 0]  # the right one does not

        return ArbitratedTracks(**settings).look(ExactTracker(maps, fault=fault), frames, INNER)

    assert torch.equal(look(0.05).there, DirectTracks().look(ExactTracker(maps), frames, INNER).there)
    far = (look(0.3).there - truth(maps)).norm(dim=-1)
    assert (far < 0.1).double().mean() > 0.9
    blind = (look(0.3, picture=0.).there - truth(maps)).norm(dim=-1)
    assert blind[:, 1:].min() > 4


def test_where_the_picture_is_flat_the_round_trip_alone_decides():
    maps = translations()

    def fault(scale, there, back, visible):
        there[:, 1:] += [3. * (scale == 1), 0]
        back[:, 0] += [2. * (scale == 1), 0]

    teacher, flat = ExactTracker(maps, fault=fault), torch.full((FRAMES, 3, *SIZE), 0.5)
    look = ArbitratedTracks().look(teacher, flat, INNER)
    assert (look.there - truth(maps)).norm(dim=-1).max() < 0.01
    undecided = ArbitratedTracks(trust=0.).look(teacher, flat, INNER)
    assert torch.equal(undecided.there, DirectTracks().look(teacher, flat, INNER).there)


def test_what_one_frame_shows_decides_over_that_frame():
    """Both passes come back alike; one is wrong in frame 2, the other in frame 3."""
    maps = translations()

    def fault(scale, there, back, visible):
        t = 2 if scale == 1 else 3
        there[:, t] += [6., 5.]
        back[:, t] += [6., 5.]
        back[:, 0] += [0.3, 0.]

    look = ArbitratedTracks((2., 1.)).look(ExactTracker(maps, fault=fault), render(maps), INNER)
    assert (look.there - truth(maps)).norm(dim=-1).max() < 0.3
    torch.testing.assert_close(look.cycle_errors[:, 0], torch.full((len(INNER), ), 0.3), rtol=0, atol=1e-4)


def strided(maps, stride=2):
    """The frames of a clip of that stride, those between them, and the maps of the clip."""
    frames = render(maps)
    between = [frames[t + 1:t + stride] for t in range(0, len(maps) - 1, stride)]
    return frames[::stride], between, maps[::stride]


LONG = pytest.mark.parametrize('maps', [translations(count=9), rotations(count=9)], ids=['translation', 'rotation'])


@LONG
@pytest.mark.parametrize('scale', [1., 1.5])
@pytest.mark.parametrize('stride, shown', [(1, 9), (2, 5), (3, 5), (4, 3), (None, 3)])
def test_at_a_shorter_stride_the_answer_is_that_of_the_frames_of_the_clip(maps, scale, stride, shown):
    frames, between, own = strided(maps, 4)
    numbers = {9: range(9), 5: [0, 3, 4, 7, 8] if stride == 3 else range(0, 9, 2), 3: [0, 4, 8]}[shown]
    teacher = ExactTracker(maps[list(numbers)])
    view = DirectTracks(scale, stride)
    look = view.look(teacher, frames, INNER, between)
    assert view.needs_between is (stride is not None) and teacher.calls[0][0][0] == shown
    assert look.frames is frames and look.visible.shape == (len(INNER), 3)
    for part in (look.there, look.back):
        torch.testing.assert_close(part, truth(own), rtol=0, atol=1e-4)


def test_a_clip_without_frames_in_between_is_shown_as_it_is():
    maps = translations()
    for between in ((), [torch.zeros(0, 3, *SIZE)] * (FRAMES - 1)):
        teacher = ExactTracker(maps)
        plain, direct, both = (view.look(teacher, render(maps), INNER, between) for view in (
            DirectTracks(), DirectTracks(stride=1), ArbitratedTracks((1., ), strides=(None, 1))))
        assert len(teacher.calls) == 3
        assert torch.equal(plain.there, direct.there) and torch.equal(plain.there, both.there)


class SlowTracker(ExactTracker):
    """Errs by 3 px, another way back than there, unless it sees all frames."""

    def __init__(self, maps, stride):
        super().__init__(maps)
        self.every, self.stride = maps, stride

    def track_both(self, frames, points):
        is_whole = len(frames) == len(self.every)
        self.maps = self.every if is_whole else self.every[::self.stride]
        self.fault = None if is_whole else lambda scale, there, back, visible: noisy(there, back, 3.)
        return super().track_both(frames, points)


@LONG
def test_of_a_tracker_that_small_steps_help_the_passes_at_a_shorter_stride_decide(maps):
    frames, between, own = strided(maps)
    teacher = SlowTracker(maps, 2)
    plain = ArbitratedTracks().look(teacher, frames, INNER)
    assert (plain.there - truth(own))[:, 1:].norm(dim=-1).min() > 2.9
    teacher.calls.clear()
    view = ArbitratedTracks((1., 1.5), strides=(None, 1))
    look = view.look(teacher, frames, INNER, between)
    assert (look.there - truth(own)).norm(dim=-1).max() < 0.1
    shown = [(SIZE, 5), ((72, 96), 5), (SIZE, 9), ((72, 96), 9)]
    assert [(shape[-2:], shape[0]) for shape, _ in teacher.calls] == shown
    assert view.pass_sizes(SIZE) == [size for size, _ in shown] and view.needs_between


class Wrong:

    def __init__(self, *answer):
        self.answer = answer

    def track(self, frames, queries):
        raise NotImplementedError

    def track_both(self, frames, points):
        return self.answer[0] if len(self.answer) == 1 else self.answer


GOOD = torch.zeros(7, FRAMES, 2), torch.ones(7, FRAMES)
LOST = GOOD[0].clone()
LOST[3, 2, 1] = float('nan')


@pytest.mark.parametrize('view', [DirectTracks(), DirectTracks(2.), ArbitratedTracks()], ids=['1x', '2x', 'both'])
@pytest.mark.parametrize('teacher, says', [
    (object(), r'\(object\) follows no points, it has no track_both\(\)'),
    (Wrong(None), r'\(Wrong\) gave no tracks'),
    (Wrong(GOOD[0], GOOD[0]), 'gave no tracks'),
    (Wrong(GOOD[0], GOOD[0], None), 'gave no tracks'),
    (Wrong(GOOD[0][:6], GOOD[0], GOOD[1]), r'gave there of shape \(6, 5, 2\), wanted \(7, 5, 2\) for 7 points'),
    (Wrong(GOOD[0], GOOD[1], GOOD[1]), r'gave back of shape \(7, 5\), wanted \(7, 5, 2\)'),
    (Wrong(GOOD[0], GOOD[0], GOOD[1][:, :4]), r'gave visible of shape \(7, 4\), wanted \(7, 5\)'),
    (Wrong(GOOD[0], LOST, GOOD[1]), 'gave back that is nan or infinite in 1 of 7 tracks'),
    (Wrong(1 / (LOST * 0), GOOD[0], GOOD[1]), 'gave there that is nan or infinite in 7 of 7 tracks'),
    (Wrong(GOOD[0], GOOD[0], GOOD[1] * 1.5), r'gave a visibility from 1.5 to 1.5, it must lie in \[0, 1\]'),
])
def test_an_answer_that_is_no_tracks_is_one_sentence(view, teacher, says):
    with pytest.raises(TeacherError, match=says) as caught:
        view.look(teacher, render(translations()), POINTS)
    assert '\n' not in str(caught.value)


class BrightestPixel:
    """Follows whatever it is asked for to the brightest pixel of each frame; knows nothing of the world but pixels."""

    def __init__(self):
        self.calls = []

    def track(self, frames, queries):
        raise AssertionError('not asked')

    def track_both(self, frames, points):
        self.calls.append((frames, points))
        spots = frames.mean(dim=1).flatten(1).argmax(dim=1)
        width = frames.shape[-1]
        there = torch.stack([spots % width, spots // width], dim=1).float().expand(len(points), -1, -1).clone()
        there[:, 0] = points
        return there, there.clone(), torch.ones(there.shape[:2])


@pytest.mark.parametrize('mirror', ['horizontal', 'vertical', 'both'])
def test_a_mirrored_pass_gives_points_of_the_frames_as_they_are(mirror):
    frames, way = torch.zeros(4, 3, *SIZE), torch.tensor([[10., 7.], [13., 9.], [17., 12.], [30., 30.]])
    for frame, (x, y) in zip(frames, way.long()):
        frame[:, y, x] = 1.
    teacher = BrightestPixel()
    look = track_pass(teacher, frames, way[:1], mirror=mirror)
    assert torch.equal(look.there[0], way) and torch.equal(look.back[0], way) and look.frames is frames
    shown, first = teacher.calls[0]
    turned = {'horizontal': (-1, ), 'vertical': (-2, ), 'both': (-2, -1)}[mirror]
    assert torch.equal(shown, frames.flip(turned)) and not torch.equal(first, way[:1])
    y, x = first[0].flip(0).long()
    assert shown[0, 0, y, x] == 1.  # the query is on its point, mirrored with it


def test_mirrored_passes_are_asked_at_every_size_and_have_a_say():
    frames = render(translations())
    view = ArbitratedTracks((1., 2.), mirrors=('horizontal', 'both'))
    teacher = ExactTracker(translations())
    view.look(teacher, frames, INNER)
    assert [shape[-2:] for shape, _ in teacher.calls] == view.pass_sizes(SIZE) and len(teacher.calls) == 6
    # passes that are wrong by turns: of three the two that agree win
    seen = []

    def fault(scale, there, back, visible):
        seen.append(scale)
        if len(seen) == 1:
            there[:, 1:] += 6.
            back[:, 1:] += 6.
            back[:, 0] += 3.

    class Blind(ExactTracker):
        """Knows the motion of the frames as they are shown: left is right for it in a mirrored frame."""

        def track_both(self, frames, points):
            if seen:  # a mirrored pass: the world's motion, mirrored
                flip, edge = points.new_tensor([-1., 1.]), points.new_tensor([SIZE[1] - 1., 0.])
                there, back, visible = super().track_both(frames, points * flip + edge)
                return there * flip + edge, back * flip + edge, visible
            return super().track_both(frames, points)

    look = ArbitratedTracks((1., ), mirrors=('horizontal', ), trust=4.).look(
        Blind(translations(), fault=fault), frames, INNER)
    assert seen == [1., 1.] and (look.there - truth(translations())).norm(dim=-1).max() < 0.2


@pytest.mark.parametrize('config, says', [
    (dict(type='DirectTracks', scale=0.), r'DirectTracks.scale must be finite and above 0, got 0'),
    (dict(type='DirectTracks', scale='big'), "DirectTracks.scale must be a number.*'big'"),
    (dict(type='ArbitratedTracks', scales=()), r'ArbitratedTracks.scales must be one or more factors .* got \(\)'),
    (dict(type='ArbitratedTracks', scales=(1., 1.)), r'factors that differ.*\(1.0, 1.0\)'),
    (dict(type='ArbitratedTracks', scales=(1., -2.)), 'ArbitratedTracks.scales must be finite and above 0, got -2'),
    (dict(type='ArbitratedTracks', trust=-1.), 'ArbitratedTracks.trust must be finite and not negative, got -1'),
    (dict(type='ArbitratedTracks', picture=-1.), 'ArbitratedTracks.picture must be finite and not negative'),
    (dict(type='DirectTracks', stride=0), 'DirectTracks.stride must be a whole number, at least 1, got 0'),
    (dict(type='ArbitratedTracks', strides=()), r'ArbitratedTracks.strides must be one or more numbers .* got \(\)'),
    (dict(type='ArbitratedTracks', strides=(1, 1)), r'that differ.*\(1, 1\)'),
    (dict(type='ArbitratedTracks', strides=(None, 0)), 'ArbitratedTracks.strides must be a whole number, at least 1'),
    (dict(type='ArbitratedTracks', mirrors=('sideways', )), r'mirrors must be some of horizontal, vertical, both'),
    (dict(type='ArbitratedTracks', mirrors=('both', 'both')), r'each once, got \(.both., .both.\)'),
    (dict(type='ArbitratedTracks', radius=0), 'ArbitratedTracks.radius must be a whole number, at least 1'),
])
def test_a_wrong_setting_is_one_sentence(config, says):
    with pytest.raises(ConfigError, match=says) as caught:
        TEACHER_VIEWS.build(config)
    assert '\n' not in str(caught.value)
