"""Figures of labels, counted by hand on frames of 6 x 6 px and on rendered motion whose truth is exact."""
import math

import numpy as np
import pytest
import torch

from mmrefine.evaluation import quality_record, speed_stats, stored_cycle_error, tally_label, tally_truth
from mmrefine.evaluation.labels.quality import LabelTally, add_truth
from mmrefine.structures import FlowLabel
from mmrefine.structures.pairs import FAR

GREY = torch.full((3, 6, 6), .5)


def label(u=0., v=0., weight=1.):
    flow = torch.zeros(2, 6, 6)
    flow[0], flow[1] = u, v
    return FlowLabel(flow, torch.zeros(1, 6, 6) + weight)


def record(*tallies, scene='a'):
    return quality_record((scene, tally) for tally in tallies)


def columns(*values):
    """A map of 6 x 6 px whose columns have these values."""
    return torch.tensor(values).float().expand(6, 6).clone()


def test_the_speeds_are_counted_before_the_motion_that_was_not_kept_is_lost():
    # 0.4, 0.5, 3, 4, 8 and 50 px: an edge belongs to the faster bin; half the weight of column 2, none of column 5
    stats = speed_stats(label(columns(.4, .5, 3, 0, 8, 50), columns(0, 0, 0, -4, 0, 0), columns(1, 1, .5, 1, 1, 0)))
    pixels = {'0-0.5': 1, '0.5-2': 1, '2-8': 2, '8-32': 1, '32+': 1}
    kept = {'0-0.5': 1, '0.5-2': 1, '2-8': 1.5, '8-32': 1, '32+': 0}
    wanted = {f'speed_{bin_}_pixels': count / 6 for bin_, count in pixels.items()}
    wanted.update({f'speed_{bin_}_kept': count / 6 for bin_, count in kept.items()})
    assert stats == pytest.approx(wanted, abs=1e-6)


def test_motion_that_the_teacher_does_not_know_has_no_speed_and_does_not_move():
    stats = speed_stats(label(columns(3, 3, 3, FAR, FAR, FAR), 0., columns(1, 1, 0, 0, 0, 0)))
    assert stats['speed_2-8_pixels'] == .5 and stats['speed_2-8_kept'] == pytest.approx(1 / 3, abs=1e-6)
    assert sum(stats.values()) == pytest.approx(.5 + 1 / 3, abs=1e-6)  # nothing at other speeds
    still = label(columns(0, 0, 0, FAR, FAR, FAR))
    assert record(tally_label(still, speed_stats(still), GREY, GREY))['still']['pairs'] == 1


def test_the_kept_share_by_speed_is_pooled_over_pairs():
    one, two = label(columns(1, 1, 1, 1, 4, 4), weight=columns(1, 1, 1, 0, 1, 0)), label(4., weight=.25)
    found = record(*(tally_label(each, speed_stats(each), GREY, GREY) for each in (one, two)))
    # of 24 pixels at 1 px 18 are kept; at 4 px 6 of 12 and a quarter of 36
    assert found['speed']['share'] == pytest.approx([0, 24 / 72, 48 / 72, 0, 0], abs=1e-6)
    assert found['speed']['kept'] == [None, .75, pytest.approx((6 + 9) / 48, abs=1e-5), None, None]
    assert found['kept'] == pytest.approx((24 + 9) / 72, abs=1e-6) and found['labels'] == 2


def test_what_the_filters_gave_is_reported_where_the_store_says_it():
    assert record(*(tally_label(label(), dict(verified=v), GREY, GREY) for v in (.2, .6)))['verified'] == pytest.approx(
        .4)
    assert record(tally_label(label(), {}, GREY, GREY))['verified'] is None


def test_the_change_of_colour_along_the_motion_is_compared_with_that_in_place_but_across_cuts():
    def tally(along, place, weight=1., **kinds):
        return tally_label(label(weight=weight), dict(along_motion=along, in_place=place), GREY, GREY, kinds=kinds)

    cut = tally(90., 90., cuts=True)
    refused = tally(70., 60., weight=0.)
    assert record(tally(1., 4.), tally(2., 8., cuts=False), cut, refused)['explained'] == pytest.approx(.25)
    assert record(cut, refused)['explained'] is None and record(tally(.1, .1))['explained'] is None
    assert record(tally_label(label(), {}, GREY, GREY))['explained'] is None  # a store that does not say it


