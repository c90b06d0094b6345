"""Long steps out of short ones, by a teacher that knows the short ones."""
from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from mmrefine.errors import ConfigError
from mmrefine.geometry import backwarp, compose, resize_flow
from mmrefine.labeling import ArbitratedView, ComposedView, FlowLabeler, calibrate
from mmrefine.structures import NamedFrame, PairBatch
from mmrefine.synthetic import exact_motion, render_clip

SIZE = (40, 56)
PLAIN = dict(scales=(1., ), flip=False)


class Knowing:
    """Knows the frames that it is shown, and of each two the motion; ``motions[i, j]`` is ``(2, H, W)`` px."""

    def __init__(self, frames, motions, accepts_flow_init=False, memory=None):
        self.frames, self.motions, self.accepts_flow_init, self.memory = frames, motions, accepts_flow_init, memory
        self.asked, self.starts = [], []

    def number(self, frame):
        return next(i for i, known in enumerate(self.frames) if torch.equal(known, frame))

    def estimate(self, frames1, frames2, flow_init=None):
        keys = [(self.number(one), self.number(two)) for one, two in zip(frames1, frames2)]
        self.asked.append(keys)
        self.starts.append(flow_init)
        return [torch.stack([self.motions[key] for key in keys])]


def coded(count, size=SIZE):
    """Flat frames that differ: no picture to judge by."""
    return [torch.full((3, *size), (i + 1) / 16) for i in range(count)]


def constant(x, y, size=SIZE):
    return torch.tensor([float(x), float(y)]).view(2, 1, 1).expand(2, *size).clone()


def noise(size=SIZE, seed=0):
    return 8 * torch.randn(2, *size, generator=torch.Generator().manual_seed(seed))


def shifts(steps, direct=noise):
    """The motions of a world that moves as a whole by ``steps``; any longer look sees ``direct``."""
    motions = {}
    for i, (x, y) in enumerate(steps):
        motions[i, i + 1], motions[i + 1, i] = constant(x, y), constant(-x, -y)
    count = len(steps) + 1
    motions.update({(i, j): direct() for i in range(count) for j in range(count) if abs(i - j) > 1})
    return motions


def middles(frames, *numbers):
    return [[NamedFrame(frames[i]) for i in numbers]]


def ask(view, teacher, first, second, between=None, names=None):
    return view.look(teacher, PairBatch(teacher.frames[first][None], teacher.frames[second][None], None, names,
                                        between))


def ask_flow(*args):
    """The motion ``(2, 2, H, W)`` px there and back."""
    return ask(*args).both_ways()


@pytest.fixture(scope='module')
def world():
    """A rendered clip, its exact motion from each frame to the next and back, and over two steps."""
    clip = render_clip(5, 3, (64, 96), 'source')
    frames = list(torch.from_numpy(clip.frames).permute(0, 3, 1, 2).float() / 255)
    motions = {}
    for t in range(2):
        motions[t, t + 1], motions[t + 1, t] = torch.from_numpy(clip.flow_fw[t]), torch.from_numpy(clip.flow_bw[t])
    truths = [torch.from_numpy(exact_motion(5, *ends, (64, 96))[0]) for ends in ((0, 2), (2, 0))]
    seen = []
    for first, second in (((0, 1), (1, 2)), ((2, 1), (1, 0))):
        # both steps visible, also for the four pixels that the second is read from
        visible = [
            torch.from_numpy((clip.visible_fw if b > a else clip.visible_bw)[min(a, b)]).float()
            for a, b in (first, second)
        ]
        layers = [torch.from_numpy(clip.masks[a]).float()[None] for a in (first[0], first[1])]
        flow = motions[first][None]
        same = (backwarp(layers[1][None], flow)[0] - layers[0]).abs() < 1e-3
        seen.append((visible[0] > 0) & (backwarp(visible[1][None], flow)[0] > .999) & same)
    return SimpleNamespace(frames=frames, motions=motions, truth=torch.stack(truths), seen=torch.stack(seen))


