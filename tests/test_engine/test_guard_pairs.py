from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from mmrefine.datasets import FramePairs
from mmrefine.engine.guard.candidates import Candidate, candidate_record, choose, decide, mixed_state, rate, settles
from mmrefine.engine.guard.flow_witnesses import FlowWitnesses
from mmrefine.engine.guard.observer import Observer
from mmrefine.errors import ConfigError
from mmrefine.evaluation import limited_error
from mmrefine.evaluation.guard.comparison import Comparison
from mmrefine.fileio.flow_io import read_flow
from mmrefine.fileio.images import write_image
from mmrefine.synthetic import write_clips

SIZE = (64, 96)


class Slow:
    """Sees the share ``part`` of a motion that it looks up by the pictures; where it knows none,
    of one that it is told.
    """
    accepts_flow_init = False

    def __init__(self, known, part=1., noise=0.):
        self.known, self.part, self.noise = known, part, noise
        self.asked = 0

    def estimate(self, frames1, frames2, flow_init=None):
        self.asked += 1
        flows = [self.known.get(frame.sum().item(), torch.zeros(2, *SIZE)) for frame in frames1]
        rng = torch.Generator().manual_seed(0)
        return [self.part * torch.stack(flows) + self.noise * torch.randn(len(flows), 2, *SIZE, generator=rng)]


@pytest.fixture(scope='module')
def video(tmp_path_factory):
    root = tmp_path_factory.mktemp('guard')
    write_clips(root, range(5), 3, SIZE)
    return FramePairs(root / 'frames', held_out=0.4, held=True, truth_root=root / 'flow')


@pytest.fixture(scope='module')
def known(video):
    """The true motion by the sum of the first frame, the other way round its opposite (near enough for a guard)."""
    flows = {}
    for i, pair in enumerate(video.pairs):
        flow = torch.from_numpy(read_flow(pair['truth'])[0]).permute(2, 0, 1)
        for name, sign in (('frame2', -1), ('frame1', 1)):
            frame = torch.from_numpy(np.ascontiguousarray(video[i][name])).permute(2, 0, 1).float() / 255
            flows[frame.sum().item()] = sign * flow
    return flows


def observer(dataset, teacher, seed=0, **settings):
    """Prepared witnesses of flow."""
    witnesses = FlowWitnesses(**settings)
    witnesses.prepare(dataset, teacher, 'cpu', seed, print)
    return Observer(witnesses)


def test_the_truth_beats_a_motion_half_as_fast_and_loses_to_nothing(video, known):
    right, slow = Slow(known), Slow(known, 0.5)
    guard = observer(video, slow, warps=0)
    seen = guard.observe(slow)
    assert rate(guard, right, seen, 1, 1.).loss < -0.03
    assert rate(guard, slow, seen, 1, 1.).loss == 0
    assert not rate(guard, slow, seen, 1, 1.).comparison.is_better
    assert rate(guard, Slow(known, 0.5, noise=1.), seen, 1, 1.).loss > 0.05


def test_warps_are_the_same_for_every_network_and_two_of_them_share_a_pass(video, known):
    network, other = Slow(known), Slow(known)
    guard = observer(video, network, pairs=3, warps=3)
    network.asked = other.asked = 0
    first, again = guard.observe(other), guard.observe(other)
    assert repr(first) == repr(again) and other.asked == 2 * len(guard) * (1 + 2)
    # what the original network showed on the pairs is known from the look at how the video moves
    assert repr(guard.observe(network)) == repr(first) and network.asked == len(guard) * 2
    assert all(one['warp'] > 0 for one in first)  # it knows no warp, and says that nothing moves
    assert [one['warp'] for one in guard.observe(Slow(known, 0.5))] == [one['warp'] for one in first]
    elsewhere = observer(video, network, pairs=3, warps=3, seed=1)
    assert [one['warp'] for one in elsewhere.observe(network)] != [one['warp'] for one in first]


