"""Flow as a tracker: exact flow gives the exact tracks of a rendered world, and says where they are hidden."""
from __future__ import annotations

import numpy as np
import pytest
import torch
from small_runs import small_model

from mmrefine.datasets import FrameClips
from mmrefine.datasets.transforms import LoadTrackTruth, PackClip
from mmrefine.engine import judge
from mmrefine.errors import InputError, TeacherError
from mmrefine.models import ChainedFlow, FrozenTeacher, FrozenTracker
from mmrefine.models.refiners import chained
from mmrefine.models.teachers.tracker import freeze
from mmrefine.models.trackers.flow_chain import chain_flow
from mmrefine.models.trackers.ways import queries_of
from mmrefine.structures import Look, TrackEstimator
from mmrefine.synthetic import exact_tracks, render_clip, write_clips

SIZE, FRAMES = (64, 96), 6


@pytest.fixture(scope='module')
def network():
    torch.manual_seed(0)
    model = small_model()
    return ChainedFlow(**{key: value for key, value in model.items() if key not in ('type', 'losses')}).eval()


def test_exact_flow_follows_the_exact_tracks_for_as_long_as_they_are_seen():
    clip = render_clip(5, FRAMES, SIZE, 'target')
    flows = [Look(torch.from_numpy(there)[None], torch.from_numpy(back)[None])
             for there, back in zip(clip.flow_fw, clip.flow_bw)]
    rng = np.random.default_rng(0)
    queries = np.column_stack([rng.integers(0, 3, 150), rng.integers(4, 60, 150), rng.integers(4, 92, 150)])
    found = chain_flow(lambda s, t: flows[s], FRAMES, SIZE, torch.from_numpy(queries).float())
    truth, seen = exact_tracks(5, queries, FRAMES, SIZE, 'target')
    for number, begin in enumerate(queries[:, 0]):
        assert bool(found.points[number, :begin].isnan().all()) and not found.visible[number, :begin].any()
        assert found.points[number, begin].tolist() == queries[number, :0:-1].tolist()
        assert np.all(np.diff(found.visible[number, begin:].numpy()) <= 0)  # lost once is lost
    both = (found.visible.numpy() > 0) & seen
    error = np.linalg.norm(found.points.numpy() - truth, axis=-1)
    # flow is bilinear between pixels, so at the edge of an object a point may go with what is beside it
    assert np.quantile(error[both], 0.95) < 0.3 and both.sum() > 0.5 * seen.sum()
    begun = np.arange(FRAMES) > queries[:, :1]
    assert (found.visible.numpy() > 0)[begun & ~seen].mean() < 0.2


def test_what_leaves_the_frame_is_not_seen_and_flow_that_is_not_finite_is_refused():
    right = torch.tensor([6., 0.]).view(1, 2, 1, 1).expand(1, 2, *SIZE)
    found = chain_flow(lambda s, t: Look(right, -right), 4, SIZE, torch.tensor([[0., 10., 84.], [1., 10., 20.]]))
    assert found.visible.tolist() == [[1, 1, 0, 0], [0, 1, 1, 1]]
    assert found.points[1, 1:, 0].tolist() == [20, 26, 32]
    with pytest.raises(TeacherError, match='between the frames 0 and 1 is not finite'):
        chain_flow(lambda s, t: Look(right * float('nan'), right), 4, SIZE, torch.tensor([[0., 10., 20.]]))
    with pytest.raises(InputError, match='query 0'):
        chain_flow(lambda s, t: Look(right, -right), 4, SIZE, torch.tensor([[0., 10., 200.]]))


def test_there_and_back_estimates_each_step_once(network, monkeypatch):
    frames = torch.rand(FRAMES, 3, *SIZE, generator=torch.Generator().manual_seed(1))
    points = torch.tensor([[10.5, 20.25], [80., 40.]])
    alone = network.track(frames, queries_of(points, SIZE))
    calls, estimate = [], network.estimate_both
    monkeypatch.setattr(network, 'estimate_both', lambda *args: calls.append(args) or estimate(*args))
    there, back, seen = network.track_both(frames, points)
    assert len(calls) == FRAMES - 1
    assert torch.equal(there, alone.points) and torch.equal(seen, alone.visible)
    reverse = network.track(frames.flip(0), queries_of(there[:, -1], SIZE))
    assert torch.allclose(back, reverse.points.flip(1), atol=1e-3)
    calls.clear()
    monkeypatch.setattr(chained, 'KEPT_STEPS', 2)
    assert all(map(torch.equal, network.track_both(frames, points), (there, back, seen)))
    assert len(calls) == FRAMES - 1 + FRAMES - 3


def test_it_is_a_tracker_by_config_and_a_teacher_of_trackers(network, tmp_path):
    assert isinstance(network, TrackEstimator)
    frozen = freeze(network)
    assert isinstance(frozen, FrozenTracker) and not isinstance(frozen, FrozenTeacher)
    assert frozen.describe()['chained'] and frozen.peak_bytes(SIZE) == 0
    write_clips(tmp_path, (1, ), 8, SIZE, tracks=20)
    data = FrameClips(tmp_path / 'frames', truth_root=tmp_path / 'tracks', pipeline=[LoadTrackTruth(), PackClip()])
    found = judge(network, data)
    assert found.headline.name == 'ATE' and found.scores()['ATE'] > 0 and found.counts == dict(clips=1)
    item = data[0]
    sample = network(item['inputs'][None].float() / 255, [item['data_samples']], mode='predict')[0]
    assert sample.pred_points.shape == sample.points.shape
