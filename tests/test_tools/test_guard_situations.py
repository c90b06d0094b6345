"""The guard's bench: what its videos show, and what it counts as a goal that holds."""
import importlib
import json
import sys
from dataclasses import replace

import numpy as np
import pytest
from small_trees import ROOT

from mmrefine.evaluation.guard.measures import FLOORS
from mmrefine.synthetic import exact_motion


@pytest.fixture(scope='module')
def benches():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / 'benchmarks'))
        found = [importlib.import_module(name) for name in ('situations', 'guard_situations')]
        yield found
    for name in ('situations', 'guard_situations', 'guard_summary', 'guard_trust', 'short_lessons'):
        sys.modules.pop(name, None)


def test_there_are_forty_situations_of_different_names_and_of_each_kind(benches):
    all_of_them = benches[0].SITUATIONS
    assert len(all_of_them) == len(benches[0].BY_NAME) >= 40
    kinds = [situation.kind for situation in all_of_them]
    assert set(kinds) == {'plain', 'empty', 'overlaid'} and kinds.count('plain') >= 40
    assert len(set(benches[0].TAUGHT_MORE)) == 10 and set(benches[0].TAUGHT_MORE) <= set(benches[0].BY_NAME)


def rendered(situations, name, frames=4):
    (clip, ), (plain, ) = replace(situations.BY_NAME[name], shape=(1, frames)).render()
    assert clip.frames.dtype == np.uint8 and len(clip.flow) == len(clip.frames) - 1
    return clip, plain


@pytest.mark.parametrize('name', ['static', 'black', 'one grey level per scene', 'noise on grey', 'static, coded'])
def test_what_stands_still_has_no_motion(benches, name):
    clip, plain = rendered(benches[0], name)
    assert not clip.flow.any() and plain.flow.any()


@pytest.mark.parametrize('name, share', [('under diagonals', 0.5), ('under a logo', 24 * 32 / (96 * 128)),
                                         ('letterbox', 28 / 96)])
def test_an_overlay_is_the_same_in_all_frames_and_does_not_move(benches, name, share):
    clip, plain = rendered(benches[0], name)
    covered = (clip.frames != plain.frames).any(axis=(0, 3))
    assert covered.mean() == pytest.approx(share, abs=0.02)
    assert np.ptp(clip.frames[:, covered], axis=0).max() == 0 and not clip.flow[..., covered].any()
    np.testing.assert_array_equal(clip.flow[..., ~covered & (clip.flow != 0).any(axis=(0, 1))],
                                  plain.flow[..., ~covered & (clip.flow != 0).any(axis=(0, 1))])


def test_frames_that_come_twice_move_every_other_time(benches):
    clip, plain = rendered(benches[0], 'frames twice', 3)
    assert len(clip.frames) == 6 and not clip.flow[::2].any()
    np.testing.assert_array_equal(clip.flow[1::2], plain.flow)
    np.testing.assert_array_equal(clip.frames[::2], clip.frames[1::2])


def test_interlaced_lines_come_from_two_instants_and_move_two_steps(benches):
    clip, plain = rendered(benches[0], 'interlaced', 2)
    np.testing.assert_array_equal(clip.frames[0, ::2], plain.frames[0, ::2])
    np.testing.assert_array_equal(clip.frames[0, 1::2], plain.frames[1, 1::2])
    np.testing.assert_array_equal(clip.flow[0], exact_motion(benches[0].FIRST_SEED, 0, 2, (96, 128), 'target')[0])


def test_there_is_no_motion_across_a_cut(benches):
    clip, plain = rendered(benches[0], 'cuts', 7)
    assert np.isnan(clip.flow[4]).all() and np.isfinite(clip.flow[[0, 1, 2, 3, 5]]).all()
    assert np.abs(clip.frames[5].astype(int) - plain.frames[5]).mean() > 10


