"""A tracker that learns: its losses against loops over points, its ways there and back, and that it learns at all."""
from __future__ import annotations

import math
import weakref

import pytest
import torch
import torch.nn.functional as F

from mmrefine.errors import ConfigError
from mmrefine.models import ScoreMapLoss, TrackRefiner, TrackSequenceLoss, VisibilityLoss
from mmrefine.models.trackers.ways import queries_of
from mmrefine.structures import TrackOutputs, TrackSample, TrackTargets

SIZE, FRAMES = (64, 96), 8
NETWORK = dict(type='mmrefine.PIPs', feat_channels=32, mixer_channels=32, mixer_depth=2,
               encoder_channels=(16, 16, 24, 24))
LOSSES = [dict(type='TrackSequenceLoss'), dict(type='ScoreMapLoss'), dict(type='VisibilityLoss')]


def refiner(losses=LOSSES, **more):
    torch.manual_seed(0)
    found = TrackRefiner(NETWORK, losses, train_iters=3, test_iters=3, **more)
    with torch.no_grad():
        found.estimator.mixer.leave.weight.mul_(0.05)
    return found


def targets(batch=2, count=5, seed=0):
    rng = torch.Generator().manual_seed(seed)
    points = torch.rand(batch, count, FRAMES, 2, generator=rng) * torch.tensor([SIZE[1] + 10., SIZE[0] + 10.]) - 5
    visible = (torch.rand(batch, count, FRAMES, generator=rng) > 0.3).float()
    weight = (torch.rand(batch, count, FRAMES, generator=rng) > 0.2).float()
    return TrackTargets(points, visible, weight)


