"""Masks and joints that a known flow carries along a video."""
from __future__ import annotations

import json

import pytest
import torch
from mmengine.model import BaseModel
from mmengine.runner import Runner
from small_runs import in_two_processes

from mmrefine.engine import judge
from mmrefine.engine.judging.clip_scores import carry_clip
from mmrefine.errors import ConfigError
from mmrefine.structures import ClipSample

SIZE = (24, 40)
METRICS = [dict(type='MaskMetric'), dict(type='KeypointMetric', rule='mask')]


class Shift:
    """A network that knows how the brightness of the frames, their number, makes them move:
    ``step`` px right a frame.
    """

    accepts_flow_init = False

    def __init__(self, step=2.):
        self.step = step

    def estimate(self, frames1, frames2, flow_init=None):
        later = torch.round(255 * (frames2 - frames1)).mean(dim=(1, 2, 3))
        flow = torch.zeros(len(later), 2, *frames1.shape[-2:])
        flow[:, 0] = self.step * later.view(-1, 1, 1)
        return [flow]


def clip(name='a', frames=5, step=2, objects=True):
    """Two squares and a joint on each, all moving ``step`` px right a frame;
    the first joint is clicked from frame 1 on.
    """
    masks = torch.zeros(frames, *SIZE, dtype=torch.uint8)
    points = torch.zeros(frames, 2, 2)
    for t in range(frames):
        masks[t, 4:10, 4 + step * t:10 + step * t] = 1
        masks[t, 14:20, 8 + step * t:14 + step * t] = 2
        points[t] = torch.tensor([[6. + step * t, 6.], [10. + step * t, 16.]])
    visible = torch.ones(frames, 2, dtype=torch.bool)
    visible[0] = False
    inputs = torch.arange(frames, dtype=torch.uint8).view(-1, 1, 1, 1).expand(frames, 3, *SIZE)
    fields = dict(masks=masks, points=points, visible=visible) if objects else dict(points=points, visible=visible)
    return dict(inputs=inputs, data_samples=ClipSample(metainfo=dict(scene=name), **fields))


def test_what_moves_as_the_flow_says_is_found_again():
    item = clip()
    carry_clip(Shift(), item['inputs'], item['data_samples'])
    sample = item['data_samples']
    assert torch.equal(sample.pred_masks, sample.masks)
    assert torch.equal(sample.pred_points[1:], sample.points[1:]) and sample.pred_points[0].isnan().all()


def test_a_flow_that_stands_still_leaves_all_where_it_was():
    item = clip()
    carry_clip(Shift(0.), item['inputs'], item['data_samples'])
    sample = item['data_samples']
    assert torch.equal(sample.pred_masks, sample.masks[:1].expand_as(sample.masks))
    assert torch.equal(sample.pred_points[4], sample.points[1])


def test_a_mask_stays_soft_on_its_way():
    """0.4 px a frame: thresholding in between would never move it."""
    item = clip(frames=6, step=0)
    carry_clip(Shift(0.4), item['inputs'], item['data_samples'])
    columns = item['data_samples'].pred_masks[5, 6].nonzero()[:, 0]
    assert columns.float().mean() == pytest.approx(6.5 + 2, abs=0.51)


def test_the_void_of_the_first_mask_is_no_object():
    item = clip()
    item['data_samples'].masks[0, 0, :3] = 255
    carry_clip(Shift(), item['inputs'], item['data_samples'])
    assert item['data_samples'].pred_masks.unique().tolist() == [0, 1, 2]


def test_a_video_without_objects_has_empty_predictions_and_one_without_masks_none():
    item = clip()
    item['data_samples'].masks.zero_()
    carry_clip(Shift(), item['inputs'], item['data_samples'])
    assert not item['data_samples'].pred_masks.any()
    item = clip(objects=False)
    carry_clip(Shift(), item['inputs'], item['data_samples'])
    assert 'pred_masks' not in item['data_samples'] and 'pred_points' in item['data_samples']


def test_the_scores_of_a_perfect_flow_are_perfect():
    data = [clip('a'), clip('b', frames=4)]
    scores = judge(Shift(), data, metrics=METRICS).scores()
    assert scores['J&F'] == scores['PCK@0.2'] == scores['scene/b/J_mean'] == 1 and scores['videos'] == 2
    worse = judge(Shift(0.), data, metrics=METRICS).scores()
    assert worse['J_mean'] < 0.6 and worse['J_decay'] > 0.2 and worse['PCK@0.2'] < 0.2


def test_two_processes_give_the_scores_of_one(tmp_path):

    def scores():
        return judge(Shift(1.), [clip('a'), clip('b', frames=7, step=1), clip('c', frames=4)], metrics=METRICS).scores()

    assert in_two_processes(lambda rank: (tmp_path / f'{rank}.json').write_text(json.dumps(scores()))) == [0, 0]
    assert all(json.loads((tmp_path / f'{rank}.json').read_text()) == scores() for rank in range(2))


class Carrier(BaseModel):
    """Carries along what each video has, as a network that predicts videos would."""

    def forward(self, inputs, data_samples=None, mode='predict'):
        for frames, sample in zip(inputs, data_samples):
            carry_clip(Shift(1.), frames, sample)
        return data_samples


def test_mmengines_val_loop_gives_what_judge_gives_to_the_bit(tmp_path):
    data = [clip('a'), clip('b', frames=7, step=1), clip('c', frames=4)]
    loader = dict(batch_size=2, num_workers=0, sampler=dict(type='DefaultSampler', shuffle=False), dataset=data)
    runner = Runner(Carrier(), str(tmp_path), val_dataloader=loader, val_cfg=dict(), default_scope='mmrefine',
                    val_evaluator=[dict(type='MaskMetric', prefix='m'), dict(type='KeypointMetric', prefix='k')],
                    default_hooks=dict(checkpoint=None), experiment_name=tmp_path.name)
    found, wanted = runner.val(), judge(Shift(1.), [clip('a'), clip('b', frames=7, step=1), clip('c', frames=4)])
    assert {name.partition('/')[2]: value for name, value in found.items()} == wanted.scores()
    assert wanted.headline.name == 'J&F' and 0 < wanted.scores()['J&F'] < 1


def test_videos_without_truth_are_counted_and_carry_nothing():
    data = [dict(clip(), data_samples=ClipSample(metainfo=dict(scene='a')))]
    judged = judge(Shift(), data)
    assert judged.scores() == dict(videos=1) and judged.headline is None and judged.figures == []


def test_what_cannot_be_judged_is_refused():
    with pytest.raises(ConfigError, match='list gives neither FlowSamples, TrackSamples nor ClipSamples'):
        judge(Shift(), [dict(inputs=torch.zeros(1))])
    with pytest.raises(ConfigError,
                       match='metrics must be FlowMetric, .* or another TallyMetric, got DumpResults'):
        judge(Shift(), [clip()], metrics=[dict(type='mmengine.DumpResults', out_file_path='x.pkl')])
