"""Tracks from queries anywhere in a clip, in both directions in time."""
from __future__ import annotations

import pytest
import torch

from mmrefine.errors import InputError
from mmrefine.models.trackers.ways import predict_sample, track_both_ways
from mmrefine.structures import Tracks, TrackSample, check_queries

SIZE, FRAMES = (40, 60), 6
SPEED = torch.tensor([1.5, -0.5])  # px a frame


class Conveyor:
    """Moves everything by ``SPEED`` in the order of time, which the frames tell: the grey level of frame t is t."""

    def __init__(self):
        self.calls = []

    def track(self, frames, queries):
        queries = check_queries(queries, len(frames), SIZE)
        times = frames[:, 0, 0, 0].round()
        self.calls.append(times.tolist())
        begins = queries[:, 0].long()
        away = times[None] - times[begins][:, None]
        points = queries[:, None, [2, 1]] + away[..., None] * SPEED
        begun = torch.arange(len(frames)) >= queries[:, :1]
        points[~begun] = float('nan')
        return Tracks(points, 0.5 * begun + 0.01 * away.abs() * begun, queries, SIZE)


def clip():
    return torch.arange(float(FRAMES))[:, None, None, None].expand(-1, 3, *SIZE)


QUERIES = torch.tensor([[0., 20., 30.], [3., 10., 25.], [5., 30., 40.]])
TRUTH = QUERIES[:, None, [2, 1]] + (torch.arange(FRAMES)[None, :, None] - QUERIES[:, :1, None]) * SPEED


def test_every_frame_before_and_after_the_query_is_known():
    model = Conveyor()
    found = track_both_ways(model, clip(), QUERIES)
    assert torch.allclose(found.points, TRUTH) and torch.equal(found.queries, QUERIES)
    away = (torch.arange(FRAMES)[None] - QUERIES[:, :1]).abs()
    assert torch.allclose(found.visible, 0.5 + 0.01 * away)
    assert model.calls == [[0, 1, 2, 3, 4, 5], [5, 4, 3, 2, 1, 0]]


def test_nothing_is_followed_backwards_that_begins_in_the_first_frame():
    model = Conveyor()
    track_both_ways(model, clip(), QUERIES[:1])
    assert len(model.calls) == 1


def test_a_sample_says_where_its_points_begin_and_whether_they_go_back():
    points = TRUTH.clone()
    for fields, known in ((dict(queries=QUERIES), torch.arange(FRAMES) >= QUERIES[:, :1]),
                          (dict(queries=QUERIES, metainfo=dict(query_mode='first')),
                           torch.arange(FRAMES) >= QUERIES[:, :1]),
                          (dict(queries=QUERIES, metainfo=dict(query_mode='strided')), torch.ones(3, FRAMES) > 0),
                          ({}, torch.ones(3, FRAMES) > 0)):
        sample = TrackSample(points=points, **fields)
        predict_sample(Conveyor(), clip(), sample)
        assert torch.equal(sample.pred_points.isfinite().all(dim=-1), known)
        assert torch.allclose(sample.pred_points[known], TRUTH[known])


@pytest.mark.parametrize('query, story', [((6., 1., 1.), 'query 1 is at frame 6'), ((2., 41., 1.), 'y 41'),
                                          ((2., 1., float('nan')), 'x nan'), ((1.5, 1., 1.), 'frame 1.5')])
def test_a_query_outside_the_clip_is_named(query, story):
    sample = TrackSample(points=TRUTH[:2], queries=torch.tensor([[0., 1., 1.], query]))
    with pytest.raises(InputError, match=story):
        predict_sample(Conveyor(), clip(), sample)
