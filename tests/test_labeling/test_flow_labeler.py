"""Teacher output becomes labels: hand-made fields with known answers."""
from __future__ import annotations

import json

import pytest
import torch
from mmengine.registry import DefaultScope

from mmrefine.errors import ConfigError, TeacherError
from mmrefine.labeling import FlowLabeler
from mmrefine.registry import FILTERS, LABELERS
from mmrefine.structures import Look, PairBatch

ONE_LOOK = dict(type='CascadeView', scales=(1., ))


class Scripted:
    """Returns given motion: the first half of the batch forward, the second half backward."""
    accepts_flow_init = False

    def __init__(self, flow_fw, flow_bw):
        self.both = torch.cat([flow_fw, flow_bw])
        self.calls = []

    def estimate(self, frames1, frames2, flow_init=None):
        self.calls.append((frames1, frames2))
        return [self.both]


def motion(x, y, batch=1, height=4, width=6):
    return torch.tensor([float(x), float(y)]).view(1, 2, 1, 1).repeat(batch, 1, height, width)


def frames(batch=1, height=4, width=6):
    return torch.rand(batch, 3, height, width), torch.rand(batch, 3, height, width)


@FILTERS.register_module()
class HalfFilter:
    """Every pixel of the left half gets ``value``, the others 1."""

    def __init__(self, value: float = .5) -> None:
        self.value = value

    def __call__(self, ctx):
        weight = torch.ones_like(ctx.flow_fw[:, :1])
        weight[..., :weight.shape[-1] // 2] = self.value
        return weight


@FILTERS.register_module()
class BrightFilter:
    """Keeps what is bright in the labelled frame: tells the two frames apart."""

    def __call__(self, ctx):
        return ctx.frames1.mean(1, keepdim=True) > .5


@FILTERS.register_module()
class ThreeChannelFilter:

    def __call__(self, ctx):
        return torch.ones_like(ctx.frames1)


def test_both_directions_are_asked_as_one_batch():
    frames1, frames2 = frames(2)
    teacher = Scripted(motion(0, 0, 2), motion(0, 0, 2))
    FlowLabeler(view=ONE_LOOK).label_pairs(teacher, PairBatch(frames1, frames2))
    (seen1, seen2), = teacher.calls
    assert torch.equal(seen1, torch.cat([frames1, frames2]))
    assert torch.equal(seen2, torch.cat([frames2, frames1]))


def test_each_pair_gets_its_own_forward_motion():
    flow_fw, flow_bw = torch.randn(2, 3, 2, 4, 6).unbind(0)
    pairs = FlowLabeler(view=ONE_LOOK).label_pairs(Scripted(flow_fw, flow_bw), PairBatch(*frames(3)))
    assert len(pairs) == 3
    for pair, flow in zip(pairs, flow_fw):
        assert torch.equal(pair.forward.flow, flow) and pair.forward.kept == 1.
        assert pair.backward is None and pair.stats_backward is None


def test_weights_of_filters_multiply():
    labeler = FlowLabeler(
        view=ONE_LOOK,
        filters=[dict(type='HalfFilter'), dict(type='HalfFilter', value=.4),
                 dict(type='InFrameFilter')])
    pair, = labeler.label_pairs(Scripted(motion(1, 0), motion(-1, 0)), PairBatch(*frames()))
    torch.testing.assert_close(pair.forward.weight[0],
                               torch.tensor([[.2, .2, .2, 1., 1., 0.]] * 4))


def test_the_backward_label_is_the_forward_label_of_the_pair_turned_around():
    frames1, frames2 = frames(2)
    flow_fw, flow_bw = torch.randn(2, 2, 2, 4, 6).unbind(0)
    settings = dict(
        view=ONE_LOOK, directions='both', floor=.25,
        filters=[dict(type='BrightFilter'), dict(type='CycleFilter', beta=1.5),
                 dict(type='ColorFilter', tolerance=70.)])
    there = FlowLabeler(**settings).label_pairs(Scripted(flow_fw, flow_bw), PairBatch(frames1, frames2))
    back = FlowLabeler(**settings).label_pairs(Scripted(flow_bw, flow_fw), PairBatch(frames2, frames1))
    for a, b in zip(there, back):
        assert torch.equal(a.backward.flow, b.forward.flow)
        assert torch.equal(a.backward.weight, b.forward.weight)
        assert a.stats_backward == b.stats and a.stats_backward != a.stats
        assert not torch.equal(a.forward.weight, a.backward.weight)


def test_stats_are_exact_on_a_hand_made_pair():
    """3 px right everywhere, back by (-3, 0) but (-3, -1) where column 3 is: 6 columns, 4 rows.

    Columns 0, 1, 2 land on 3, 4, 5; their cycle errors are 1, 0, 0; columns 3..5 leave.
    Colours: frame 2 is 10 grey levels brighter on column 5, so column 2 differs by 10.
    """
    flow_fw, flow_bw = motion(3, 0), motion(-3, 0)
    flow_bw[0, 1, :, 3] = -1.
    frames1 = torch.full((1, 3, 4, 6), .25)
    frames2 = frames1.clone()
    frames2[..., 5] += 10 / 255
    labeler = FlowLabeler(
        view=ONE_LOOK, filters=[dict(type='CycleFilter'), dict(type='HalfFilter', value=.5)])
    pair, = labeler.label_pairs(Scripted(flow_fw, flow_bw), PairBatch(frames1, frames2))
    assert pair.stats == pytest.approx(
        dict(
            kept=2 * .5 / 6,                                 # columns 1 and 2, half believed
            verified=2 * .5 / 6,
            inside=3 / 6,
            mean_motion=3.,
            cycle_error_median=0.,
            cycle_error_mean=1 / 3,
            color_residual=10 / 3,
            along_motion=10 / 6,
            in_place=0.),                                    # of columns 0, 1 and 2
        abs=2e-5)
    assert pair.stats['kept'] == pytest.approx(pair.forward.kept, abs=1e-6)


def test_mean_motion_is_weighted_by_what_was_kept():
    flow = motion(0, 0)
    flow[0, 0, :, :3], flow[0, 0, :, 3:] = 2., -4.           # px, left and right half
    labeler = FlowLabeler(view=ONE_LOOK, filters=[dict(type='HalfFilter', value=.5)])
    pair, = labeler.label_pairs(Scripted(flow, flow), PairBatch(*frames()))
    assert pair.stats['mean_motion'] == pytest.approx((.5 * 2 + 1. * 4) / 1.5, abs=1e-6)


def test_stats_of_a_pair_of_which_nothing_stays_inside_are_zero_and_finite():
    labeler = FlowLabeler(view=ONE_LOOK, filters=[dict(type='CycleFilter')], floor=.5)
    pair, = labeler.label_pairs(Scripted(motion(50, 0), motion(-50, 0)), PairBatch(*frames()))
    assert set(pair.stats.values()) == {0.}


def test_stats_are_plain_floats_for_json():
    pair, = FlowLabeler(view=ONE_LOOK).label_pairs(Scripted(motion(1, 0), motion(-1, 0)), PairBatch(*frames()))
    assert len(pair.stats) == 9
    assert json.loads(json.dumps(pair.stats, allow_nan=False)) == pair.stats
    assert all(type(value) is float for value in pair.stats.values())


def test_the_floor_lifts_what_failed_but_lands_inside_and_lowers_nothing():
    """1 px right: the left half failed (0), the right half is verified, the last column leaves."""
    labeler = FlowLabeler(
        view=ONE_LOOK, floor=.1,
        filters=[dict(type='HalfFilter', value=0.), dict(type='InFrameFilter')])
    pair, = labeler.label_pairs(Scripted(motion(1, 0), motion(-1, 0)), PairBatch(*frames()))
    torch.testing.assert_close(pair.forward.weight[0],
                               torch.tensor([[.1, .1, .1, 1., 1., 0.]] * 4))
    assert pair.stats['verified'] == pytest.approx(2 / 6, abs=1e-6)
    assert pair.stats['kept'] == pytest.approx(2.3 / 6, abs=1e-6)


@pytest.mark.parametrize('soft, weight', [(.3, .3), (.05, .1), (0., .1)])
def test_a_soft_weight_above_the_floor_stays_and_one_below_is_lifted_to_it(soft, weight):
    labeler = FlowLabeler(view=ONE_LOOK, floor=.1, filters=[dict(type='HalfFilter', value=soft)])
    pair, = labeler.label_pairs(Scripted(motion(0, 0), motion(0, 0)), PairBatch(*frames()))
    torch.testing.assert_close(pair.forward.weight[0], torch.tensor([[weight] * 3 + [1.] * 3] * 4))


@pytest.mark.parametrize('min_kept, believed', [(.75, True), (.76, False)])
def test_a_pair_of_which_too_little_is_verified_is_not_believed_at_all(min_kept, believed):
    labeler = FlowLabeler(
        view=ONE_LOOK, min_kept=min_kept, floor=.2, filters=[dict(type='HalfFilter', value=.5)])
    pair, = labeler.label_pairs(Scripted(motion(0, 0), motion(0, 0)), PairBatch(*frames()))
    assert pair.forward.kept == (.75 if believed else 0.)
    assert pair.stats['verified'] == .75 and pair.stats['kept'] == pair.forward.kept


def test_min_kept_judges_each_pair_of_a_batch_alone():
    frames1, frames2 = torch.zeros(2, 3, 4, 6), torch.zeros(2, 3, 4, 6)
    frames1[1] = 1.
    labeler = FlowLabeler(view=ONE_LOOK, min_kept=.5, filters=[dict(type='BrightFilter')])
    dark, bright = labeler.label_pairs(Scripted(motion(0, 0, 2), motion(0, 0, 2)), PairBatch(frames1, frames2))
    assert (dark.forward.kept, bright.forward.kept) == (0., 1.)


def test_the_same_pair_gives_the_same_labels_alone_and_in_a_batch():
    frames1, frames2 = frames(3)
    flow_fw, flow_bw = torch.randn(2, 3, 2, 4, 6).unbind(0)
    labeler = FlowLabeler(
        view=ONE_LOOK, directions='both',
        filters=[dict(type='SoftCycleFilter'), dict(type='ColorFilter', tolerance=60.)])
    together = labeler.label_pairs(Scripted(flow_fw, flow_bw), PairBatch(frames1, frames2))
    again = labeler.label_pairs(Scripted(flow_fw, flow_bw), PairBatch(frames1, frames2))
    for i in range(3):
        one = slice(i, i + 1)
        alone, = labeler.label_pairs(Scripted(flow_fw[one], flow_bw[one]), PairBatch(frames1[one], frames2[one]))
        for other in (again[i], alone):
            for name in ('forward', 'backward'):
                a, b = getattr(together[i], name), getattr(other, name)
                assert torch.equal(a.flow, b.flow) and torch.equal(a.weight, b.weight)
            assert together[i].stats == other.stats
            assert together[i].stats_backward == other.stats_backward


def test_labels_hold_no_graph_even_from_a_teacher_that_learns():
    flow = motion(0, 0).requires_grad_()
    pair, = FlowLabeler(view=ONE_LOOK).label_pairs(Scripted(flow * 2, flow * 2), PairBatch(*frames()))
    assert not pair.forward.flow.requires_grad


@pytest.mark.parametrize('value', [float('nan'), float('inf'), -float('inf')])
@pytest.mark.parametrize('where, said', [(1, 'forward motion of pair 1'),
                                         (2, 'backward motion of pair 0')])
def test_broken_motion_names_direction_pair_and_share_of_the_frame(value, where, said):
    both = torch.zeros(4, 2, 4, 6)
    both[where, 0, 0, :] = value                             # one of four rows, one component
    both[where, 1, 0, 0] = value                             # the same pixel does not count twice
    teacher = Scripted(*both.chunk(2))
    # not kept by any filter, and refused all the same
    labeler = FlowLabeler(view=ONE_LOOK, filters=[dict(type='CycleFilter')])
    with pytest.raises(TeacherError, match=f'{said} of the batch .* 25.00% of the frame'):
        labeler.label_pairs(teacher, PairBatch(*frames(2)))


def test_motion_of_the_wrong_size_from_a_teacher_is_refused():
    with pytest.raises(TeacherError, match=r'\(2, 2, 3, 6\).*\(2, 2, 4, 6\)'):
        FlowLabeler(view=ONE_LOOK).label_pairs(
            Scripted(motion(0, 0, height=3), motion(0, 0, height=3)), PairBatch(*frames()))


class OwnView:
    """A view of one's own: what it is given, whatever is asked; writes that down."""
    uses_middles = False

    def __init__(self, look):
        self.found, self.asked = look, []

    def look(self, teacher, batch, request):
        self.asked.append((batch, request))
        return self.found

    def pass_sizes(self, size):
        return []


@pytest.mark.parametrize('batch, size', [(2, (4, 6)), (1, (3, 6))])
@pytest.mark.parametrize('direction', ['forward', 'backward'])
def test_motion_of_the_wrong_size_from_a_view_is_refused(direction, batch, size):
    wrong, right = torch.zeros(batch, 2, *size), torch.zeros(1, 2, 4, 6)
    labeler = FlowLabeler(view=ONE_LOOK)
    labeler.view = OwnView(Look(wrong, right) if direction == 'forward' else Look(right, wrong))
    said = rf'gave {direction} motion of shape \({batch}, 2, {size[0]}, 6\), wanted \(1, 2, 4, 6\)'
    with pytest.raises(TeacherError, match=said):
        labeler.label_pairs(None, PairBatch(*frames()))


def test_a_view_is_asked_once_for_what_the_parts_of_the_labeler_need_and_its_look_is_the_label():
    pair, flow_fw, flow_bw = PairBatch(*frames()), torch.randn(1, 2, 4, 6), torch.randn(1, 2, 4, 6)
    look = Look(flow_fw,
                flow_bw,
                shares_fw=[dict(from_a=.25)],
                shares_bw=[dict(from_a=.75)],
                plain_fw=flow_fw,
                plain_bw=flow_bw)
    for parts, plain, guards in ((dict(), False, 0), (dict(balance=dict(type='Novelty')), True, 0),
                                 (dict(filters=[dict(type='CutGuard'), dict(type='StillPairGuard')]), False, 1)):
        labeler = FlowLabeler(view=ONE_LOOK, directions='both', **parts)
        labeler.view = OwnView(look)
        label, = labeler.label_pairs(None, pair)
        (batch, request), = labeler.view.asked
        assert batch is pair and (request.backward, request.plain, len(request.guards)) == (True, plain, guards)
        assert torch.equal(label.forward.flow, flow_fw[0]) and torch.equal(label.backward.flow, flow_bw[0])
        assert (label.stats['from_a'], label.stats_backward['from_a']) == (.25, .75)


def test_frames_of_different_sizes_are_refused_with_both_shapes():
    with pytest.raises(ValueError, match=r'\(1, 3, 4, 6\) and \(1, 3, 4, 5\)'):
        PairBatch(torch.rand(1, 3, 4, 6), torch.rand(1, 3, 4, 5))


def test_a_filter_that_would_broadcast_is_refused_by_name():
    labeler = FlowLabeler(view=ONE_LOOK, filters=[dict(type='ThreeChannelFilter')])
    with pytest.raises(ValueError, match=r'ThreeChannelFilter .*\(1, 1, 4, 6\), got \(1, 3, 4, 6\)'
                       ):
        labeler.label_pairs(Scripted(motion(0, 0), motion(0, 0)), PairBatch(*frames()))


@pytest.mark.parametrize('settings, said', [
    (dict(directions='backward'), "FlowLabeler.directions .* got 'backward'"),
    (dict(min_kept=1.5), r'FlowLabeler.min_kept must lie in \[0, 1\], got 1.5'),
    (dict(floor=-.1), 'FlowLabeler.floor .* got -0.1'),
    (dict(floor='abc'), r"FlowLabeler.floor must lie in \[0, 1\], got 'abc'"),
    (dict(filters=[5]), 'a filter must be a dict with a type, .* got 5'),
])
def test_invalid_settings_are_refused_by_key_and_value(settings, said):
    with pytest.raises(ConfigError, match=said):
        FlowLabeler(view=ONE_LOOK, **settings)


def test_the_description_holds_every_setting_defaults_included():
    labeler = LABELERS.build(
        dict(type='FlowLabeler', view=dict(type='CascadeView'),
             filters=[dict(type='CycleFilter', beta=.5), dict(type='InFrameFilter')]))
    wanted = dict(
        type='FlowLabeler',
        view=dict(type='CascadeView', scales=[1., 2.], warm_start=True),
        filters=[
            dict(type='CycleFilter', alpha=.002, beta=.5, form='norm', magnitude='unwarped'),
            dict(type='InFrameFilter')
        ],
        directions='forward', min_kept=0., floor=0.)
    assert json.loads(json.dumps(labeler.describe())) == labeler.describe() == wanted


def test_spelling_out_a_default_or_writing_1_for_1_0_describes_the_same_labels():

    def described(**view):
        return FlowLabeler(view=dict(type='CascadeView', **view)).describe()

    assert described() == described(scales=[1, 2]) == described(warm_start=True)
    assert described() != described(scales=(2., )) != described(scales=(2., ), warm_start=False)
    assert json.dumps(described()) == json.dumps(described(scales=(1, 2)))


def test_a_changed_copy_of_the_description_does_not_change_the_labeler():
    labeler = FlowLabeler(view=ONE_LOOK)
    labeler.describe()['view']['scales'].append(2.)
    assert labeler.describe()['view']['scales'] == [1.]


def test_a_labeler_can_be_built_while_another_scope_is_the_default_one():
    with DefaultScope.overwrite_default_scope('mmflow'):
        labeler = LABELERS.build(
            dict(type='mmrefine.FlowLabeler', view=ONE_LOOK, filters=[dict(type='ColorFilter')]))
    assert labeler.describe()['type'] == 'FlowLabeler'


GROWN = dict(type='EdgeAwareDensify', agree=None, fill=True, fade=.5, reach=2)


def test_a_label_grows_before_the_floor_is_laid_and_is_balanced_at_last():
    """Left half unverified; 1 px right there and 4 px right where verified. Columns 2 and 1 grow, column 0 gets the
    floor."""
    flow = motion(1, 0)
    flow[0, 0, :, 3:] = 4.
    grey = torch.full((1, 3, 4, 6), .5)
    settings = dict(view=ONE_LOOK, floor=.1, filters=[dict(type='HalfFilter', value=0.)])
    pair, = FlowLabeler(**settings, densify=GROWN).label_pairs(Scripted(flow, -flow), PairBatch(grey, grey))
    torch.testing.assert_close(pair.forward.weight[0], torch.tensor([[.1, .25, .5, 1., 1., 1.]] * 4))
    assert pair.forward.flow[0].tolist() == [[1., 4., 4., 4., 4., 4.]] * 4
    assert pair.stats['verified'] == .5 and pair.stats['densified'] == .625       # (3 + .5 + .25) / 6
    assert pair.stats['kept'] == pytest.approx((3 + .5 + .25 + .1) / 6, abs=1e-6) and 'unbalanced' not in pair.stats
    assert pair.stats['mean_motion'] == pytest.approx((3.75 * 4 + .1 * 1) / 3.85, abs=1e-6)
    slow = dict(type='SpeedThreshold', least_motion=2., slow=.5)
    both, = FlowLabeler(**settings, densify=GROWN, balance=slow).label_pairs(Scripted(flow, -flow), PairBatch(
        grey, grey))
    torch.testing.assert_close(both.forward.weight[0], torch.tensor([[.05, .25, .5, 1., 1., 1.]] * 4))
    assert both.stats['unbalanced'] == pair.stats['kept'] and both.stats['kept'] == pytest.approx(3.8 / 6, abs=1e-6)
    assert both.stats['verified'] == .5


@pytest.mark.parametrize(
    'refused',
    [dict(min_kept=.6),
     dict(filters=[dict(type='HalfFilter', value=0.), dict(type='StillPairGuard')])])
def test_a_pair_that_is_not_believed_does_not_grow(refused):
    """Growth does not count towards ``min_kept``, and a guard's word stands."""
    settings = dict(dict(view=ONE_LOOK, filters=[dict(type='HalfFilter', value=0.)], densify=GROWN), **refused)
    grey = torch.full((1, 3, 4, 6), .5)
    pair, = FlowLabeler(**settings).label_pairs(Scripted(motion(0, 0), motion(0, 0)), PairBatch(grey, grey))
    assert pair.forward.kept == 0.


def test_labels_without_growth_and_balance_are_described_as_before_and_with_them_in_full():
    assert not {'densify', 'balance'} & set(FlowLabeler(view=ONE_LOOK).describe())
    labeler = FlowLabeler(view=ONE_LOOK,
                          densify=dict(type='EdgeAwareDensify', fade=.8),
                          balance=dict(type='SpeedQuota', quotas=1))
    found = labeler.describe()
    assert found['densify'] == dict(
        type='EdgeAwareDensify', reach=16., fade=.8, color=10., spread=.5, least=.05, source=0., agree=1., fill=False)
    assert found['balance'] == dict(type='SpeedQuota', edges=[1., 2., 4.5], quotas=1.)
    assert json.loads(json.dumps(found)) == found