@pytest.mark.parametrize('direct', ['nothing moves', 'noise'])
def test_of_exact_short_steps_and_a_wrong_long_one_the_label_is_the_true_long_one_both_ways(world, direct):
    wrong = torch.zeros(2, 64, 96) if direct == 'nothing moves' else noise((64, 96))
    teacher = Knowing(world.frames, {**world.motions, (0, 2): wrong, (2, 0): wrong})
    labeler = FlowLabeler(view=dict(type='ComposedView', radius=4, **PLAIN), directions='both')
    label, = labeler.label_pairs(
        teacher, PairBatch(world.frames[0][None], world.frames[2][None], middles=middles(world.frames, 1)))
    found = torch.stack([label.forward.flow, label.backward.flow])
    chains = [
        compose(*(world.motions[step][None] for step in steps))[0] for steps in (((0, 1), (1, 2)), ((2, 1), (1, 0)))
    ]
    assert world.seen.float().mean() > .6
    assert (torch.cat(chains) - world.truth).norm(dim=1, keepdim=True)[world.seen].max() < .05
    error = (found - world.truth).norm(dim=1, keepdim=True)[world.seen]
    before = (wrong - world.truth).norm(dim=1, keepdim=True)[world.seen]
    assert before.mean() > 3 and error.mean() < .15 * before.mean() and error.median() < .3
    for stats in (label.stats, label.stats_backward):
        assert stats['from_composed'] > .6 and stats['from_composed'] + stats['from_1x'] == pytest.approx(1, abs=1e-5)


def test_where_the_chain_leaves_a_frame_and_for_pairs_without_one_in_between_the_motion_is_the_direct_one_to_the_bit():
    frames = coded(3)
    teacher = Knowing(frames, shifts([(30, 0), (-28, 0)]))
    direct = ask_flow(ArbitratedView(**PLAIN), teacher, 0, 2)
    view = ComposedView(**PLAIN)
    look = ask(view, teacher, 0, 2, middles(frames, 1))
    found = look.both_ways()
    # forward 30 px to the right, backward 28 px to the right
    for way, reach in ((0, 56 - 30), (1, 56 - 28)):
        assert torch.equal(found[way, ..., reach:], direct[way, ..., reach:])
        assert not torch.equal(found[way, ..., :reach], direct[way, ..., :reach])
    torch.testing.assert_close(found[0, 0, :, :26].mean(), torch.tensor(2.), rtol=0, atol=.2)
    assert look.shares_fw[0]['from_composed'] == pytest.approx(26 / 56, abs=.01)
    for between in (None, [[]]):
        look = ask(view, teacher, 0, 2, between)
        assert torch.equal(look.both_ways(), direct)
        assert look.shares_fw[0]['from_composed'] == look.shares_bw[0]['from_composed'] == 0.


def test_several_frames_in_between_make_a_chain_of_as_many_steps_and_the_way_back_is_mirrored():
    frames = coded(4)
    teacher = Knowing(frames, shifts([(3, 1), (4, 0), (2, -2)]))
    found = ask_flow(ComposedView(**PLAIN), teacher, 0, 3, middles(frames, 1, 2))
    torch.testing.assert_close(found[0, :, 4:-4, :40], constant(9, -1)[:, 4:-4, :40], rtol=0, atol=.05)
    torch.testing.assert_close(found[1, :, 4:-4, 16:], constant(-9, 1)[:, 4:-4, 16:], rtol=0, atol=.05)
    turned = ask_flow(ComposedView(**PLAIN), teacher, 3, 0, middles(frames, 2, 1))
    torch.testing.assert_close(turned.roll(1, dims=0), found)


def test_pairs_of_a_batch_with_and_without_frames_in_between_each_get_what_they_get_alone():
    frames = coded(4)
    teacher = Knowing(frames, shifts([(3, 1), (4, 0), (2, -2)]))
    view, between = ComposedView(**PLAIN), [[NamedFrame(frames[1]), NamedFrame(frames[2])], [], [NamedFrame(frames[2])]]
    first, second = [0, 2, 1], [3, 3, 3]
    together = view.look(
        teacher, PairBatch(*(torch.stack([frames[i] for i in ends]) for ends in (first, second)), middles=between))
    for i in range(3):
        alone = ask(view, teacher, first[i], second[i], between[i:i + 1])
        assert torch.equal(alone.both_ways(), together.both_ways()[[i, i + 3]])
        assert (alone.shares_fw[0], alone.shares_bw[0]) == (together.shares_fw[i], together.shares_bw[i])


def test_a_step_that_does_not_come_back_leaves_the_say_to_the_direct_look():
    frames = coded(3)
    motions = shifts([(5, 0), (5, 0)], direct=lambda: constant(1, 0))
    motions[2, 0] = constant(-1, 0)
    shares = []
    for back in (-5, 1, 5):
        motions[2, 1] = constant(back, 0)
        view = ComposedView(trust=0., **PLAIN)
        found = ask_flow(view, Knowing(frames, motions), 0, 2, middles(frames, 1))
        shares.append((found[0, 0, :, :30].mean().item() - 1) / 9)  # of the way from the direct motion to the chain
    # round trips of 0, 6 and 10 px against 0.2 * 10 + 1 px: beliefs of 1, exp(-4) and exp(-11)
    assert shares[0] == pytest.approx(.5, abs=.01) and shares[1] < .05 and shares[2] < 1e-3


