"""What is refused whatever its score says."""
from __future__ import annotations

import math
import re

import pytest
import torch
from small_runs import ROOT

from mmrefine.apis import init_model
from mmrefine.datasets import FramePairs
from mmrefine.engine.guard.candidates import Candidate, candidate_record, choose, rate
from mmrefine.engine.guard.flow_witnesses import FlowWitnesses
from mmrefine.engine.guard.observer import Observer
from mmrefine.evaluation.flow.witnesses import objection, pair_witnesses
from mmrefine.evaluation.guard.comparison import Comparison
from mmrefine.structures import as_frames
from mmrefine.synthetic import render_clip, write_clips


class Scaled:
    """Sees ``factor`` times the motion of a network; with 0 it is dead."""
    accepts_flow_init = False

    def __init__(self, network, factor):
        self.network, self.factor = network, factor

    def estimate(self, frames1, frames2, flow_init=None):
        return [self.factor * self.network.estimate(frames1, frames2)[-1]]


@pytest.fixture(scope='module')
def teacher():
    return init_model(ROOT / 'configs/demo/raft_small_target.py', ROOT / 'configs/demo/raft_small_source.pth')


@pytest.mark.parametrize('size', [(96, 128), (64, 96)])
@pytest.mark.parametrize('style', ['target'])
def test_a_dead_network_is_refused_with_the_reason(tmp_path, teacher, size, style):
    write_clips(tmp_path, range(40, 44), 2, size, style=style)
    video = FramePairs(tmp_path / 'frames', held_out=0.9, held=True)
    witnesses = FlowWitnesses(warps=1)
    witnesses.prepare(video, teacher, 'cpu', 0, print)
    guard = Observer(witnesses)
    seen = guard.observe(teacher)
    dead = rate(guard, Scaled(teacher, 0.), seen, 100, 1.)
    assert dead.witnesses['cycle'] == dead.witnesses['confirmed'] == 0
    assert dead.objection is not None and not dead.is_accepted
    record = candidate_record([dead], choose([dead]), seen)
    assert record['verdict'] == 'teacher' and dead.objection in record['reason']
    assert record['candidates'][0]['objection'] == dead.objection
    assert rate(guard, teacher, seen, 100, 1.).objection is None
    assert rate(guard, Scaled(teacher, 0.4), seen, 100, 1.).objection is not None


def witness(color=4., warp=1., cycle=0.5, confirmed=40.):
    return dict(color=color, warp=warp, cycle=cycle, confirmed=confirmed, motion=2.)


@pytest.mark.parametrize('student, said', [
    (witness(color=5., warp=1.5, cycle=0.), r'worse by the colours along its motion \(\+22\.2 %\) and by its errors on '
                                            r'known warps \(\+45\.5 %\)'),
    (witness(color=4.1, warp=1.03, cycle=0.), r'colours along its motion \(\+2\.2 %\) and .* \(\+2\.7 %\)'),
    (witness(color=4.03, warp=1.5), None),  # 0.7 % is chance
    (witness(color=5.), None),  # worse by one, no worse by the other
    (witness(warp=1.5), None),
    (witness(color=5., warp=0.9), None),
    (witness(color=3., warp=0.8, confirmed=19.), r'lost the motion: the colours confirm it on 19\.0 % of the pixels'),
    (witness(color=3., warp=0.8, confirmed=21.), None),
    (witness(color=3., warp=0.8, confirmed=90.), None),
])
def test_what_is_worse_by_colours_and_warps_or_has_lost_its_motion_is_objected_to(student, said):
    found = objection([witness()] * 3, [student] * 3)
    if said is None:
        assert found is None
    else:
        assert found is not None and re.search(said, found), found


def test_where_no_warps_are_known_the_colours_speak_alone():
    blind = witness(warp=math.nan)
    assert 'known warps' not in (objection([blind], [witness(color=5., warp=math.nan, cycle=0.)]) or '')
    assert objection([blind], [witness(color=5., warp=math.nan, cycle=0.)]) is not None
    assert objection([blind], [witness(color=3., warp=math.nan)]) is None


def test_a_teacher_that_sees_nothing_has_no_motion_to_lose():
    assert objection([witness(confirmed=0.9)], [witness(color=3., warp=0.8, confirmed=0.)]) is None


def test_where_nothing_shows_that_anything_moves_there_is_nothing_to_learn():
    assert re.search('the colours confirm no motion', objection([witness(confirmed=0.01)], [witness(confirmed=0.05)]))
    assert objection([witness(confirmed=0.01)], [witness(confirmed=0.2)]) is None
    assert objection([witness(confirmed=0.2)], [witness(confirmed=0.01)]) is None


@pytest.mark.parametrize('style', ['target', 'source', 'fog', 'night', 'noise'])
def test_the_truth_is_never_objected_to(teacher, style):
    """Whatever the network sees of it, the true motion has not lost the motion."""
    before, after = [], []
    for seed in range(60, 63):
        clip = render_clip(seed, 2, (96, 128), style)
        frame1, frame2 = (as_frames(clip.frames)[i:i + 1] for i in (0, 1))
        truth, back = (torch.from_numpy(flow).float() for flow in (clip.flow_fw, clip.flow_bw))
        with torch.no_grad():
            seen, seen_back = (teacher.estimate(*pair)[-1].float() for pair in ((frame1, frame2), (frame2, frame1)))
        before.append(pair_witnesses(frame1, frame2, seen, seen_back, 1.))
        after.append(pair_witnesses(frame1, frame2, truth, back, 0.01))
    assert objection(before, after) is None


@pytest.mark.parametrize('noise', [0., 2., 8., 25.])  # grey levels
def test_motion_that_is_imagined_in_a_still_scene_is_not_confirmed(noise):
    rng = torch.Generator().manual_seed(1)
    scene = as_frames(render_clip(75, 1, (96, 128), 'target').frames)
    frame1, frame2 = ((scene + noise / 255 * torch.randn(scene.shape, generator=rng)).clamp(0, 1) for _ in range(2))
    imagined = torch.nn.functional.interpolate(torch.randn(1, 2, 6, 8, generator=rng), (96, 128), mode='bilinear')
    assert pair_witnesses(frame1, frame2, imagined, -imagined)['confirmed'] < 0.5
    assert pair_witnesses(frame1, frame2, 0 * imagined, 0 * imagined)['confirmed'] == 0


def test_a_candidate_that_is_objected_to_is_left_out():
    def candidate(step, change, objection=None):
        comparison = Comparison(change, change - 0.01, change + 0.01, 8, 0.75, 8)
        return Candidate(40, step, [math.log1p(change)], comparison, dict(cycle=1.), objection)

    dead, good = candidate(1., -0.4, 'has lost the motion'), candidate(0.5, -0.1)
    assert choose([dead, good]) is good
    assert choose([dead]) is dead and not dead.is_accepted and good.is_accepted