def judged(situation, kind, verdict, student, handed, plain=0., score=None, recipe='demo'):
    score = student if score is None else score
    candidates = [] if verdict == 'nothing to learn' else [dict(step=1., change_percent=score, runs=8)]
    return dict(situation=situation, recipe=recipe, kind=kind, way=1., student=dict(video=student, plain=plain),
                handed=dict(video=handed, plain=plain), guard=dict(verdict=verdict, candidates=candidates))


def test_the_goals_hold_where_they_should(benches):
    good = [judged(f's{i}', 'plain', 'student', -20. + i / 2, -20. + i / 2) for i in range(30)]
    fine = [*good, judged('a', 'empty', 'nothing to learn', -5., 0.), judged('b', 'overlaid', 'teacher', -9., 0.),
            judged('c', 'plain', 'unproven', 9., 0.), judged('d', 'overlaid', 'student', -5., -5., 1.)]
    holds = [goal['holds'] for goal in benches[1]._goals(fine)]
    assert holds == [True] * 5

    def broken(*more, base=fine):
        return [goal['holds'] for goal in benches[1]._goals([*base, *more])]

    assert broken(judged('x', 'plain', 'student', 4., 4.)) == [False, True, True, True, True]
    assert broken(judged('x', 'empty', 'student', -5., -5.)) == [True, False, True, True, True]
    assert broken(judged('x', 'overlaid', 'student', -5., -5., 3.)) == [True, False, True, True, True]
    refused = [judged(f'r{i}', 'plain', 'teacher', -6. - i / 10, 0.) for i in range(8)]
    assert broken(*refused) == [True, True, False, True, True]
    assert broken(base=fine[1:])[3] is False
    upside_down = [judged(f'u{i}', 'plain', 'student', -20. + i, -20., score=-i) for i in range(30)]
    assert broken(base=upside_down)[4] is False


def test_the_summary_counts_by_recipe_and_ranks_within_a_situation(benches, tmp_path, monkeypatch, capsys):
    def student(situation, recipe, verdict, changes, scores):
        steps = [0.5, 1.]
        candidates = [dict(step=step, change_percent=score, witnesses=dict.fromkeys(FLOORS, 100 + score))
                      for step, score in zip(steps, scores)]
        truth = {'0.0': dict(video=2.), **{str(step): dict(video=2 + change / 50)
                                           for step, change in zip(steps, changes)}}
        return dict(judged(situation, 'plain', verdict, changes[1], changes[1] if verdict == 'student' else 0.,
                           recipe=recipe), truth=truth,
                    guard=dict(verdict=verdict, candidates=candidates,
                               witnesses=dict(before=dict.fromkeys(FLOORS, 100.))))

    students = [student('a', 'demo', 'student', (-4., -10.), (-1., -5.)),
                student('a', 'fast', 'teacher', (1., 8.), (2., 9.)),
                student('b', 'demo', 'teacher', (-3., -6.), (3., 6.)),
                student('d', 'demo', 'teacher', (-3., -4.), (-1., -2.)),
                judged('c', 'empty', 'nothing to learn', 0., 0.)]
    (tmp_path / 'results.json').write_text(json.dumps(dict(students=students, goals=[])))
    monkeypatch.setattr(sys, 'argv', ['x', str(tmp_path / 'results.json'), '--out', str(tmp_path / 'small.json')])
    assert importlib.import_module('guard_summary').main() == 0
    said = capsys.readouterr().out
    assert '| demo | 3 | 2 | 1 | -3.3 % |' in said and '| fast | 1 | 0 | 0 | +0.0 % |' in said
    assert '| all | 4 | 2 | 1 | -2.5 % |' in said and 'median 1.00 of 3' in said  # 1, -1, 1
    assert 'score 0.80, cycle 0.80, color 0.80, warp 0.80, all steps' in said  # of -10, 8, -6, -4
    small = json.loads((tmp_path / 'small.json').read_text())['students']
    assert [one['verdict'] for one in small] == ['student', 'teacher', 'teacher', 'teacher', 'nothing to learn']
