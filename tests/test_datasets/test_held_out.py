from __future__ import annotations

import pytest

from mmrefine.datasets.held_out import ENOUGH_SCENES, split_pairs
from mmrefine.errors import ConfigError
from mmrefine.evaluation.guard.runs import LEAST_RUNS


def pairs_of(scenes, step=1, both=False):
    return [
        dict(scene=name, index=index, reverse=reverse) for name, frames in scenes.items()
        for index in range(frames - step)
        for reverse in ((False, True) if both else (False, ))
    ]


def frames_of(pairs, step):
    return {(pair['scene'], pair['index'] + more) for pair in pairs for more in (0, step)}


@pytest.mark.parametrize('scenes', [dict(a=20), dict(a=9, b=30, c=2), {f's{i}': 4 for i in range(13)}])
@pytest.mark.parametrize('step', [1, 2])
@pytest.mark.parametrize('share', [0.05, 0.2, 0.9])
def test_no_frame_is_on_both_sides_and_both_sides_have_pairs(scenes, step, share):
    pairs = [pair for pair in pairs_of({name: max(frames, step + 1) for name, frames in scenes.items()}, step,
                                       both=True)]
    rest, held, _ = split_pairs(pairs, share, step)
    assert rest and held
    assert not frames_of(rest, step) & frames_of(held, step)
    assert all(pair in pairs for pair in rest + held)


@pytest.mark.parametrize('share', [0.05, 0.3, 0.9])
def test_pairs_of_several_steps_share_no_frame_either(share):
    pairs = [dict(scene='a', index=index, step=step, reverse=False) for index in range(20) for step in (1, 3)
             if index + step < 20]
    rest, held, ends = split_pairs(pairs, share, 3)
    sides = [{pair['index'] + more for pair in side for more in range(pair['step'] + 1)} for side in (rest, held)]
    assert all(sides) and not sides[0] & sides[1] and ends['a'] == min(sides[1])
    assert {pair['step'] for pair in rest} == {1, 3} or share == 0.9


def test_of_one_video_the_end_is_kept_back():
    rest, held, ends = split_pairs(pairs_of(dict(a=21)), 0.2)
    assert [pair['index'] for pair in held] == [16, 17, 18, 19]
    assert [pair['index'] for pair in rest] == list(range(15))  # the pair (15, 16) shares frame 16
    assert ends == dict(a=16)


def test_of_many_scenes_whole_ones_are_kept_back_all_over_the_list():
    pairs = pairs_of({f's{i:02d}': 5 for i in range(30)})
    rest, held, ends = split_pairs(pairs, 0.2)
    assert sorted({pair['scene'] for pair in held}) == ['s02', 's07', 's12', 's17', 's22', 's27']
    assert len(rest) + len(held) == len(pairs) and not ends


def test_of_some_long_scenes_the_end_of_each_is_kept_back_so_that_all_have_a_say():
    pairs = pairs_of({f's{i:02d}': 21 for i in range(10)})
    rest, held, ends = split_pairs(pairs, 0.2)
    assert ends == {f's{i:02d}': 16 for i in range(10)} and len(held) == 40 and len(rest) == 150
    # where the share makes six scenes or more these are kept back whole
    assert len({pair['scene'] for pair in split_pairs(pairs, 0.6).held}) == 6


@pytest.mark.parametrize('scenes, whole', [(4, 1), (8, 3), (12, 4), (15, 6), (20, 6), (40, 6), (50, 8)])
def test_of_short_scenes_six_whole_ones_are_kept_back_if_these_are_no_more_than_two_fifths(scenes, whole):
    rest, held, ends = split_pairs(pairs_of({f's{i:02d}': 4 for i in range(scenes)}), 0.15, least=6)
    assert len({pair['scene'] for pair in held}) == whole and len(held) == 3 * whole and not ends
    assert ENOUGH_SCENES == LEAST_RUNS


def test_scenes_that_no_cut_leaves_anything_of_are_kept_back_whole():
    held = split_pairs(pairs_of({f's{i}': 20 for i in range(5)}, step=9), 0.2, step=9).held
    assert {pair['scene'] for pair in held} == {'s2'}


def test_a_scene_too_short_to_cut_is_learned_from():
    rest, held, _ = split_pairs(pairs_of(dict(long=20, short=3)), 0.1)
    assert {pair['scene'] for pair in held} == {'long'}
    assert sum(pair['scene'] == 'short' for pair in rest) == 2


def test_no_share_keeps_nothing_back():
    pairs = pairs_of(dict(a=5))
    assert split_pairs(pairs, 0.) == (pairs, [], {})


@pytest.mark.parametrize('share', [-0.1, 1., float('nan'), 'x', None])
def test_a_share_that_cannot_be_meant_is_refused(share):
    with pytest.raises(ConfigError, match=r'held_out must be a share .* got ' + repr(share)):
        split_pairs(pairs_of(dict(a=5)), share)


def test_a_video_too_short_to_cut_is_refused_with_the_way_out():
    with pytest.raises(ConfigError, match=r'held_out=0\.1: no scene has enough .*the most is 2, .* held_out=0'):
        split_pairs(pairs_of(dict(a=3)), 0.1)


@pytest.mark.parametrize('frames, held', [(13, 5), (16, 6), (20, 8), (25, 10), (32, 12), (60, 12), (200, 30)])
def test_a_least_number_is_kept_back_of_a_short_video_but_no_more_than_two_fifths(frames, held):
    found = split_pairs(pairs_of(dict(a=frames)), 0.15, least=12)
    assert len(found.held) == held and len(found.rest) == frames - 1 - held - 1


def test_so_it_is_of_several_scenes():
    three = split_pairs(pairs_of(dict(a=13, b=13, c=13)), 0.15, least=12)
    assert len(three.held) == 12 and len({pair['scene'] for pair in three.held}) == 3
    many = split_pairs(pairs_of({f's{i:02d}': 3 for i in range(30)}), 0.15, least=18)
    assert len(many.held) == 18 and len({pair['scene'] for pair in many.held}) == 9
    few = split_pairs(pairs_of({f's{i}': 4 for i in range(5)}), 0.15, least=12)
    assert len(few.held) == 6  # two scenes of five
    assert split_pairs(pairs_of({f's{i:02d}': 9 for i in range(50)}), 0.15, least=12).held == split_pairs(
        pairs_of({f's{i:02d}': 9 for i in range(50)}), 0.15).held


@pytest.mark.parametrize('spacing', [1, 3, 8])
@pytest.mark.parametrize('share', [0.1, 0.5, 0.9])
def test_clips_of_eight_frames_share_no_frame_either(spacing, share):
    clips = [dict(scene=name, index=index, step=7) for name, frames in dict(a=40, b=25, c=9).items()
             for index in range(0, frames - 7, spacing)]
    rest, held, ends = split_pairs(clips, share, 7)
    sides = [{(clip['scene'], clip['index'] + more) for clip in side for more in range(8)} for side in (rest, held)]
    assert all(sides) and not sides[0] & sides[1] and set(ends) == {'a', 'b'}
    assert {clip['scene'] for clip in rest} == {'a', 'b', 'c'}


def test_backward_pairs_do_not_count_twice():
    both = split_pairs(pairs_of(dict(a=21), both=True), 0.1, least=6)
    assert len(both.held) == 12 and both.ends == split_pairs(pairs_of(dict(a=21)), 0.1, least=6).ends
