"""A third frame finds what two frames agree on: planted errors, closed forms, the rendered world with exact motion."""
from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from mmrefine.errors import ConfigError, TeacherError
from mmrefine.geometry import cycle_consistent
from mmrefine.labeling import CompositeFilter, CycleFilter, FlowLabeler, PairContext
from mmrefine.structures import PairBatch
from mmrefine.synthetic.render import build_scene
from mmrefine.synthetic.style import get_style

NAN = float('nan')
ONE_LOOK = dict(type='CascadeView', scales=(1., ))
COMPOSITE = dict(type='CompositeFilter', alpha=0., beta=1.)


def constant(x, y, height=12, width=14):
    return torch.tensor([float(x), float(y)]).view(1, 2, 1, 1).repeat(1, 1, height, width)


def context(fw, bw, third1, third2):
    black = torch.zeros(len(fw), 3, *fw.shape[-2:])
    return PairContext(black, black, fw, bw, third1, third2)


def steady(**moves):
    """Everything goes 1 px to the right from frame to frame; ``moves`` replaces one motion all over."""
    motion = dict(dict(fw=(1, 0), bw=(-1, 0), third1=(2, 0), third2=(1, 0)), **moves)
    return context(**{name: constant(*move) for name, move in motion.items()})


def planted():
    """The steady world, but for rows 4..6, columns 4..6, which both frames say go 2 px down as well.

    They land on rows 6..8, columns 5..7. Returns the context, and both places as bool ``(1, 1, H, W)``.
    """
    ctx = steady()
    wrong, landed = (torch.zeros(1, 1, 12, 14, dtype=torch.bool) for _ in range(2))
    wrong[..., 4:7, 4:7], landed[..., 6:9, 5:8] = True, True
    ctx.flow_fw[0, 1, 4:7, 4:7], ctx.flow_bw[0, 1, 6:9, 5:8] = 2., -2.
    return ctx, wrong, landed


@pytest.mark.parametrize('crowd', [None, 1.25])
def test_a_wrong_motion_that_comes_back_loses_its_weight_and_nothing_else_does(crowd):
    ctx, wrong, landed = planted()
    part = CompositeFilter(crowd=crowd)
    for direction, planted_at in ((ctx, wrong), (ctx.reversed(), landed)):
        assert CycleFilter()(direction)[planted_at].all()                  # two frames do not find it
        assert torch.equal(part(direction) == 0, planted_at)


def test_the_filter_sees_the_same_pair_backwards_as_that_pair_turned_around():
    fw, bw, third1, third2 = torch.randn(4, 2, 2, 12, 14).unbind(0)
    for settings in (dict(), dict(crowd=None), dict(soft=True)):
        part = CompositeFilter(**settings)
        there, back = part(context(fw, bw, third1, third2)), part(context(fw, bw, third1, third2).reversed())
        assert torch.equal(back, part(context(bw, fw, third2, third1)))
        assert not torch.equal(there, back) and 0 < float(there.mean()) < 1


@pytest.mark.parametrize('moves, tolerance', [
    (dict(fw=(1, 0), third1=(2, 0), third2=(1, 0)), .5 + .1 * 4),
    (dict(fw=(0, 3), third1=(0, 3), third2=(0, 0)), .5 + .1 * 6),
    (dict(fw=(0, 0), third1=(0, 0), third2=(0, 0)), .5),
])
@pytest.mark.parametrize('axis', [0, 1])
def test_the_line_is_drawn_at_the_tolerance_and_the_soft_weight_there_is_0_37(moves, tolerance, axis):
    """The direct way ends a bit off: less than 1e-3 px on either side of the line, its own length counted in."""
    ctx = steady(**moves)
    for beyond, kept in ((-1e-3, 1.), (1e-3, 0.)):
        third2 = ctx.third2.clone()
        # |f23| counts in the tolerance too: solve |off| = tolerance(off)
        off = torch.zeros(2)
        for _ in range(60):
            grown = tolerance + .1 * float((ctx.third2[0, :, 5, 5] + off).norm() - ctx.third2[0, :, 5, 5].norm())
            off[axis] = grown
        off[axis] += beyond
        third2 += off.view(1, 2, 1, 1)
        changed = context(ctx.flow_fw, ctx.flow_bw, ctx.third1, third2)
        assert float(CompositeFilter(alpha=.1, beta=.5)(changed)[0, 0, 5, 5]) == kept
        soft = CompositeFilter(alpha=.1, beta=.5, soft=True)(changed)
        assert float(soft[0, 0, 5, 5]) == pytest.approx(math.exp(-1), abs=2e-3)


