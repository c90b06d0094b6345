"""At a cut, and where the light jumps: no label is made of, or spoilt by, a frame that tells nothing of its pair.

Two rendered clips in a row are a video with a cut, the embedded network of the demo is the teacher.
"""
from __future__ import annotations

from pathlib import Path

import pytest
import torch

from mmrefine.apis import init_model
from mmrefine.labeling import CutGuard, ExposureJumpGuard, FlowLabeler, PairContext, PairGuard
from mmrefine.registry import FILTERS
from mmrefine.structures import NamedFrame, PairBatch
from mmrefine.synthetic import render_clip

DEMO = Path(__file__).parents[2] / 'configs' / 'demo'
CYCLE, COMPOSITE = dict(type='CycleFilter', alpha=.01, beta=.5), dict(type='CompositeFilter')
CUT, LIGHT = dict(type='CutGuard'), dict(type='ExposureJumpGuard')
ONE_LOOK = dict(type='CascadeView', scales=(1., ))
COMPOSED = dict(type='ComposedView', scales=(1., ), flip=False, radius=8)
LAST = 2  # frame before the cut


@pytest.fixture(scope='module')
def teacher():
    return init_model(DEMO / 'raft_small_target.py', DEMO / 'raft_small_source.pth')


@pytest.fixture(scope='module')
def video():
    """Six frames, a cut after the third."""
    clips = [torch.from_numpy(render_clip(seed, 3, (96, 128), 'source').frames) for seed in (3, 4)]
    return torch.cat(clips).permute(0, 3, 1, 2).float() / 255


def flash(frame):
    return (1.6 * frame).clamp(max=1.)


def label_of(teacher, first, second, third=None, between=None, view=ONE_LOOK, filters=(CYCLE, COMPOSITE), **settings):
    labeler = FlowLabeler(view=view, filters=list(filters), directions='both', **settings)
    middles = None if between is None else [[NamedFrame(frame) for frame in between]]
    return labeler.label_pairs(teacher, PairBatch(first[None], second[None], [third], middles=middles))[0]


def same(one, two):
    return all(torch.equal(getattr(getattr(one, way), part), getattr(getattr(two, way), part))
               for way in ('forward', 'backward') for part in ('flow', 'weight'))


def kept(labels):
    return labels.forward.kept, labels.backward.kept


@pytest.mark.parametrize('guard, make', [(CUT, lambda video: video[LAST + 1]), (LIGHT, lambda video: flash(video[2]))])
def test_a_third_frame_from_beyond_a_cut_or_in_another_light_is_no_witness(teacher, video, guard, make):
    strange, pair = make(video), (teacher, *video[:2])
    nobody = label_of(*pair, filters=(CYCLE, guard, COMPOSITE))
    guarded = label_of(*pair, strange, filters=(CYCLE, guard, COMPOSITE))
    assert same(guarded, nobody) and guarded.stats == nobody.stats
    assert guarded.stats['third'] == 0. and guarded.stats[f'passed_{guard["type"]}'] == 1.
    if guard is CUT:  # this is what it would cost
        assert all(less < .9 * more for less, more in zip(kept(label_of(*pair, strange)), kept(nobody)))
    # one from the same shot is one, with the guard as without
    judged = [label_of(*pair, video[2], filters=filters) for filters in ((CYCLE, COMPOSITE), (CYCLE, guard, COMPOSITE))]
    assert same(*judged) and judged[1].stats['third'] == 1. and all(a < b
                                                                    for a, b in zip(kept(judged[1]), kept(nobody)))


def test_the_third_frame_before_a_pair_counts_as_little_where_the_cut_is_between_them(teacher, video):
    pair, filters = (teacher, video[LAST + 1], video[LAST + 2]), (CYCLE, CUT, COMPOSITE)
    assert same(label_of(*pair, video[LAST], filters=filters), label_of(*pair, filters=filters))


