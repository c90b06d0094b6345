"""What the cascade shows the teacher, and what it makes of the answer."""
from __future__ import annotations

import pytest
import torch

from mmrefine.errors import ConfigError, TeacherError
from mmrefine.geometry import pixel_grid, resize, resize_flow
from mmrefine.labeling import ArbitratedView, CascadeView, ComposedView
from mmrefine.structures import LookRequest, PairBatch


def forward(view, teacher, frames1, frames2):
    """The motion forward, ``(B, 2, H, W)`` px, where nobody needs the way back."""
    return view.look(teacher, PairBatch(frames1, frames2), LookRequest(backward=False)).flow_fw


def both_ways(view, teacher, frames1, frames2, names=None):
    """The motion forward, then backward, ``(2 B, 2, H, W)`` px."""
    return view.look(teacher, PairBatch(frames1, frames2, names=names)).both_ways()


class ScaledTeacher:
    """Knows the motion of frames of ``base`` size; at another size it sees the same motion there.

    The motion is affine, ``f = M p + t`` px at base size, so a right resize keeps it exact. Each
    call adds ``drift`` px (of the size it was shown) to tell the passes from one another.
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
    flow = forward(CascadeView(scales=(1., )), teacher, frames1, frames2)
    (seen1, seen2, start, answer), = teacher.calls
    assert torch.equal(seen1, frames1) and torch.equal(seen2, frames2) and start is None
    assert torch.equal(flow, answer.expand(2, -1, -1, -1))


@pytest.mark.parametrize('scales', [(2., ), (1., 2.), (.5, 1., 1.5), (3., )])
def test_motion_seen_at_another_size_comes_back_in_pixels_of_the_frames(scales):
    teacher = ScaledTeacher((9, 12))
    flow = forward(CascadeView(scales=scales), teacher, *pair())
    torch.testing.assert_close(flow, teacher.truth.expand(2, -1, -1, -1), rtol=0, atol=1e-5)
    assert len(teacher.calls) == len(scales)


def test_a_constant_motion_at_twice_the_size_is_divided_by_the_corner_distances():
    """17 px between the corner centres become 35: 7 px there are 7 * 17 / 35 = 3.4 px here."""

    class Seven:
        accepts_flow_init = True

        def estimate(self, frames1, frames2, flow_init=None):
            return [torch.full((len(frames1), 2, *frames1.shape[-2:]), 7.)]

    flow = forward(CascadeView(scales=(2., )), Seven(), *pair(18, 18))
    torch.testing.assert_close(flow, torch.full((2, 2, 18, 18), 3.4), rtol=0, atol=1e-6)


def test_frames_are_shown_at_the_rounded_size():
    teacher = ScaledTeacher((9, 13))
    frames1, frames2 = pair(9, 13)
    forward(CascadeView(scales=(1.5, )), teacher, frames1, frames2)
    (seen1, seen2, _, _), = teacher.calls
    assert torch.equal(seen1, resize(frames1, (14, 20)))     # round(13.5), round(19.5): to even
    assert torch.equal(seen2, resize(frames2, (14, 20)))


def test_each_pass_starts_from_the_last_one_in_pixels_of_its_own_size():
    teacher = ScaledTeacher((9, 12), drift=(.5, -.25, 0.))
    forward(CascadeView(scales=(1., 2., 3.)), teacher, *pair())
    first, second, third = teacher.calls
    assert first[2] is None
    torch.testing.assert_close(second[2], resize_flow(first[3], (18, 24)).expand(2, -1, -1, -1))
    torch.testing.assert_close(third[2], resize_flow(second[3], (27, 36)).expand(2, -1, -1, -1))
    assert float((second[2] - second[3]).abs().max()) > .5   # the drift shows: not its own answer


@pytest.mark.parametrize('accepts, warm', [(False, True), (True, False)])
def test_without_a_warm_start_the_teacher_gets_none_and_is_asked_once_at_the_last_size(
        accepts, warm):
    teacher = ScaledTeacher((9, 12), accepts_flow_init=accepts)
    flow = forward(CascadeView(scales=(1., 2.), warm_start=warm), teacher, *pair())
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
        forward(CascadeView(scales=(2., )), Eighth(), *pair())


def test_a_teacher_without_an_answer_is_refused():

    class Silent:
        accepts_flow_init = False

        def estimate(self, frames1, frames2, flow_init=None):
            return []

    with pytest.raises(TeacherError, match='Silent.*gave no flow'):
        forward(CascadeView(), Silent(), *pair())


@pytest.mark.parametrize('scales', [(), (1., 0.), (-2., ), (float('inf'), ), (float('nan'), )])
def test_invalid_scales_are_refused_by_value(scales):
    with pytest.raises(ConfigError) as caught:
        CascadeView(scales=scales)
    assert 'CascadeView.scales' in str(caught.value) and repr(scales) in str(caught.value)


class Counting:
    """Nothing moves, whatever it is asked; writes down (width of the frames, iterations, whether it got a start)."""

    def __init__(self, accepts_flow_init=True):
        self.accepts_flow_init, self.asked = accepts_flow_init, []

    def estimate(self, frames1, frames2, flow_init=None, **more):
        self.asked.append((frames1.shape[-1], *more.values(), flow_init is not None))
        assert set(more) <= {'iters'}
        return [torch.full((len(frames1), 2, *frames1.shape[-2:]), float(len(self.asked)))]


class CountingBoth(Counting):
    """The same, asked both ways at once."""

    def estimate_both(self, frames1, frames2, flow_init_fw=None, flow_init_bw=None, names=None, **more):
        return self.estimate(torch.cat([frames1, frames2]), None, flow_init_fw, **more)[0].chunk(2)


@pytest.mark.parametrize('teacher', [Counting, CountingBoth])
@pytest.mark.parametrize('view, iters, asked', [
    (CascadeView, None, [(12, False), (24, True)]),
    (CascadeView, 40, [(12, 40, False), (24, 40, True)]),
    (CascadeView, (6, 40), [(12, 6, False), (24, 40, True)]),
    (CascadeView, [None, 40], [(12, False), (24, 40, True)]),
    (ArbitratedView, None, [(12, False), (24, True), (24, False)]),
    (ArbitratedView, 40, [(12, 40, False), (24, 40, True), (24, 40, False)]),
    (ArbitratedView, (None, 40), [(12, False), (24, 40, True), (24, 40, False)]),  # mirrored as many as not mirrored
])
def test_each_pass_has_the_iterations_of_its_scale_and_without_a_number_those_of_the_network(
        teacher, view, iters, asked):
    teacher = teacher()
    both_ways(view(scales=(1., 2.), iters=iters), teacher, *pair())
    assert teacher.asked == asked


@pytest.mark.parametrize('accepts', [True, False])
@pytest.mark.parametrize('view, settings, plain', [
    # whoever passes over 1x with the iterations of the student anyway is not asked again
    (CascadeView, dict(scales=(1., 2.), iters=(None, 9)), [(12, False)]),
    (ArbitratedView, dict(scales=(1., 2.), iters=(None, 9), flip=False), [(12, False)]),
    (CascadeView, dict(scales=(1., 2.), iters=9), [(12, False)]),
    (CascadeView, dict(scales=(1., ), iters=9), [(12, False)]),
    (ArbitratedView, dict(scales=(1., 2.), iters=9, flip=False), [(12, False)]),
    (ArbitratedView, dict(scales=(1., ), iters=9, flip=False), [(12, False)]),
    # no pass at the frames' own size at all
    (CascadeView, dict(scales=(2., ), iters=9), []),
    (ArbitratedView, dict(scales=(1.5, 2.), iters=9, flip=False), []),
])
def test_the_plain_pass_has_the_iterations_of_the_student(view, settings, plain, accepts):
    teacher, view, batch = Counting(accepts), view(**settings), PairBatch(*pair())
    look = view.look(teacher, batch, LookRequest(plain=True))
    assert [asked for asked in teacher.asked if len(asked) == 2] == plain
    if plain:  # the pass that was the nth moves by n px
        nth = torch.full_like(look.flow_fw, teacher.asked.index((12, False)) + 1.)
        assert torch.equal(look.plain_fw, nth) and torch.equal(look.plain_bw, nth)
    else:
        assert look.plain_fw is None and look.plain_bw is None
    asked = len(teacher.asked)
    look = view.look(teacher, batch)
    if settings['iters'] == 9:
        assert look.plain_fw is None and all(len(one) == 3 for one in teacher.asked[asked:])


@pytest.mark.parametrize('view', [CascadeView, ArbitratedView, ComposedView])
@pytest.mark.parametrize('iters, said', [
    (0, 'iters must be a whole number, at least 1, got 0'),
    (2.5, r'iters must be a whole number, at least 1, got 2\.5'),
    ((8, 0), 'iters must be a whole number, at least 1, got 0'),
    ((8, ), r'iters must be one number or one for each of the 2 scales, got \(8,\)'),
    ([8, 8, 8], r'iters must be one number or one for each of the 2 scales, got \[8, 8, 8\]'),
])
def test_invalid_iterations_are_refused_by_value(view, iters, said):
    with pytest.raises(ConfigError, match=f'^{view.__name__}.{said}'):
        view(scales=(1., 2.), iters=iters)


class TwoEyed:
    """Right at one size, wrong at the other in the left half, by ``error`` px of the frames; knows which way it is
    asked."""

    def __init__(self, frames1, motion, wrong_at, error, accepts_flow_init=True):
        self.width, self.motion, self.wrong_at, self.error = frames1.shape[-1], torch.tensor(motion), wrong_at, error
        self.corner = frames1[0, 0, 0, 0]
        self.accepts_flow_init, self.starts, self.sizes = accepts_flow_init, [], []

    def estimate(self, frames1, frames2, flow_init=None):
        self.starts.append(flow_init)
        self.sizes.append(tuple(frames1.shape[-2:]))
        scale = round(frames1.shape[-1] / self.width, 2)
        # the corner centre keeps its colour in any size
        way = torch.where(frames1[:, 0, 0, 0] == self.corner, 1., -1.)
        flow = (way.view(-1, 1, 1, 1) * self.motion.view(1, 2, 1, 1)).expand(-1, -1, *frames1.shape[-2:]).clone()
        if scale == self.wrong_at:
            half = frames1.shape[-1] // 2
            flow[..., :half] += way.view(-1, 1, 1, 1) * self.error
        return [flow * (frames1.shape[-1] - 1) / (self.width - 1)]


def moving_pair(height=48, width=64):
    noise = torch.rand(1, 3, 40, 50, generator=torch.Generator().manual_seed(0))
    plane = resize(noise, (height + 40, width + 40))
    return plane[..., 20:20 + height, 20:20 + width], plane[..., 18:18 + height, 17:17 + width]    # moves by (3, 2)


PLAIN = dict(flip=False, warm_start=False)


@pytest.mark.parametrize('names', [None, (['a'], ['b'])])
@pytest.mark.parametrize('wrong_at, origin', [(1., 'from_2x'), (2., 'from_1x')])
def test_where_one_pass_is_wrong_the_motion_is_that_of_the_others(wrong_at, origin, names):
    frames1, frames2 = moving_pair()
    teacher = TwoEyed(frames1, (3., 2.), wrong_at, 5.)
    view = ArbitratedView(radius=4, **PLAIN)
    look = view.look(teacher, PairBatch(frames1, frames2, names=names))
    flow = look.both_ways()
    assert teacher.sizes == [(48, 64), (72, 96), (96, 128)] and teacher.starts == [None, None, None]
    expected = torch.tensor([[3., 2.], [-3., -2.]]).view(2, 2, 1, 1)
    # height and width do not grow by quite the same factor, hence 2 %
    for columns in (slice(10, 24), slice(40, -10)):
        torch.testing.assert_close(flow[..., 10:-10, columns],
                                   expected.expand_as(flow)[..., 10:-10, columns],
                                   rtol=.02,
                                   atol=.05)
    for shares in (*look.shares_fw, *look.shares_bw):
        assert list(shares) == ['from_1x', 'from_1.5x', 'from_2x']
        assert sum(
            shares.values()) == pytest.approx(1) and shares[origin] > shares['from_2x' if wrong_at == 2. else 'from_1x']
    turned = view.look(teacher, PairBatch(frames2, frames1, names=names and names[::-1]))
    torch.testing.assert_close(turned.flow_bw, look.flow_fw)
    torch.testing.assert_close(turned.flow_fw, look.flow_bw)


def test_one_direction_alone_gets_the_same_motion_at_the_price_of_both():
    frames1, frames2 = moving_pair()
    view, batch = ArbitratedView(radius=4, **PLAIN), PairBatch(*moving_pair())
    (both, one), (asked, again) = zip(*[(view.look(teacher, batch, LookRequest(backward=backward)), teacher.sizes)
                                        for teacher, backward in ((TwoEyed(frames1, (3., 2.), 2., 5.), True),
                                                                  (TwoEyed(frames1, (3., 2.), 2., 5.), False))])
    assert torch.equal(one.flow_fw, both.flow_fw) and one.shares_fw == both.shares_fw and asked == again


@pytest.mark.parametrize('backward', [True, False])
@pytest.mark.parametrize('scale', [1., 2.])
def test_with_one_pass_the_arbitrated_view_is_the_cascade_bit_for_bit(scale, backward):
    frames1, frames2 = moving_pair(31, 45)
    batch, request = PairBatch(frames1, frames2), LookRequest(backward=backward)
    found, wanted = (view.look(TwoEyed(frames1, (3., 2.), scale, 5.), batch, request)
                     for view in (ArbitratedView(scales=(scale, ), flip=False), CascadeView(scales=(scale, ))))
    assert torch.equal(found.flow_fw, wanted.flow_fw)
    if backward:
        assert torch.equal(found.flow_bw, wanted.flow_bw)
    else:
        assert found.flow_bw.isnan().all() and wanted.flow_bw.isnan().all()
    assert [*found.shares_fw, *found.shares_bw] == [{f'from_{scale:g}x': 1.}] * (1 + backward)


def test_passes_that_agree_change_nothing():

    class Still:
        accepts_flow_init = True

        def estimate(self, frames1, frames2, flow_init=None):
            return [torch.zeros(len(frames1), 2, *frames1.shape[-2:])]

    frames1, frames2 = moving_pair()
    assert torch.equal(both_ways(ArbitratedView(), Still(), frames1, frames2), torch.zeros(2, 2, 48, 64))


@pytest.mark.parametrize('accepts', [True, False])
def test_the_last_scale_starts_from_the_first_pass_and_only_with_a_teacher_that_takes_a_start(accepts):
    frames1, frames2 = moving_pair()
    teacher = TwoEyed(frames1, (3., 2.), 1.5, 5., accepts)
    both_ways(ArbitratedView(flip=True), teacher, frames1, frames2)
    assert teacher.sizes == [(48, 64), (72, 96), (96, 128), (96, 128)]
    starts = teacher.starts
    assert starts[0] is None and starts[1] is None and starts[3] is None
    if not accepts:
        assert starts[2] is None
        return
    # not from the pass at 1.5x, which is wrong in the left half
    first = torch.tensor([[3., 2.], [-3., -2.]]).view(2, 2, 1, 1)
    torch.testing.assert_close(starts[2], 127 / 63 * first.expand_as(starts[2]), rtol=.02, atol=0)


def test_a_mirrored_pass_sees_mirrored_frames_and_is_mirrored_back():
    frames1, frames2 = moving_pair()
    seen = []

    class Mirror:
        accepts_flow_init = False

        def estimate(self, frames1, frames2, flow_init=None):
            seen.append(frames1)
            way = 1. if len(seen) == 1 else -1.
            # the first pass is wrong everywhere, and does not come back; mirrored, motion to the right is one to the
            # left
            motion = torch.tensor([[3., 2.], [-3., -2.]]) * torch.tensor([way, 1.]) + (4. if len(seen) == 1 else 0.)
            return [motion.view(2, 2, 1, 1).expand(2, 2, *frames1.shape[-2:])]

    look = ArbitratedView(scales=(1., )).look(Mirror(), PairBatch(frames1, frames2))
    flow = look.both_ways()
    assert torch.equal(seen[1], torch.cat([frames1, frames2]).flip(-1))
    torch.testing.assert_close(flow,
                               torch.tensor([[3., 2.], [-3., -2.]]).view(2, 2, 1, 1).expand_as(flow),
                               rtol=0,
                               atol=.02)
    assert all(shares['from_1x_flipped'] > .99 for shares in (*look.shares_fw, *look.shares_bw))


@pytest.mark.parametrize('settings, message', [
    (dict(scales=()), r'ArbitratedView.scales.*\(\)'),
    (dict(scales=(1., 2., 1.)), r'ArbitratedView.scales must differ.*\(1.0, 2.0, 1.0\)'),
    (dict(trust=-1.), 'ArbitratedView.trust.*-1.0'),
])
def test_an_invalid_arbitrated_view_is_refused_by_value(settings, message):
    with pytest.raises(ConfigError, match=message):
        ArbitratedView(**settings)