@pytest.mark.parametrize('error, weight', [(0., 1.), (.5, math.exp(-.25)), (2., math.exp(-4.))])
def test_the_soft_weight_falls_with_the_square_of_the_error(error, weight):
    soft = CompositeFilter(alpha=0., beta=1., soft=True)(steady(third1=(2, error)))
    assert float(soft[0, 0, 5, 5]) == pytest.approx(weight, rel=1e-5)


@pytest.mark.parametrize('moves, judged', [
    (dict(fw=(1, 5), third1=(0, 0), third2=(0, 0)), 7),                    # frame 2 is left
    (dict(fw=(0, 0), third1=(0, 0), third2=(0, 5)), 7),                    # the way over frame 2 leaves
    (dict(fw=(0, 0), third1=(0, 5), third2=(0, 0)), 7),                    # the direct way leaves
])
@pytest.mark.parametrize('soft', [False, True])
def test_what_leaves_the_frame_is_not_judged(moves, judged, soft):
    weight = CompositeFilter(alpha=0., soft=soft)(steady(**moves))[0, 0, :, :13]
    assert (weight[:judged] < 1e-6).all() and (weight[judged:] == 1).all()


def test_a_pair_without_a_third_frame_is_not_judged_beside_one_that_has_one():
    ctx, wrong, _ = planted()
    flows = [torch.cat([flow, flow]) for flow in (ctx.flow_fw, ctx.flow_bw, ctx.third1, ctx.third2)]
    flows[2][1], flows[3][1] = NAN, NAN
    for soft in (False, True):
        weight = CompositeFilter(soft=soft, crowd=1.25)(context(*flows))
        assert (weight[0][wrong[0]] < .1).all() and (weight[1] == 1).all()
    assert (CompositeFilter()(context(*flows[:2], None, None)) == 1).all()


def test_what_may_be_hidden_in_the_third_frame_is_not_judged():
    """A block on columns 2..4 goes 4 px right by the third frame and covers 6..8, where both guesses are off by 3 px,
    but not alike."""
    still = constant(0, 0)
    third1, third2 = still.clone(), still.clone()
    for flow in (third1, third2):
        flow[0, 0, 4:8, 2:5] = 4.
    third1[0, 1, 4:8, 7] = -3.  # what of the covered is guessed to stay there
    ctx = context(still, still, third1, third2)
    covered, all_judged = CompositeFilter()(ctx), CompositeFilter(crowd=None)(ctx)
    wanted = torch.ones(12, 14)
    wanted[4:8, 7] = 0.
    assert (covered == 1).all() and torch.equal(all_judged[0, 0], wanted)


def test_room_above_one_claim_is_for_what_shrinks():
    """Everything shrinks to 0.85 of its size towards the third frame: 1.38 claims on a place, on average."""
    grid_y, grid_x = torch.meshgrid(torch.arange(12.) - 5.5, torch.arange(14.) - 6.5, indexing='ij')
    third = -.15 * torch.stack([grid_x, grid_y])[None]
    wrong = third + torch.tensor([0., 2.]).view(1, 2, 1, 1)
    ctx = context(constant(0, 0), constant(0, 0), third, wrong)
    assert CompositeFilter(crowd=1.25)(ctx)[0, 0, 5, 6] == 1 and CompositeFilter(crowd=2.)(ctx)[0, 0, 5, 6] == 0


@pytest.mark.parametrize('build, said', [
    (lambda: CompositeFilter(alpha=-1), 'CompositeFilter.alpha must be finite and not negative, got -1'),
    (lambda: CompositeFilter(beta=NAN), 'CompositeFilter.beta .* got nan'),
    (lambda: CompositeFilter(beta=0, soft=True),
     'CompositeFilter.beta must be finite and above 0, got 0 px with soft=True'),
    (lambda: CompositeFilter(crowd=.5), 'CompositeFilter.crowd must be finite and at least 1, got 0.5 .or None.'),
    (lambda: CompositeFilter(crowd=NAN), 'CompositeFilter.crowd .* got nan'),
])
def test_invalid_values_are_refused_by_key_and_value(build, said):
    with pytest.raises(ConfigError, match=said):
        build()