def test_a_store_that_does_not_say_the_speeds_has_none_and_no_pair_of_it_is_called_still():
    found = record(tally_label(label(), {}, GREY, GREY))
    assert found['speed']['share'] is None and found['speed']['kept'] is None
    assert found['still'] == dict(pairs=0, judged=0, weight=None)


def test_regions_are_thirds_of_the_frame_row_by_row():
    weight = torch.zeros(6, 6)
    weight[0:2, 4:6] = 1.  # top right
    weight[2:4, 0:2] = .5  # middle left
    weight[5, 2] = 1.  # one of four pixels, bottom centre
    found = record(tally_label(label(weight=weight), {}, GREY, GREY))
    assert found['regions'] == [[0, 0, 1], [.5, 0, 0], [0, .25, 0]]


def test_the_colour_residual_is_that_of_the_kept_motion_by_weight():
    frame1, frame2 = torch.zeros(3, 6, 6), torch.zeros(3, 6, 6)
    frame2[:, :3] = 10 / 255  # rows 0 to 2
    frame2[:, 3:] = 40 / 255
    weight = torch.zeros(6, 6)
    weight[0], weight[5] = 1., .5
    found = record(tally_label(label(weight=weight), {}, frame1, frame2))
    assert found['color_residual'] == pytest.approx((6 * 1 * 10 + 6 * .5 * 40) / 9, abs=1e-4)


def test_the_cycle_error_is_known_where_both_ways_are_labelled():
    # 1 px to the right; back 1 px to the left in columns 0 to 2, 0.7 px in columns 3 to 5, of which 4 is not labelled
    there = label(1., weight=columns(1, 1, 1, .5, 1, 0))
    back = label(columns(-1, -1, -1, -.7, -.7, -.7), weight=columns(1, 1, 1, 1, 0, 1))
    error = stored_cycle_error(there, back)[0]
    # column 3 lands in column 4, which is not labelled; column 5 is not labelled itself
    assert error[:2].tolist() == [0, 0] and error[2].item() == pytest.approx(.3, abs=1e-6)
    assert error[4].item() == pytest.approx(.3, abs=1e-6) and error[3].isnan() and error[5].isnan()
    cycle = record(tally_label(there, dict(cycle_error_median=9.), GREY, GREY, back))['cycle_error']
    assert cycle['of'] == 'pixels' and cycle['edges_px'] == [0, .05, .1, .25, .5, 1, 2]
    assert cycle['share'] == [.5, 0, 0, .5, 0, 0, 0]
    assert cycle['mean'] == pytest.approx(.15, abs=1e-6) and cycle['known'] == pytest.approx(4 / 4.5, abs=1e-6)


def test_a_landing_between_a_labelled_and_an_unlabelled_pixel_is_unknown():
    back = label(-.5, weight=columns(1, 1, 1, 0, 1, 1))
    error = stored_cycle_error(label(.5), back)[0]
    assert error.isnan().tolist() == [False, False, True, True, False, True]  # the last one leaves the frame


def test_without_the_way_back_the_cycle_errors_are_those_of_the_pairs():
    medians = (.01, .3, .4, 5.)
    cycle = record(*(tally_label(label(), dict(cycle_error_median=m), GREY, GREY) for m in medians))['cycle_error']
    assert cycle == dict(of='pairs', edges_px=[0, .05, .1, .25, .5, 1, 2], share=[.25, 0, 0, .5, 0, 0, .25], mean=None,
                         known=0)


def test_pairs_of_a_kind_are_counted_with_their_weight_among_those_that_were_judged():
    heavy, light = label(weight=.8), label(weight=.2)
    found = record(
        tally_label(heavy, {}, GREY, GREY, kinds=dict(cuts=False, duplicates=True)),
        tally_label(light, {}, GREY, GREY, kinds=dict(cuts=True, duplicates=False)), tally_label(heavy, {}, GREY, GREY))
    assert found['cuts'] == dict(pairs=1, judged=2, weight=pytest.approx(.2, abs=1e-6))
    assert found['duplicates'] == dict(pairs=1, judged=2, weight=pytest.approx(.8, abs=1e-6))


