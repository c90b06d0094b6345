"""Scores of a network over a data set."""
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from mmengine.structures import BaseDataElement

from mmrefine.engine import judge
from mmrefine.engine.runtime import progress
from mmrefine.errors import ConfigError
from mmrefine.evaluation import TallyMetric
from mmrefine.evaluation.tallies import Sums
from mmrefine.registry import METRICS
from mmrefine.structures import FlowSample
from mmrefine.structures.figures import Figure


class Constant:
    """A network that always sees the same motion, px."""

    accepts_flow_init = False

    def __init__(self, motion=(0., 0.)):
        self.motion, self.batches = motion, []

    def estimate(self, frames1, frames2, flow_init=None):
        self.batches.append(len(frames1))
        flow = torch.tensor(self.motion).view(1, 2, 1, 1)
        return [flow.expand(len(frames1), 2, *frames1.shape[-2:])]


class Pairs:
    """Pairs of noise; ``truths`` holds the true motion along x of each, or None."""

    def __init__(self, truths, sizes=None, scenes=None, loads=True):
        self.truths, self.loads = truths, loads
        self.sizes = sizes or [(6, 8)] * len(truths)
        scenes = scenes or ['one'] * len(truths)
        self.pairs = [dict(truth=None if truth is None else f'{i}.flo', scene=scene, key=f'{scene}/{i}')
                      for i, (truth, scene) in enumerate(zip(truths, scenes))]

    def __len__(self):
        return len(self.pairs)

    def __getitem__(self, i):
        rng = np.random.default_rng(i)
        sample = FlowSample(metainfo=dict(key=self.pairs[i]['key'], scene=self.pairs[i]['scene']))
        if self.truths[i] is not None and self.loads:
            sample.flow = torch.zeros(2, *self.sizes[i])
            sample.flow[0] = self.truths[i]
            sample.weight = torch.ones(1, *self.sizes[i])
        return dict(inputs=torch.from_numpy(rng.integers(0, 256, (2, 3, *self.sizes[i]), dtype=np.uint8)),
                    data_samples=sample)


def test_errors_are_pooled_over_pixels_and_over_scenes():
    # 48 px with an error of 1, 48 of 4, and 24 (half the size) of 10
    data = Pairs([1., 4., 10.], sizes=[(6, 8), (6, 8), (3, 8)], scenes=['a', 'a', 'b'])
    scores = judge(Constant(), data, batch_size=2).scores()
    assert scores['EPE'] == pytest.approx((48 * 1 + 48 * 4 + 24 * 10) / 120)
    assert scores['scene/a/EPE'] == pytest.approx(2.5) and scores['scene/b/EPE'] == pytest.approx(10.)
    assert (scores['pairs'], scores['pairs_without_truth']) == (3, 0)


def test_pairs_without_truth_are_counted_and_not_run_where_others_have_it():
    network = Constant((3., 0.))
    scores = judge(network, Pairs([None, 5., None]), batch_size=2).scores()
    assert scores['EPE'] == pytest.approx(2.) and network.batches == [1]
    assert (scores['pairs'], scores['pairs_without_truth']) == (3, 2)


def test_without_any_truth_the_way_there_and_back_is_judged():
    # 2 px right in both directions: the round trip ends 4 px off, for the 6 of 8 columns that stay in the frame
    network = Constant((2., 0.))
    scores = judge(network, Pairs([None, None, None]), batch_size=2).scores()
    assert scores['cycle_median'] == pytest.approx(4.) and scores['inside'] == pytest.approx(75.)
    assert 'EPE' not in scores and network.batches == [4, 2]  # both ways in one batch
    assert (scores['pairs'], scores['pairs_without_truth']) == (3, 3)


def test_truth_that_the_pipeline_does_not_load_is_no_truth():
    scores = judge(Constant(), Pairs([1., 2.], loads=False)).scores()
    assert 'EPE' not in scores and scores['pairs_without_truth'] == 2


def test_frames_of_two_sizes_in_one_scene_do_not_share_a_batch():
    network = Constant()
    scores = judge(network, Pairs([1., 2., 6.], sizes=[(6, 8), (4, 8), (6, 8)]), batch_size=3).scores()
    assert network.batches == [2, 1] and scores['EPE'] == pytest.approx((48 * 1 + 32 * 2 + 48 * 6) / 128)


def test_without_truth_some_pairs_that_are_spread_evenly_stand_for_all():
    data = Pairs([None] * 10, scenes=['a'] * 6 + ['b'] * 4)
    some = judge(Constant((2., 0.)), data, batch_size=2, at_most=4)
    assert [index for index, _, _ in some.results] == [0, 2, 5, 7]
    scores = some.scores()
    assert (scores['pairs'], scores['pairs_without_truth'], scores['pairs_judged']) == (10, 10, 4)
    whole = judge(Constant((2., 0.)), data, batch_size=2)
    assert repr(judge(Constant((2., 0.)), data, batch_size=2, at_most=10).scores()) == repr(whole.scores())
    assert 'pairs_judged' not in whole.scores()


def test_all_pairs_with_truth_are_judged_however_many():
    scores = judge(Constant(), Pairs([1., 2., None]), at_most=1).scores()
    assert scores['EPE'] == 1.5 and 'pairs_judged' not in scores


def test_judging_tells_how_long_still(monkeypatch):
    now, lines = iter(range(0, 1000, 20)), []
    monkeypatch.setattr(progress.Progress.__init__, '__defaults__', (lines.append, 10., lambda: next(now)))
    judge(Constant(), Pairs([None] * 4), batch_size=2, what='Report: group x, before', log=lines.append)
    assert [line.partition(',')[0] for line in lines] == ['Report: group x'] * 2
    assert '2/4 pairs' in lines[0] and lines[1].endswith('4/4 pairs, 0.10 a second, 0 min 00 s left')


@dataclass(frozen=True)
class Share(Sums):
    """Right answers out of so many."""
    figures = (Figure('share', '%', 'higher', headline=True), )
    right: int = 0
    size: int = 0

    def scores(self):
        return dict(share=100 * self.right / self.size) if self.size else {}


class ShareMetric(TallyMetric):
    """Of samples that know the sign of their only number."""
    sample_name = 'number'

    def tally(self, fields):
        return Share(int(fields['pred_sign'] == fields['sign']), 1) if 'sign' in fields else Share()


class Sign:
    """A network that says the sign of a number as MMEngine's models do."""

    def test_step(self, data):
        for number, sample in zip(data['inputs'], data['data_samples']):
            sample.pred_sign = int(torch.sign(number))
        return data['data_samples']


def test_samples_of_any_other_kind_are_judged_by_metrics_of_their_own():
    METRICS.register_module(module=ShareMetric)
    try:
        numbers = [(3., 1, 'a'), (-2., -1, 'a'), (-5., 1, 'b'), (4., None, 'b')]
        data = [dict(inputs=torch.tensor(number),
                     data_samples=BaseDataElement(metainfo=dict(scene=scene), **(dict(sign=sign) if sign else {})))
                for number, sign, scene in numbers]
        judged = judge(Sign(), data, metrics=[dict(type='ShareMetric')])
        assert judged.scores() == {'share': 200 / 3, 'scene/a/share': 100., 'scene/b/share': 0., 'numbers': 4}
        assert judged.headline.name == 'share' and [index for index, _, _ in judged.results] == [0, 1, 2]
        with pytest.raises(ConfigError, match='list gives neither .* or name metrics of your own'):
            judge(Sign(), data)
    finally:
        METRICS.module_dict.pop('ShareMetric')