# The labeler: a teacher that knows the motion between any two of the frames 0, 1, 2 of a planted pair, by their grey.


class Witness:
    """Gives the motion from frame i to frame j, which are evenly grey, i / 10 and j / 10."""
    accepts_flow_init = False

    def __init__(self, flows):
        self.flows, self.calls = flows, []

    def estimate(self, frames1, frames2, flow_init=None):
        pairs = [tuple(round(float(f.mean()) * 10) for f in pair) for pair in zip(frames1, frames2)]
        self.calls.append(pairs)
        return [torch.cat([self.flows[pair] for pair in pairs])]


def grey(*times, height=12, width=14):
    return torch.stack([torch.full((3, height, width), time / 10) for time in times])


@pytest.fixture
def witness():
    ctx, _, _ = planted()
    return Witness({(0, 1): ctx.flow_fw, (1, 0): ctx.flow_bw, (0, 2): ctx.third1, (1, 2): ctx.third2})


def test_a_labeler_asks_for_the_third_frame_in_a_call_of_its_own_and_keeps_its_motion(witness):
    _, wrong, landed = planted()
    settings = dict(view=ONE_LOOK, directions='both')
    plain, = FlowLabeler(**settings, filters=[dict(type='CycleFilter')]).label_pairs(
        witness, PairBatch(grey(0), grey(1), grey(2)))
    assert witness.calls == [[(0, 1), (1, 0)]] and 'third' not in plain.stats     # nobody needs the third frame
    found, = FlowLabeler(**settings, filters=[dict(type='CycleFilter'), COMPOSITE]).label_pairs(
        witness, PairBatch(grey(0), grey(1), grey(2)))
    assert witness.calls[1:] == [[(0, 1), (1, 0)], [(0, 2), (1, 2)]]
    for name, place in (('forward', wrong), ('backward', landed)):
        before, after = getattr(plain, name), getattr(found, name)
        assert torch.equal(before.flow, after.flow)
        assert torch.equal(after.weight, before.weight * ~place[0]) and before.weight[place[0]].all()
    assert found.stats['third'] == found.stats_backward['third'] == 1.


def test_only_the_pairs_that_have_a_third_frame_are_asked_and_judged(witness):
    _, wrong, _ = planted()
    labeler = FlowLabeler(view=ONE_LOOK, filters=[COMPOSITE])
    without, having = labeler.label_pairs(witness, PairBatch(grey(0, 0), grey(1, 1), [None, grey(2)[0]]))
    assert witness.calls[1] == [(0, 2), (1, 2)]
    assert without.forward.kept == 1. and torch.equal(having.forward.weight[0] == 0, wrong[0, 0])
    assert (without.stats['third'], having.stats['third']) == (0., 1.)
    alone, = labeler.label_pairs(witness, PairBatch(grey(0), grey(1), [None]))
    assert alone.stats == without.stats and len(witness.calls) == 3


def test_a_labeler_that_needs_a_third_frame_says_so(witness):
    labeler = FlowLabeler(view=ONE_LOOK, filters=[dict(type='CycleFilter'), COMPOSITE])
    assert labeler.needs_third and not FlowLabeler(view=ONE_LOOK, filters=[dict(type='CycleFilter')]).needs_third
    with pytest.raises(ConfigError,
                       match='has CompositeFilter, which needs a third frame .* give thirds, or leave the filter out'):
        labeler.label_pairs(witness, PairBatch(grey(0), grey(1)))
    assert not witness.calls


@pytest.mark.parametrize('frames3, said', [
    ([None], r'2 frames of shape \(3, 12, 14\) or None, got \[None\]'),
    ([None, torch.zeros(3, 12, 13)], r'got \[None, \(3, 12, 13\)\]'),
])
def test_third_frames_of_another_number_or_shape_are_refused(witness, frames3, said):
    with pytest.raises(ValueError, match=said):
        FlowLabeler(view=ONE_LOOK, filters=[COMPOSITE]).label_pairs(witness, PairBatch(grey(0, 0), grey(1, 1), frames3))