@pytest.mark.parametrize('moving, still', [(1, False), (0, True)])
def test_a_pair_is_still_if_no_200th_of_its_pixels_moves_by_half_a_px(moving, still):
    u = torch.zeros(6, 6)
    u.view(-1)[:moving] = .5  # one of 36 pixels is more than one of 200
    stats = speed_stats(label(u))
    assert record(tally_label(label(u), stats, GREY, GREY))['still']['pairs'] == int(still)
    # what a guard said stands
    assert record(tally_label(label(u), stats, GREY, GREY, kinds=dict(still=not still)))['still']['pairs'] == int(
        not still)


def test_against_the_truth_by_hand():
    # kept: columns 0 to 3, column 3 by half; off by 0, 0.5, 3 and 1 px; truth is unknown in row 0
    found, weight = label(columns(1, 1.5, 4, 2, 9, 9), weight=columns(1, 1, 1, .5, 0, 0)), 5 * 3.5
    valid = torch.ones(6, 6, dtype=torch.bool)
    valid[0] = False
    true = label(columns(1, 1, 1, 3, 3, 9)).flow
    true[0, 1, 0] = float('nan')  # and in one pixel of column 0
    truth = record(tally_label(found, {}, GREY, GREY), tally_truth(found, true, valid))['truth']
    weight -= 1
    assert truth['labels'] == 1
    assert truth['EPE'] == pytest.approx((5 * .5 + 5 * 3 + 2.5 * 1) / weight, abs=1e-6)
    assert truth['precision'] == pytest.approx((4 + 5) / weight, abs=1e-6)  # 1 px is not within 1 px
    assert truth['coverage'] == pytest.approx(weight / 29, abs=1e-6)
    speed = truth['speed']
    assert speed['share'] == [0, pytest.approx(14 / 29, abs=1e-6), pytest.approx(10 / 29, abs=1e-6),
                              pytest.approx(5 / 29, abs=1e-6), 0]
    assert speed['coverage'] == [None, 1, .25, 0, None]
    assert speed['precision'] == [None, pytest.approx(9 / 14, abs=1e-6), 0, None, None]
    assert speed['EPE'] == [None, 1.25, 1, None, None]


def test_truth_that_says_nothing_adds_no_scores():
    found = record(tally_label(label(), {}, GREY, GREY),
                   tally_truth(label(), label().flow, torch.zeros(6, 6, dtype=torch.bool)))
    assert 'truth' not in found and 'truth' not in found['scenes']['a']


def test_truth_of_another_size_is_refused():
    with pytest.raises(ValueError, match=r'\(2, 6, 6\), got \(2, 6, 5\)'):
        tally_truth(label(), torch.zeros(2, 6, 5), torch.ones(6, 5, dtype=torch.bool))


def test_truth_that_is_found_later_makes_the_same_record():
    tallies = {scene: tally_label(label(1.), {}, GREY, GREY) for scene in ('b', 'a')}
    truths = [(scene, tally_truth(label(1.), label(u).flow, torch.ones(6, 6, dtype=torch.bool)))
              for scene, u in (('a', 1.), ('b', 3.))]
    at_once = quality_record([*tallies.items(), *truths])
    later = add_truth(quality_record(tallies.items()), truths)
    assert (later == at_once and [later['scenes'][name]['truth']['EPE'] for name in 'ab'] == [0, 2]
            and later['truth']['EPE'] == 1)
    assert add_truth(at_once, [truths[0]])['scenes']['a'] == at_once['scenes']['a']


def test_scenes_are_sorted_and_the_record_pools_their_pixels():
    results = [('b', tally_label(label(weight=.5), {}, GREY, GREY)), ('a', tally_label(label(), {}, GREY, GREY)),
               ('b', tally_label(label(weight=0.), {}, GREY, GREY))]
    found = quality_record(results)
    assert list(found['scenes']) == ['a', 'b']
    assert (found['kept'], found['scenes']['a']['kept'], found['scenes']['b']['kept']) == (.5, 1., .25)
    assert (found['labels'], found['scenes']['b']['labels']) == (3, 2)


def test_the_record_of_nothing_is_a_record():
    found = quality_record([])
    assert found['labels'] == 0 and found['kept'] == 0 and found['color_residual'] is None and found['scenes'] == {}


def test_adding_tallies_leaves_them_as_they_were():
    one = tally_label(label(), speed_stats(label()), GREY, GREY)
    before = one.speed_pixels.copy()
    both = one + one + LabelTally()
    assert (both.labels == 2 and both.weight == 72 and np.array_equal(one.speed_pixels, before)
            and math.isclose(both.speed_pixels.sum(), 72))