def outputs(batch=2, count=5, stride=4, seed=1):
    rng = torch.Generator().manual_seed(seed)
    points = [torch.rand(batch, count, FRAMES, 2, generator=rng) * 60 for _ in range(3)]
    features = torch.randn(batch, FRAMES, 16, SIZE[0] // stride, SIZE[1] // stride, generator=rng)
    tracks = [torch.randn(batch, FRAMES, count, 16, generator=rng) for _ in range(3)]
    return TrackOutputs(points, torch.randn(batch, count, FRAMES, generator=rng), torch.zeros(batch, FRAMES, 3, *SIZE),
                        tracks, features, stride)


def test_the_sequence_loss_is_the_formula():
    out, label = outputs(), targets()
    total, weight = 0., 0.
    for b in range(2):
        for n in range(5):
            for t in range(FRAMES):
                if not label.weight[b, n, t]:
                    continue
                weight += 1
                for k, points in enumerate(out.points):
                    off = (points[b, n, t] - label.points[b, n, t]).abs().mean()
                    total += 0.8**(2 - k) * float(off) / 3
    assert float(TrackSequenceLoss()(out, label)) == pytest.approx(total / weight, rel=1e-5)


def test_the_score_map_loss_is_that_of_maps_drawn_point_by_point():
    out, label = outputs(), targets()
    height, width = out.features.shape[-2:]
    terms = []
    for tracks in out.track_features:
        near = far = seen = 0.
        for b in range(2):
            for n in range(5):
                for t in range(FRAMES):
                    x, y = (label.points[b, n, t] / out.stride).tolist()
                    inside = 0 <= math.floor(x) and math.floor(x) + 1 < width and 0 <= math.floor(y) < height - 1
                    if not inside or not label.weight[b, n, t] or not label.visible[b, n, t]:
                        continue
                    seen += 1
                    score = torch.einsum('c,chw->hw', tracks[b, t, n], out.features[b, t]) / 4
                    truth = torch.zeros(height, width)
                    truth[math.floor(y):math.floor(y) + 2, math.floor(x):math.floor(x) + 2] = 1
                    cross = F.binary_cross_entropy_with_logits(score, truth, reduction='none')
                    near += float(cross[truth > 0].mean())
                    far += float(cross[truth == 0].mean())
        terms.append((near + far) / seen)
    assert float(ScoreMapLoss()(out, label)) == pytest.approx(sum(terms) / len(terms), rel=1e-4)


def test_the_visibility_loss_gives_seen_and_hidden_points_the_same_say():
    out = outputs()
    label = TrackTargets(torch.zeros(2, 5, FRAMES, 2), torch.ones(2, 5, FRAMES), torch.ones(2, 5, FRAMES))
    label.visible[0, 0] = 0
    still = TrackOutputs(out.points, torch.zeros(2, 5, FRAMES), out.frames)
    assert float(VisibilityLoss(loss_weight=1.)(still, label)) == pytest.approx(2 * math.log(2))
    sure = TrackOutputs(out.points, 20 * (2 * label.visible - 1), out.frames)
    assert float(VisibilityLoss()(sure, label)) == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize('loss', [TrackSequenceLoss(), ScoreMapLoss(), VisibilityLoss()])
def test_tracks_without_weight_have_no_say_whatever_they_hold(loss):
    out, label = outputs(), targets()
    without = TrackTargets(label.points.clone(), label.visible, label.weight.clone())
    without.weight[:, 2] = 0
    before = loss(out, without)
    without.points[:, 2] = float('nan')
    for tensor in (*out.points, out.visibility, *out.track_features):
        tensor.requires_grad_(True)
    after = loss(out, without)
    assert torch.equal(before, after.detach())
    after.backward()
    grads = [tensor.grad for tensor in (out.points[-1], out.visibility) if tensor.grad is not None]
    assert all(bool(grad.isfinite().all()) and not grad[:, 2].any() for grad in grads)
    nothing = TrackTargets(label.points * float('nan'), label.visible, torch.zeros_like(label.weight))
    assert float(loss(outputs(), nothing)) == 0


def test_it_learns_one_clip_by_heart():
    model = refiner().train()
    rng = torch.Generator().manual_seed(3)
    frames = torch.rand(1, 1, 3, *SIZE, generator=rng).expand(-1, FRAMES, -1, -1, -1).clone()
    for t in range(FRAMES):  # everything moves by 2 px a frame
        frames[:, t] = frames[:, 0].roll(2 * t, dims=-1)
    first = torch.rand(12, 1, 2, generator=rng) * torch.tensor([60., 50.]) + 8
    points = first + torch.arange(FRAMES)[:, None] * torch.tensor([2., 0.])
    sample = TrackSample(points=points, visible=torch.ones(12, FRAMES), weight=torch.ones(12, FRAMES))
    optimizer = torch.optim.Adam(model.parameters(), 2e-3)
    errors = []
    for _ in range(25):
        found = model(frames, [sample], mode='loss')
        optimizer.zero_grad()
        sum(value for name, value in found.items() if 'loss' in name).backward()
        optimizer.step()
        errors.append(float(found['error_to_label']))
    assert set(found) == {'loss_track_sequence', 'loss_score_map', 'loss_visibility', 'error_to_label'}
    assert errors[-1] < 0.5 * errors[0]


@pytest.mark.parametrize('count', [FRAMES, 5, 13])
def test_the_way_back_is_that_of_the_clip_backwards_from_where_the_points_end_up(count):
    model = refiner().eval()
    frames = torch.rand(count, 3, *SIZE, generator=torch.Generator().manual_seed(5))
    points = torch.tensor([[10., 12.], [40.5, 33.25], [90., 60.]])
    there, back, seen = model.track_both(frames, points)
    queries = torch.cat([torch.zeros(3, 1), points.flip(1)], dim=1)
    alone = model.track(frames, queries)
    assert torch.equal(there, alone.points) and torch.equal(seen, alone.visible)
    ends = torch.minimum(there[:, -1].clamp(min=0), torch.tensor([SIZE[1] - 1., SIZE[0] - 1.]))
    reverse = model.track(frames.flip(0), torch.cat([torch.zeros(3, 1), ends.flip(1)], dim=1))
    assert torch.allclose(back, reverse.points.flip(1), atol=1e-4) and back.shape == (3, count, 2)


@pytest.mark.parametrize('count, again', [(FRAMES, 0), (21, 21 - FRAMES)])
def test_no_more_features_than_a_window_are_alive_however_long_the_clip(monkeypatch, count, again):
    model = refiner().eval()
    frames = torch.rand(count, 3, *SIZE, generator=torch.Generator().manual_seed(9))
    points = torch.tensor([[10., 12.], [40.5, 33.25], [90., 60.]])
    encode, alive, most, encoded = model.estimator.encode, weakref.WeakSet(), [], []

    def counted(frame):
        features = encode(frame)
        alive.add(features)
        most.append(len(alive))
        encoded.append(int((frames == frame).flatten(1).all(dim=1).nonzero()))
        return features

    features = [encode(frame) for frame in frames]  # the whole clip at once
    wanted = model.chain().follow(features.__getitem__, count, SIZE, queries_of(points, SIZE))
    del features
    monkeypatch.setattr(model.estimator, 'encode', counted)
    assert torch.equal(model.track(frames, queries_of(points, SIZE)).points, wanted.points)
    assert encoded == list(range(count)) and max(most) <= FRAMES
    encoded.clear()
    there, _, seen = model.track_both(frames, points)
    assert torch.equal(there, wanted.points) and torch.equal(seen, wanted.visible)
    assert encoded == list(range(count)) + list(range(again - 1, -1, -1))
    assert max(most) <= FRAMES + 1  # the next one comes before the oldest is let go


def test_chunks_change_nothing_and_predictions_are_tracks():
    points = torch.rand(1, 20, FRAMES, 2, generator=torch.Generator().manual_seed(7)) * 60
    frames = torch.rand(1, FRAMES, 3, *SIZE, generator=torch.Generator().manual_seed(6))
    found = [refiner(chunk=chunk).eval()(frames, [TrackSample(points=points[0])], mode='predict')[0]
             for chunk in (512, 7)]
    assert torch.allclose(found[0].pred_points, found[1].pred_points, atol=1e-3)
    assert torch.equal(found[0].pred_points[:, 0], points[0, :, 0]) and found[0].pred_visible.shape == (20, FRAMES)


def test_what_is_missing_is_named():
    with pytest.raises(ConfigError, match='must be a tracker'):
        TrackRefiner(torch.nn.Conv2d(3, 3, 1))
    with pytest.raises(ConfigError, match='model.losses is empty'):
        refiner(losses=())(torch.zeros(1, FRAMES, 3, *SIZE), [], mode='loss')
    with pytest.raises(ConfigError, match='LoadTracks'):
        refiner()(torch.zeros(1, FRAMES, 3, *SIZE), [TrackSample()], mode='loss')
    samples = [TrackSample(points=torch.zeros(n, FRAMES, 2), visible=torch.zeros(n, FRAMES), weight=torch.zeros(
        n, FRAMES)) for n in (3, 4)]
    with pytest.raises(ConfigError, match='SampleTracks'):
        TrackTargets.of(samples)
    with pytest.raises(ConfigError, match='encoder_channels'):
        TrackRefiner(dict(NETWORK, encoder_channels=(1, 2)))