@pytest.mark.parametrize('pair, said', [((0, 2), 'first-to-third'), ((1, 2), 'second-to-third')])
def test_broken_motion_to_the_third_frame_names_the_direction_and_the_place_in_the_whole_batch(witness, pair, said):
    witness.flows[pair] = constant(NAN, 0)
    with pytest.raises(TeacherError,
                       match=f"the teacher's {said} motion of pair 1 of the batch .* 100.00% of the frame"):
        FlowLabeler(view=ONE_LOOK, filters=[COMPOSITE]).label_pairs(
            witness, PairBatch(grey(0, 0), grey(1, 1), [None, grey(2)[0]]))


def test_the_description_of_a_labeler_holds_the_filter_and_no_word_of_it_without():
    found = FlowLabeler(view=ONE_LOOK, filters=[COMPOSITE]).describe()
    assert found['filters'] == [dict(type='CompositeFilter', alpha=0., beta=1., soft=False, crowd=1.25)]
    assert set(FlowLabeler(
        view=ONE_LOOK).describe()) == set(found) == {'type', 'view', 'filters', 'directions', 'min_kept', 'floor'}


# The rendered world: exact motion between any two of three frames, layers that hide one another.


def rendered(seed, size=(72, 96)):
    """Motion ``(1, 2, H, W)`` and visibility ``(1, 1, H, W)`` for the pairs (0, 1), (1, 0), (0, 2), (1, 2), and the
    layers."""
    scene = build_scene(seed, size, get_style('source'))
    y, x = np.mgrid[:size[0], :size[1]].astype(np.float64)
    tops = [scene.top(x, y, t) for t in (0, 1)]
    flows, seen = {}, {}
    for i, j in ((0, 1), (1, 0), (0, 2), (1, 2)):
        to_x, to_y, visible = scene.follow(*tops[i], j)
        flows[i, j] = torch.from_numpy(np.stack([to_x - x, to_y - y])).float()[None]
        seen[i, j] = torch.from_numpy(visible)[None, None]
    return flows, seen


def share(what, among):
    return float(what[among].double().mean())


@pytest.fixture(scope='module')
def worlds():
    return [rendered(seed) for seed in (0, 1, 2, 3)]


def test_exact_motion_keeps_its_weight_also_where_the_third_frame_hides_it(worlds):
    for flows, _ in worlds:
        ctx = context(flows[0, 1], flows[1, 0], flows[0, 2], flows[1, 2])
        for direction in (ctx, ctx.reversed()):
            right = cycle_consistent(direction.flow_fw, direction.flow_bw, .01, .5)
            assert right.double().mean() > .5
            for crowd in (None, 1.25):
                assert share(CompositeFilter(crowd=crowd)(direction), right) > .995


def test_guesses_of_what_is_hidden_cost_right_labels_little_and_wrong_labels_are_found(worlds):
    """Where the third frame hides a pixel its motion becomes a guess: the mean over what is seen in 9x9 px around it, 3
    px off.

    Wrong labels are off by 4 px, there and back.
    """
    kept, lost, found, hidden = [], [], [], 0
    for flows, seen in worlds:
        third1, third2 = (guessed(flows[pair], seen[pair], off) for pair, off in (((0, 2), 3.), ((1, 2), -3.)))
        ctx = context(flows[0, 1], flows[1, 0], third1, third2)
        right = cycle_consistent(ctx.flow_fw, ctx.flow_bw, .01, .5) & ~seen[0, 2]
        hidden += int(right.sum())
        kept.append((CompositeFilter()(ctx) * right).sum())
        lost.append((CompositeFilter(crowd=None)(ctx) * right).sum())
        wrong = flows[0, 1] + 4 * torch.tensor([0., 1.]).view(1, 2, 1, 1)
        inside = cycle_consistent(flows[0, 1], flows[1, 0], .01, .5) & seen[0, 2]
        found.append(share(CompositeFilter()(context(wrong, -wrong, third1, third2)) == 0, inside))
    assert hidden > 300
    assert float(sum(kept)) / hidden > .95 and float(sum(lost)) / hidden < .5
    assert min(found) > .75


def guessed(flow, seen, off):
    counted = torch.nn.functional.avg_pool2d(seen.float(), 9, stride=1, padding=4)
    around = torch.nn.functional.avg_pool2d(flow * seen, 9, stride=1, padding=4) / counted.clamp(min=1e-3)
    return torch.where(seen, flow, around + torch.tensor([off, 0.]).view(1, 2, 1, 1))
