"""Trackers along frames that are asked for one by one: the same tracks, and no more frames in memory than needed."""
from __future__ import annotations

import gc
import weakref

import pytest
import torch
from small_runs import small_model

from mmrefine.models import ChainedFlow, TrackRefiner
from mmrefine.models.trackers.pips_chain import _rounded_up
from mmrefine.structures import StreamTracker, TrackEstimator

SIZE = (64, 96)
COUNT = 14
SMALL = dict(type='mmrefine.PIPs', feat_channels=16, mixer_channels=16, mixer_depth=1, encoder_channels=(8, 8, 16, 16))
QUERIES = torch.tensor([[0., 20., 30.], [5., 40., 50.], [13., 10., 10.]])


def pips():
    torch.manual_seed(0)
    model = TrackRefiner(SMALL, test_iters=1).eval()
    with torch.no_grad():
        model.estimator.mixer.leave.weight.mul_(0.02)
    return model


def chained():
    torch.manual_seed(0)
    model = {key: value for key, value in small_model().items() if key in ('estimator', 'train_iters')}
    return ChainedFlow(**model, test_iters=1).eval()


@pytest.mark.parametrize('build, most', [(pips, 8), (chained, 2)])
def test_a_stream_gives_the_tracks_of_the_clip_and_keeps_few_frames(build, most, monkeypatch):
    model = build()
    assert isinstance(model, StreamTracker) and isinstance(model, TrackEstimator)
    video = torch.rand(COUNT, 3, *SIZE, generator=torch.Generator().manual_seed(1))
    whole = model.track(video, QUERIES)
    asked, kept, alive = [], [], []

    def keep(tensor):
        kept.append(weakref.ref(tensor))
        return tensor

    def frame(number):
        asked.append(number)
        gc.collect()
        alive.append(sum(ref() is not None for ref in kept))
        return keep(video[number].clone())

    if build is pips:  # what stays of a frame are its features
        encode = model.estimator.encode
        monkeypatch.setattr(model.estimator, 'encode', lambda one: keep(encode(one)))
    found = model.track_stream(frame, COUNT, SIZE, QUERIES)
    torch.testing.assert_close(found.points, whole.points, equal_nan=True, rtol=0, atol=0)
    assert torch.equal(found.visible, whole.visible) and asked == list(range(COUNT))
    assert max(alive) <= most


def test_windows_that_go_on_have_few_numbers_of_points():
    padded = [_rounded_up(torch.arange(count)) for count in range(1, 513)]
    for count, found in enumerate(padded, start=1):
        assert torch.equal(found[:count], torch.arange(count)) and (found[count:] == count - 1).all()
        assert len(found) <= 1.25 * count
    assert len({len(found) for found in padded}) == 32 and max(map(len, padded)) == 512
