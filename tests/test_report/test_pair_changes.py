"""Which pairs changed, and how sure the whole is."""
import math

import numpy as np
import pytest
import torch

from mmrefine.evaluation import FlowTally, tally_flow
from mmrefine.evaluation.flow.label_free import LabelFreeTally
from mmrefine.report import PairChange, change_interval, changes_record, most_changed, pair_changes
from mmrefine.structures.figures import Figure

EPE, CYCLE = FlowTally.figures[0], LabelFreeTally.figures[0]


def pairs(changes, scenes=None, before=1.):
    scenes = scenes or ['s'] * len(changes)
    return [PairChange(i, scene, before, before + change) for i, (change, scene) in enumerate(zip(changes, scenes))]


def judged(errors, scene='s', size=(2, 3)):
    """Flows that are off by so many px everywhere."""
    return [(i, scene, tally_flow(torch.full((2, *size), 0.) + torch.tensor([error, 0.]).view(2, 1, 1),
                                  torch.zeros(2, *size),
                                  torch.ones(1, *size) > 0)) for i, error in enumerate(errors)]


def test_a_pair_is_compared_with_itself_and_weighs_its_pixels():
    found = pair_changes(judged([1., 2.]), judged([3., .5])[::-1], EPE)
    assert [(one.index, one.before, one.after, one.weight) for one in found] == [(0, 1., 3., 6.), (1, 2., .5, 6.)]
    assert [one.change for one in found] == [2., -1.5]


def test_pairs_without_a_score_on_either_side_are_left_out():
    empty = (7, 's', FlowTally())
    assert pair_changes([*judged([1.]), empty], [*judged([1.]), empty], EPE)[1:] == []
    assert pair_changes(judged([1., 2.]), judged([1.]), EPE)[1:] == []
    nowhere = (0, 's', LabelFreeTally(pairs=1, pixels=6))
    assert pair_changes([nowhere], [nowhere], CYCLE) == []


def test_without_truth_all_pairs_weigh_alike():
    tally = LabelFreeTally(pairs=1, judged=1, pixels=600, inside=300, cycle_medians=.4)
    assert pair_changes([(3, 's', tally)], [(3, 's', tally)], CYCLE) == [PairChange(3, 's', .4, .4, 1.)]


def test_an_interval_of_pairs_that_all_change_by_a_tenth_is_a_tenth():
    changes = [PairChange(i, 's', float(i + 1), .9 * (i + 1), 2.) for i in range(9)]
    assert change_interval(changes, range(9)) == pytest.approx([-10., -10.])


def test_the_interval_is_that_of_the_ratio_of_sums():
    # two clusters: of 2 draws both are the first (1/4), both the second (1/4), or mixed (1/2)
    changes = [PairChange(0, 'a', 1., 2., 3.), PairChange(1, 'b', 1., 1., 1.)]
    assert change_interval(changes, ['a', 'b'], .95) == pytest.approx([0., 100.])
    assert change_interval(changes, ['a', 'b'], .2) == pytest.approx([75., 75.])  # (3 * 2 + 1) / (3 + 1)


def test_clusters_that_are_drawn_together_widen_the_interval():
    rng = np.random.default_rng(0)
    changes = []
    for scene, shift in enumerate(rng.normal(0, .1, 8)):
        changes += [PairChange(10 * scene + i, str(scene), 1., 1. + shift) for i in range(10)]
    alone, together = (change_interval(changes, clusters) for clusters in (range(80), [one.scene for one in changes]))
    assert together[1] - together[0] > 2 * (alone[1] - alone[0])


def test_an_interval_needs_two_clusters_and_something_before():
    assert change_interval(pairs([1.]), ['a']) is None
    assert change_interval(pairs([1., 1.], before=0.), ['a', 'b']) is None


@pytest.mark.parametrize('scenes, drawn_by', [
    (list('abcd'), 'scene'), (list('abca'), 'pair'), (['a'] * 40, 'runs of 5 neighbouring pairs'),
    (['a'] * 500, 'runs of 10 neighbouring pairs')])
def test_pairs_are_drawn_by_scene_or_in_runs(scenes, drawn_by):
    record = changes_record(pairs([.1] * len(scenes), scenes), EPE)
    assert record['drawn_by'] == drawn_by and record['interval_percent'] == pytest.approx([10., 10.])


def test_the_record_counts_better_worse_and_same_and_says_who_decided():
    record = changes_record(pairs([-.1, .2, 0., -.3]), CYCLE)
    assert (record['better'], record['worse'], record['same'], record['pairs']) == (2, 1, 1, 4)
    assert record['decided_by'] == 'label-free score' and record['metric'] == 'cycle_median'
    low, high = record['interval_percent']
    assert low < -5. < high and math.isfinite(low)


def chosen(found):
    return {name: [one.index for one in some] for name, some in found.items()}


def test_the_best_and_the_worst_come_first():
    assert chosen(most_changed(pairs([.1, -.5, .3, -.2, 0., -.1]), 2)) == dict(best=[1, 3], worst=[2, 0])


def test_pairs_of_other_scenes_come_before_more_of_the_same():
    found = most_changed(pairs([-.9, -.8, -.7, -.1, .5, .4, .1], list('aaabccd')), 2)
    assert chosen(found) == dict(best=[0, 3], worst=[4, 6])


def test_no_pair_is_in_both_lists_and_one_that_did_not_change_in_none():
    assert chosen(most_changed(pairs([-.3, -.2, -.1, 0.]), 2)) == dict(best=[0, 1], worst=[2])
    assert chosen(most_changed(pairs([-.3]), 2)) == dict(best=[0], worst=[])
    assert chosen(most_changed(pairs([0., 0.]), 2)) == dict(best=[], worst=[])
    assert chosen(most_changed([], 2)) == dict(best=[], worst=[])


def test_of_a_score_that_is_better_when_higher_the_pair_that_rose_is_the_best():
    overlap = Figure('J&F', '', 'higher', headline=True)
    changes = [PairChange(i, 's', .5, after, 1., overlap.sign) for i, after in enumerate((.7, .4, .5))]
    assert [one.change for one in changes] == pytest.approx([-.2, .1, 0.])
    record = changes_record(changes, overlap)
    assert (record['better'], record['worse'], record['same'], record['metric']) == (1, 1, 1, 'J&F')
    assert chosen(most_changed(changes, 1)) == dict(best=[0], worst=[1])