class Bright:
    """Moves a picture to the right, the brighter the farther."""
    accepts_flow_init = False

    def estimate(self, frames1, frames2, flow_init=None):
        flow = torch.zeros_like(frames1[:, :2])
        flow[:, 0] = 10 * frames1.mean(dim=(1, 2, 3)).view(-1, 1, 1)
        return [flow]


def test_each_warp_of_a_pass_is_compared_with_its_own_motion(video):
    guard = observer(video, Bright(), pairs=2, warps=3)
    witnesses = guard.witnesses
    for index, found in enumerate(guard.observe(Bright())):
        frame1, _ = witnesses._frames(witnesses.chosen[index])
        warps = witnesses._known_warps(witnesses.chosen[index], frame1, None)
        alone = [limited_error(Bright().estimate(*one[:2])[0], one.flow, one.visible) for one in warps]
        assert len(set(alone)) == 3 and found['warp'] == pytest.approx(sum(alone) / 3)


def test_pairs_are_spread_over_the_video_and_belong_to_their_scenes(video, known):
    guard = observer(video, Slow(known), pairs=2, warps=0)
    assert guard.witnesses.samples == [(pair['scene'], pair['key']) for pair in (video.pairs[0], video.pairs[-1])]
    assert guard.scenes == [video.pairs[0]['scene'], video.pairs[-1]['scene']]


def test_progress_is_told_pair_by_pair(video, known):
    guard = observer(video, Slow(known), pairs=3, warps=0)
    done = []
    rate(guard, Slow(known), guard.observe(Slow(known), done.append), 1, 1., progress=done.append)
    assert done == [1, 2, 3] * 2 and guard.share == 3


def test_frames_too_small_to_warp_are_judged_without(tmp_path, known):
    write_clips(tmp_path, [1], 7, (24, 40))
    data = FramePairs(tmp_path / 'frames', held_out=0.4, held=True)

    class Still:
        accepts_flow_init = False

        def estimate(self, frames1, frames2, flow_init=None):
            return [torch.zeros_like(frames1[:, :2])]

    found = observer(data, Still()).observe(Still())
    assert len(found) == 2 and all(math.isnan(one['warp']) and one['cycle'] == 0 for one in found)


@pytest.mark.parametrize('key, value', [('pairs', 1), ('warps', -1), ('pairs', 2.5), ('pace', -1), ('still', -1),
                                        ('agreement', float('inf'))])
def test_invalid_numbers_are_refused(key, value):
    with pytest.raises(ConfigError, match=rf'FlowWitnesses\.{key} must be .* got {value}'):
        FlowWitnesses(**{key: value})


def test_mixed_weights_end_at_both_sides_exactly():
    rng = torch.Generator().manual_seed(0)
    teacher, student = ({'w': torch.randn(50, generator=rng), 'n': torch.tensor(n)} for n in (3, 5))
    assert torch.equal(mixed_state(teacher, student, 1.)['w'], student['w'])
    assert torch.equal(mixed_state(teacher, student, 0.)['w'], teacher['w'])
    torch.testing.assert_close(mixed_state(teacher, student, 0.25)['w'], 0.75 * teacher['w'] + 0.25 * student['w'])
    assert mixed_state(teacher, student, 0.25)['n'] == 5


def candidate(step, change, high, runs=8):
    return Candidate(40, step, [math.log1p(change)], Comparison(change, change - 0.01, high, 8, 0.75, runs),
                     dict(cycle=1., color=2.))


def test_the_farthest_that_is_surely_better_wins_and_the_best_stands_for_all_where_none_is():
    best, farther = candidate(0.25, -0.1, -0.05), candidate(0.75, -0.04, -0.01)
    lucky, worse = candidate(1., -0.2, 0.01), candidate(1., 0.1, 0.2)
    assert choose([best, farther, lucky, worse]) is farther
    twin = candidate(0.75, -0.06, -0.01)
    assert choose([best, farther, twin, lucky]) is twin  # of another student, as far
    assert choose([worse, lucky]) is lucky
    assert choose([worse]) is worse