def test_each_pair_of_a_batch_has_its_own_witness_or_none(teacher, video):
    labeler = FlowLabeler(view=ONE_LOOK, filters=[CYCLE, CUT, COMPOSITE])
    thirds = [video[LAST + 1], None, video[2]]
    together = labeler.label_pairs(teacher, PairBatch(video[[0, 0, 0]], video[[1, 1, 1]], thirds))
    assert [labels.stats['third'] for labels in together] == [0., 0., 1.]
    assert together[0].forward.kept == together[1].forward.kept > together[2].forward.kept


@pytest.mark.parametrize('guard, make', [(CUT, lambda video: video[LAST + 1]), (LIGHT, lambda video: flash(video[1]))])
@pytest.mark.parametrize('at', [0, 1])
def test_a_long_step_goes_by_no_frame_of_another_shot_or_light(teacher, video, guard, make, at):
    """One such frame among several is enough: a chain is as good as its weakest link."""
    right, strange = video[1], make(video)
    pair, settings = (teacher, video[0], video[2]), dict(view=COMPOSED, filters=(CYCLE, guard))
    direct = label_of(*pair, **settings)
    for between in ([strange], [right, strange] if at else [strange, right]):
        found = label_of(*pair, between=between, **settings)
        assert same(found, direct)
        for stats in (found.stats, found.stats_backward):
            assert stats['from_1x'] == 1. and stats['from_composed'] == stats['from_composed_1x'] == 0.
    composed = label_of(*pair, between=[right], **settings)
    assert not same(composed, direct) and composed.stats['from_composed'] > 0


def test_pairs_of_a_batch_that_compose_do_not_mind_one_that_may_not(teacher, video):
    labeler = FlowLabeler(view=COMPOSED, filters=[CYCLE, CUT])
    between = [[NamedFrame(video[LAST + 1])], [NamedFrame(video[1])]]
    found, wanted = (labeler.label_pairs(teacher, PairBatch(video[[0, 0]], video[[2, 2]], middles=[first, between[1]]))
                     for first in (between[0], []))
    for one, two in zip(found, wanted):
        assert torch.equal(one.forward.flow, two.forward.flow) and one.stats == two.stats
    assert found[0].stats['from_composed'] == 0 < found[1].stats['from_composed']


@pytest.mark.parametrize('view', [ONE_LOOK, COMPOSED])
@pytest.mark.parametrize('first, second', [(2, 3), (1, 3), (2, 4), (1, 4)])
def test_a_pair_with_a_cut_anywhere_in_between_is_refused_both_ways_floor_or_not(teacher, video, view, first, second):
    between = list(video[first + 1:second])
    labels = label_of(teacher, video[first], video[second], between=between, view=view, filters=(CUT, ), floor=.3)
    assert kept(labels) == (0., 0.)
    assert labels.stats['passed_CutGuard'] == labels.stats_backward['passed_CutGuard'] == 0.


def test_without_a_guard_nothing_is_asked_of_a_frame(teacher, video):
    """Guards change labels only where a config names them: what was made without is still the same."""
    plain = label_of(teacher, video[0], video[1], video[LAST + 1])
    still = label_of(teacher,
                     video[0],
                     video[1],
                     video[LAST + 1],
                     filters=(CYCLE, dict(type='DuplicateFrameGuard'), COMPOSITE))
    assert same(plain, still) and plain.stats['third'] == still.stats['third'] == 1.


def test_a_guard_of_ones_own_takes_part_if_it_says_so(teacher, video, monkeypatch):

    class Bright(PairGuard):
        """Refuses whatever leads to a white frame."""
        tells_shots = True

        def passes(self, ctx: PairContext) -> torch.Tensor:
            return ctx.frames2.flatten(1).mean(dim=1) < .999

    monkeypatch.setitem(FILTERS.module_dict, 'Bright', Bright)
    assert CutGuard.tells_shots and ExposureJumpGuard.tells_shots and not PairGuard.tells_shots
    white = torch.ones_like(video[0])
    labels = label_of(teacher, video[0], video[1], white, filters=(CYCLE, dict(type='Bright'), COMPOSITE))
    assert labels.stats['third'] == 0. and labels.stats['passed_Bright'] == 1.