def test_the_look_after_the_chain_starts_where_the_chain_ends_or_else_where_the_direct_look_does():
    frames = coded(3)
    teacher = Knowing(frames, shifts([(10, 0), (8, 0)]), accepts_flow_init=True)
    found = ask(ComposedView(**PLAIN), teacher, 0, 2, middles(frames, 1)).shares_fw[0]
    (direct, *steps, again), starts = teacher.asked, teacher.starts
    assert direct == again == [(0, 2), (2, 0)] and steps == [[(0, 1), (1, 0)], [(1, 2), (2, 1)]]
    assert starts[:3] == [None] * 3
    torch.testing.assert_close(starts[3][0, :, :, :38], constant(18, 0)[:, :, :38])
    assert torch.equal(starts[3][0, :, :, 38:], teacher.motions[0, 2][:, :, 38:])
    assert list(found) == ['from_1x', 'from_composed', 'from_composed_1x']
    assert sum(found.values()) == pytest.approx(1)
    without = ask(ComposedView(refine=False, **PLAIN), teacher, 0, 2, middles(frames, 1)).shares_fw[0]
    assert len(teacher.asked) == 7 and list(without) == ['from_1x', 'from_composed']


def test_the_steps_and_the_look_after_the_chain_have_the_iterations_of_their_scales():
    frames = coded(3)

    class Asked(Knowing):
        """Writes down which pair it was asked for with how many iterations; the frames are flat in any size."""
        iters: list = []

        def number(self, frame):
            return round(float(frame[0, 0, 0]) * 16) - 1

        def estimate(self, frames1, frames2, flow_init=None, iters=None):
            self.iters.append((self.number(frames1[0]), self.number(frames2[0]), frames1.shape[-1], iters))
            return [resize_flow(super().estimate(frames1, frames2, flow_init)[0], frames1.shape[-2:])]

    teacher = Asked(frames, shifts([(10, 0), (8, 0)]), accepts_flow_init=True)
    ask(ComposedView(scales=(1., 2.), flip=False, iters=(None, 40)), teacher, 0, 2, middles(frames, 1))
    looks = [(*ends, *look) for ends in ((0, 2), (0, 1), (1, 2)) for look in ((56, None), (112, 40))]
    assert teacher.iters == [*looks, (0, 2, 112, 40)]


def test_the_shares_of_the_direct_looks_and_of_the_chain_add_up_to_the_label():

    class Scaled(Knowing):
        """Tells its frames by their brightness at any size."""

        def number(self, frame):
            return round(float(frame[0, 0, 0]) * 16) - 1

        def estimate(self, frames1, frames2, flow_init=None):
            flow = super().estimate(frames1, frames2)[0] + frames1.shape[-1] / 560
            return [resize_flow(flow, frames1.shape[-2:])]

    frames = coded(3)
    look = ask(ComposedView(scales=(1., 2.)), Scaled(frames, shifts([(3, 1), (4, 0)])), 0, 2, middles(frames, 1))
    assert look.flow_fw.shape == look.flow_bw.shape == (1, 2, *SIZE)
    for shares in (*look.shares_fw, *look.shares_bw):
        assert list(shares) == ['from_1x', 'from_2x', 'from_2x_flipped', 'from_composed']
        assert sum(shares.values()) == pytest.approx(1, abs=1e-6)


def test_along_a_video_each_step_is_asked_once_and_the_labels_are_those_without_remembering():
    frames = coded(5)
    steps = [(3, 1), (4, 0), (2, -2), (1, 1)]
    names = [f'scene/{i}' for i in range(5)]
    remembering, forgetting = (Knowing(frames, shifts(steps), memory=memory) for memory in (object(), None))
    view, found = ComposedView(**PLAIN), []
    for teacher in (remembering, forgetting):
        flows = [
            ask_flow(view, teacher, i, i + 2, [[NamedFrame(frames[i + 1], names[i + 1])]], ([names[i]], [names[i + 2]]))
            for i in range(3)
        ]
        found.append(torch.stack(flows))
        asked = [keys[0] for keys in teacher.asked if keys[0][1] == keys[0][0] + 1]
        # without a memory the teacher might have changed meanwhile
        assert asked == ([(i, i + 1) for i in range(4)] if teacher is remembering else [(0, 1), (1, 2), (1, 2), (2, 3),
                                                                                        (2, 3), (3, 4)])
    assert torch.equal(*found)
    other = Knowing(frames, shifts([(2, 1), (3, 0), (2, -2), (1, 1)]), memory=object())
    flow = ask_flow(view, other, 0, 2, [[NamedFrame(frames[1], names[1])]], ([names[0]], [names[2]]))
    torch.testing.assert_close(flow[0, :, 4:-4, :40], constant(5, 1)[:, 4:-4, :40], rtol=0, atol=.05)
    with pytest.raises(ValueError, match=r"'scene/0' or 'scene/1' was given to two different pictures"):
        ask(view, other, 0, 2, [[NamedFrame(frames[3], names[1])]], ([names[0]], [names[2]]))