def test_the_record_says_who_won_and_why():
    good, bad = candidate(0.5, -0.1, -0.02), candidate(1., 0.1, 0.2)
    record = candidate_record([good, bad], good, [dict(cycle=2., color=2.)])
    assert record['verdict'] == 'student' and [one['witnesses']['color'] for one in record['candidates']] == [2., 2.]
    assert record['chosen'] == dict(iter=40, step=0.5, change_percent=-10., interval_percent=[-11., -2.], pairs=8,
                                    runs=8, pairs_better=0.75, objection=None)
    assert ('50% of the way to the student after 40 steps is better' in record['reason']
            and '-10.0 %' in record['reason'])
    assert record['witnesses']['before']['cycle'] == 2 and record['witnesses']['after']['cycle'] == 1
    refused = candidate_record([bad], bad, [dict(cycle=2., color=2.)])
    assert (refused['verdict'] == 'teacher' and 'handed back unchanged' in refused['reason']
            and '+10.0 %' in refused['reason'])


def test_a_change_that_rests_on_too_few_independent_pairs_is_unproven_however_sure_it_looks():
    few, enough = candidate(1., -0.3, -0.2, runs=5), candidate(0.5, -0.1, -0.02, runs=6)
    assert not few.is_accepted and choose([few, enough]) is enough
    record = candidate_record([few], choose([few]), [dict(cycle=2., color=2.)])
    assert record['verdict'] == 'unproven' and 'handed back unchanged' in record['reason']
    assert '8 frame pairs, which are worth 5 independent ones; it takes 6' in record['reason']
    assert 'student.pth' in record['reason'] and 'refine a longer video or more scenes' in record['reason']


@pytest.mark.parametrize('lost, losses, most, step', [
    ((1., 2., 3.), (-0.2, -0.3, -0.1), None, 1.),  # little was lost: the farthest
    ((2., 5., 20.), (-0.1, -0.3, -0.2), None, 0.5),  # as good, and lost a quarter
    ((2., 11., 20.), (-0.1, -0.3, -0.2), None, 1.),  # lost more than half as much
    ((2., 11., 20.), (-0.2, -0.3, -0.2), None, 0.25),
    ((2., 5., 20.), (-0.1, -0.15, -0.2), None, 1.),  # gained less
    ((2., 5., 20.), (-0.1, -0.15, -0.2), 0.1, 0.5), ((2., 5., 20.), (-0.1, -0.15, -0.2), 0.03, 0.25),
    ((9., 9., 20.), (-0.1, -0.15, -0.2), 0.01, None)])
def test_of_networks_that_are_as_good_the_one_that_lost_less_is_preferred(lost, losses, most, step):
    rated = [candidate(at, math.expm1(loss), -0.01) for at, loss in zip((0.25, 0.5, 1.), losses)]
    best = decide(rated, lambda one: lost[(0.25, 0.5, 1.).index(one.step)], most)
    assert (best.step if best.is_accepted else None) == step


@pytest.mark.parametrize('lost, most, enough', [(4., None, True), (6., None, False), (4., 0.03, False),
                                                (6., 0.5, False)])
def test_steps_on_the_way_matter_where_a_student_lost_much_or_is_not_accepted(lost, most, enough):
    better, other = candidate(1., -0.2, -0.01), candidate(1., -0.1, -0.01)
    assert settles([other, better], lambda one: lost if one is better else 0., most) is enough
    assert not settles([candidate(1., -0.2, 0.01)], lambda one: 0.)
    assert not settles([replace(better, objection='has lost the motion')], lambda one: 0.)


def test_the_reason_of_a_refusal_does_not_deny_a_score_that_is_better():
    best = replace(candidate(1., -0.3, -0.2), objection='has lost the motion')
    record = candidate_record([best], choose([best]), [dict(cycle=2., color=2.)])
    assert record['verdict'] == 'teacher' and record['chosen']['objection'] == 'has lost the motion'
    assert 'surely better by its score and refused all the same' in record['reason']
    assert 'it has lost the motion' in record['reason'] and 'no candidate' not in record['reason']


