"""Metrics of tracks for MMEngine's evaluator."""
from __future__ import annotations

import numpy as np
import pytest
import torch

from mmrefine.errors import ConfigError, MMRefineError
from mmrefine.evaluation import KeypointMetric, TapVidMetric, TrackMetric, tally_tapvid
from mmrefine.structures import TrackSample, draw_queries

SIZE = (128, 256)


def sample(mode, seed=0, **more):
    rng = np.random.default_rng(seed)
    truth, visible = rng.uniform(0, 120, (7, 12, 2)), rng.random((7, 12)) > 0.3
    visible[:, 0] |= ~visible.any(axis=1)
    queries, tracks = draw_queries(truth, visible, mode)
    truth, visible = truth[tracks], visible[tracks]
    found = TrackSample(
        metainfo=dict(key=f'video{seed}', scene=f'video{seed}', size=SIZE, query_mode=mode), points=torch.tensor(truth),
        visible=torch.tensor(visible).float(), weight=torch.tensor(visible).float(), queries=torch.tensor(queries),
        pred_points=torch.tensor(truth + rng.normal(0, 3, truth.shape)),
        pred_visible=torch.tensor(rng.random(visible.shape)))
    for name, value in more.items():
        setattr(found, name, value)
    return found


@pytest.mark.parametrize('mode', ['first', 'strided'])
def test_the_scores_of_tap_vid_are_plain_means_over_videos_in_the_mode_of_the_sample(mode):
    samples, metric = [sample(mode, seed) for seed in range(3)], TapVidMetric()
    metric.process(None, [one.to_dict() for one in samples])
    found = metric.evaluate(size=3)
    each = [tally_tapvid(one.pred_points.numpy(), one.pred_visible.numpy() > 0.5, one.points.numpy(),
                         one.visible.numpy() > 0.5, one.queries.numpy(), SIZE, mode).scores() for one in samples]
    for name in ('delta_avg', 'AJ', 'OA', 'delta_4', 'Jaccard_8'):
        assert found[name] == pytest.approx(np.mean([one[name] for one in each]))
        assert found[f'scene/video1/{name}'] == pytest.approx(each[1][name])
    assert found['videos'] == 3


def test_the_threshold_decides_what_is_said_to_be_visible_and_the_mode_can_be_set():
    one = sample('first')
    one.pred_visible = one.visible * 0.4 + 0.3  # 0.7 where seen, 0.3 where not
    assert TapVidMetric().judge(one).scores()['OA'] == 100
    seen = one.visible.numpy()[np.arange(12) > one.queries.numpy()[:, :1]].mean()
    assert TapVidMetric(threshold=0.2).judge(one).scores()['OA'] == pytest.approx(100 * seen)
    seen = one.visible.numpy()[np.arange(12) != one.queries.numpy()[:, :1]].mean()
    assert TapVidMetric('strided', threshold=0.2).judge(one).scores()['OA'] == pytest.approx(100 * seen)


def test_what_is_missing_or_not_a_number_is_an_error_that_names_the_video():
    one = sample('strided')
    one.pred_points[2, 3] = float('nan')
    with pytest.raises(MMRefineError, match='video video0: 1 of .* predicted positions .* not finite'):
        TapVidMetric().judge(one)
    del one.pred_visible
    with pytest.raises(MMRefineError, match='video video0: there are no pred_visible to judge'):
        TapVidMetric().judge(one)
    assert TapVidMetric().judge(TrackSample()).size == TrackMetric(each_track=True).judge(TrackSample()).size == 0
    with pytest.raises(ConfigError, match='TapVidMetric.query_mode'):
        TapVidMetric('all')
    with pytest.raises(ConfigError, match='TapVidMetric.threshold'):
        TapVidMetric(threshold=2.)


def test_each_track_may_count_as_a_clip_of_its_own():
    truth = torch.zeros(3, 4, 2)
    off = truth + torch.tensor([[3., 4.], [0., 2.], [0., 0.]])[:, None]
    weight = torch.tensor([[1., 1., 1., 1.], [1., 0., 0., 0.], [0., 0., 0., 0.]])
    one = TrackSample(metainfo=dict(key='a', size=SIZE), points=truth, visible=weight, weight=weight, pred_points=off)
    assert TrackMetric().judge(one).scores()['ATE'] == pytest.approx((4 * 5 + 2) / 5)  # over all points
    each = TrackMetric(each_track=True).judge(one)
    assert each.scores()['ATE'] == pytest.approx((5 + 2) / 2) and each.size == 2  # over tracks


def test_the_joints_of_tracks_are_scored_as_those_of_frames():
    rng = np.random.default_rng(0)
    points, seen = rng.uniform(0, 30, (4, 5, 2)), rng.random((4, 5)) > 0.3  # joints, frames
    predicted, masks = points + rng.normal(0, 2, points.shape), rng.integers(0, 2, (5, 20, 20))
    tensors = dict(points=torch.tensor(points), visible=torch.tensor(seen), pred_points=torch.tensor(predicted))
    by_joint = TrackSample(masks=torch.tensor(masks), queries=torch.zeros(4, 3), **tensors)
    by_frame = dict(masks=torch.tensor(masks), **{name: value.transpose(0, 1) for name, value in tensors.items()})
    one, other = KeypointMetric().judge(by_joint), KeypointMetric().judge(by_frame)
    assert one == other and one.size > 3