def test_a_motion_that_is_nan_in_a_step_is_not_believed():
    frames = coded(3)
    motions = shifts([(3, 0), (3, 0)])
    motions[1, 2][:, 10:20, 10:20] = float('nan')
    motions[2, 1][:, 30:, :20] = float('nan')
    teacher = Knowing(frames, motions)
    found = ask_flow(ComposedView(**PLAIN), teacher, 0, 2, middles(frames, 1))
    direct = ask_flow(ArbitratedView(**PLAIN), teacher, 0, 2)
    assert found.isfinite().all()
    assert torch.equal(found[0, :, 10:20, 7:17], direct[0, :, 10:20, 7:17])


def test_filters_and_a_calibration_work_with_a_view_that_composes():
    clip = render_clip(3, 4, (64, 80))
    frames = list(torch.from_numpy(clip.frames).permute(0, 3, 1, 2).float() / 255)

    class Still:
        accepts_flow_init = False

        def estimate(self, frames1, frames2, flow_init=None):
            return [torch.zeros(len(frames1), 2, *frames1.shape[-2:])]

    labeler = dict(type='FlowLabeler', view=dict(type='ComposedView', **PLAIN),
                   filters=[dict(type='CycleFilter'), dict(type='CompositeFilter')])
    label, = FlowLabeler(**{key: value for key, value in labeler.items() if key != 'type'}).label_pairs(
        Still(), PairBatch(frames[0][None], frames[2][None], [frames[3]], middles=middles(frames, 1)))
    assert label.stats['third'] == 1 and label.forward.weight.min() == 1
    found = calibrate(Still(),
                      dict(labeler, filters=[dict(type='CycleFilter')]),
                      list(zip(frames, frames[1:])),
                      warps=2)
    assert np.isfinite(list(found.thresholds.values())).all()


def test_all_that_decides_is_in_the_description_and_that_of_other_views_is_what_it_was():
    view = FlowLabeler(view=dict(type='ComposedView', scales=(1., 2.))).describe()['view']
    arbitrated = dict(scales=[1., 2.], flip=True, warm_start=True, trust=3., picture=30., radius=16.)
    assert view == dict(type='ComposedView', **arbitrated, refine=True, alpha=.2, beta=1.)
    for kind in ('CascadeView', 'ArbitratedView',
                 'ComposedView'):  # a setting that came later is there only where it is set
        plain, more, each = (FlowLabeler(view=dict(type=kind, scales=(1., 2.), **iters)).describe()['view']
                             for iters in (dict(), dict(iters=40), dict(iters=(None, 40))))
        assert more == dict(plain, iters=40.) and each == dict(plain, iters=[None, 40.]) and 'iters' not in plain
    labeler = FlowLabeler(view=dict(type='ArbitratedView'))
    assert not labeler.needs_middle and FlowLabeler(view=dict(type='ComposedView')).needs_middle
    assert sorted(labeler.describe()) == ['directions', 'filters', 'floor', 'min_kept', 'type', 'view']


@pytest.mark.parametrize('settings, message', [
    (dict(alpha=-.1), 'ComposedView.alpha.*-0.1'),
    (dict(beta=float('nan')), 'ComposedView.beta.*nan'),
    (dict(beta=0), 'ComposedView.beta must be finite and above 0, got 0 px'),
    (dict(scales=(1., 1.)), 'differ from one another'),
])
def test_invalid_settings_are_refused_by_value(settings, message):
    with pytest.raises(ConfigError, match=message):
        ComposedView(**settings)


@pytest.mark.parametrize('between, found',
                         [([[], []], r'1 pairs .*\[\[\], \[\]\]'),
                          ([[NamedFrame(torch.zeros(3, 9, 9))]], r'\(3, 40, 56\) each, got \[\[\(3, 9, 9\)\]\]')])
def test_frames_in_between_of_another_shape_or_number_of_pairs_are_refused(between, found):
    frames = coded(3)
    labeler = FlowLabeler(view=dict(type='ComposedView', **PLAIN))
    with pytest.raises(ValueError, match=found):
        labeler.label_pairs(Knowing(frames, shifts([(1, 0), (1, 0)])),
                            PairBatch(frames[0][None], frames[2][None], middles=between))