def test_what_never_changes_is_found_over_short_scenes_together_and_over_long_ones_alone(tmp_path, known):
    for name, count, corner in (('a', 5, 0), ('b', 5, 0), ('c', 12, 50), ('d', 3, 0)):
        for number in range(count):
            frame = np.random.default_rng((number, len(name), ord(name))).integers(0, 256, (*SIZE, 3), dtype=np.uint8)
            frame[corner:corner + 12, :20] = 99
            write_image(tmp_path / name / f'{number:02d}.png', frame)
    guard = observer(FramePairs(tmp_path, held_out=0.7, held=True), Slow(known), warps=0)
    found = guard.witnesses._overlays
    assert set(found) == set(guard.scenes) and len(found) == 3
    for scene, fixed in found.items():
        corner = 50 if scene == 'c' else 0
        assert fixed.shape == (1, 1, *SIZE) and int(fixed.sum()) == 12 * 20
        assert bool(fixed[..., corner:corner + 12, :20].all())


def test_what_lies_over_a_scene_does_not_move_with_the_known_warps(tmp_path, known):
    for number in range(10):
        frame = np.random.default_rng(number).integers(0, 256, (*SIZE, 3), dtype=np.uint8)
        frame[:16, :24] = np.random.default_rng(99).integers(0, 256, (16, 24, 3), dtype=np.uint8)
        write_image(tmp_path / 'a' / f'{number:02d}.png', frame)
    witnesses = observer(FramePairs(tmp_path, held_out=0.4, held=True), Slow(known), warps=2).witnesses
    for number, index in enumerate(witnesses.chosen):
        frame = witnesses._frames(index)[0]
        for warp in witnesses._known_warps(index, frame, witnesses._overlays['a']):
            for frames in (warp.frames1, warp.frames2):
                assert torch.equal(frames[..., :16, :24], frame[..., :16, :24])
            assert not warp.visible[..., :16, :24].any() and warp.visible.any()


def test_no_candidate_is_accepted_where_a_pattern_covers_the_whole_video(tmp_path, known):
    y, x = np.mgrid[:SIZE[0], :SIZE[1]]
    for part, covered in (('pattern', (x + y) // 6 % 2 == 0), ('bars', (y < 4) | (y >= 60))):
        for number in range(10):
            frame = np.random.default_rng(number).integers(0, 256, (*SIZE, 3), dtype=np.uint8)
            write_image(tmp_path / part / f'{number:02d}.png', np.where(covered[..., None], np.uint8(30), frame))
        guard = observer(FramePairs(tmp_path / part, held_out=0.4, held=True), Slow(known), warps=0)
        seen = guard.observe(Slow(known))
        objection = rate(guard, Slow(known), seen, 1, 1.).objection
        assert ('pattern that never changes' in (objection or '')) is (part == 'pattern')


def test_further_witnesses_are_asked_where_they_have_a_weight(video, known):
    slow = Slow(known, 0.5)
    guard = observer(video, slow, pairs=3, warps=0, still=0.2, agreement=0.3)
    found = guard.observe(slow)
    assert set(found[0]) == {'cycle', 'color', 'warp', 'motion', 'confirmed', 'still', 'agreement'}
    assert guard.witnesses.weights == dict(cycle=0.2, color=0.4, warp=0.4, still=0.2, agreement=0.3)
    assert set(guard.witnesses.floors) == set(guard.witnesses.weights)
    assert [figure.name for figure in guard.witnesses.figures][-2:] == ['still', 'agreement']
    # it knows no disturbed frame, and says that nothing moves there: the change is all of its motion
    assert [one['agreement'] for one in found] == pytest.approx([one['motion'] for one in found], rel=1e-5)
    assert guard.witnesses.describe()['still'] == 0.2
    plain = observer(video, slow, pairs=3, warps=0)
    assert set(plain.observe(slow)[0]) == {'cycle', 'color', 'warp', 'motion', 'confirmed'}
    assert 'still' not in plain.witnesses.describe()
    assert rate(guard, slow, found, 1, 1.).loss == 0
