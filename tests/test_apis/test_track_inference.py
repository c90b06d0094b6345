"""Tracks and track labels from Python: whatever the frames come as, and where everything is known to go."""
from __future__ import annotations

import numpy as np
import pytest
import torch
from exact_tracks import FRAMES, SIZE, ExactTracker, render, translations
from helpers_cli import rendered

from mmrefine.apis import init_model, label_clip, open_tracker, track_video
from mmrefine.config.load import load_config
from mmrefine.errors import ConfigError, InputError
from mmrefine.fileio import read_image
from mmrefine.geometry import query_grid
from mmrefine.models import ChainedFlow, TrackRefiner

TINY = {f'model.estimator.{key}': value for key, value in dict(
    feat_channels=16, mixer_channels=16, mixer_depth=1, encoder_channels=(8, 8, 16, 16)).items()}


@pytest.fixture(scope='module')
def model():
    torch.manual_seed(0)
    return init_model(load_config('configs/pips/pips_demo.py', {**TINY, 'model.test_iters': 1}), device='cpu')


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    return rendered(tmp_path_factory.mktemp('clip'), 9, (64, 96))


def test_a_folder_its_pictures_and_their_arrays_give_the_same_tracks(model, folder):
    assert isinstance(model, TrackRefiner)
    files = sorted(folder.iterdir())
    arrays = [read_image(file) for file in files]
    queries = [[0, 20., 30.], [3, 40., 50.5]]
    found = [track_video(model, frames, queries) for frames in (folder, str(folder), files, arrays, np.stack(arrays))]
    frames = torch.from_numpy(np.stack(arrays)).permute(0, 3, 1, 2).float() / 255
    wanted = model.track(frames, torch.tensor(queries))
    for one in found:
        torch.testing.assert_close(one.points, wanted.points, equal_nan=True, rtol=0, atol=0)
        assert torch.equal(one.visible, wanted.visible) and one.size == (64, 96)
    assert bool(wanted.points[1, :3].isnan().all()) and wanted.points[1, 3].tolist() == [50.5, 40.]


def test_without_queries_a_grid_of_the_first_frame_is_followed(model, folder):
    files = sorted(folder.iterdir())[:2]
    found = track_video(model, files)
    step = 8  # 500 points in 64x96 px would be 3.5 px apart, and those of a grid are at least 8
    assert torch.equal(found.points[:, 0], query_grid((64, 96), step, step // 2)) and len(found.points) > 70


def test_chained_flow_goes_where_the_flow_leads(monkeypatch):
    model = open_tracker('demo', device='cpu')
    assert isinstance(model, ChainedFlow) and not model.training and model.test_iters == 8
    there = torch.tensor([-2., 3.]).view(1, 2, 1, 1).expand(1, 2, 48, 64)
    monkeypatch.setattr(model, 'estimate_both', lambda one, two: (there, -there))
    found = track_video(model, 4 * [np.zeros((48, 64, 3), np.uint8)], [[0, 30., 40.], [1, 25., 1.]])
    assert found.points[0].tolist() == [[40., 30.], [38., 33.], [36., 36.], [34., 39.]]
    assert found.points[1, 1:].tolist() == [[1., 25.], [-1., 28.], [-3., 31.]]
    assert found.visible.tolist() == [[1., 1., 1., 1.], [0., 1., 0., 0.]]  # the second one leaves the frame


def test_with_a_threshold_points_have_an_error_and_are_seen_up_to_it(model, folder):
    files, queries = sorted(folder.iterdir()), [[0, 20., 30.], [3, 40., 50.5], [0, 50., 80.]]
    plain, found = track_video(model, files, queries), track_video(model, files, queries, max_error=1e6)
    torch.testing.assert_close(found.points, plain.points, equal_nan=True, rtol=0, atol=0)
    assert torch.equal(found.visible, plain.visible) and plain.error is None
    begun = plain.points.isfinite().all(dim=2)
    assert torch.equal(found.error.isfinite(), begun) and float(found.error[0, 8]) > 0
    most = float(found.error[begun].median())
    less = track_video(model, files, queries, max_error=most)
    assert torch.equal(less.visible, plain.visible * (found.error <= most)) and torch.equal(
        less.error.nan_to_num(-1), found.error.nan_to_num(-1))
    assert 0 < (less.visible > 0).sum() < (plain.visible > 0).sum()
    for wrong in (0, -1, float('nan'), 'wide'):
        with pytest.raises(ConfigError, match='--max-error must be'):
            track_video(model, files, queries, max_error=wrong)

    class Plain:
        """A tracker that knows no errors."""

        def track_stream(self, frame, count, size, queries):
            raise AssertionError('must not be asked')

    with pytest.raises(ConfigError, match='--max-error: Plain cannot say how far its points may be off; leave it out'):
        track_video(Plain(), files, queries, max_error=1.)


def test_a_judge_has_single_steps_to_judge_where_errors_are_asked_for():
    chained = open_tracker('demo', device='cpu', judge='verifier', max_error=2.)
    assert chained.describe()['view']['type'] == 'ArbitratedView' and not chained.steps.chooses
    assert open_tracker('demo', device='cpu', judge='round-trip', max_error=2.).describe() == open_tracker(
        'demo', device='cpu').describe()
    with pytest.raises(ConfigError, match='judge decides among several steps'):
        open_tracker('demo', device='cpu', judge='verifier')
    with pytest.raises(ConfigError, match=r'--max-error must be .* got -2'):
        open_tracker('demo', device='cpu', max_error=-2.)


def test_the_label_of_a_clip_is_where_its_corners_go():
    maps = translations()
    frames = [np.round(255 * frame.permute(1, 2, 0).numpy()).astype(np.uint8) for frame in render(maps)]
    label = label_clip(ExactTracker(maps), frames)
    assert len(label.points) > 5 and label.points.shape[1] == FRAMES and label.size == SIZE
    moved = label.points[:, :1] + torch.tensor([[1.5, -0.75]]) * torch.arange(FRAMES)[:, None]
    torch.testing.assert_close(label.points, moved, atol=1e-3, rtol=0)
    inside = (label.points >= 0) & (label.points <= torch.tensor([SIZE[1] - 1., SIZE[0] - 1.]))
    assert bool(inside.all()) and bool((label.visible == 1).all())

    def never_back(scale, there, back, visible):
        back[:, 0] += 4

    assert not len(label_clip(ExactTracker(maps, fault=never_back), frames).points)


@pytest.mark.parametrize('frames, queries, sentence', [
    ([np.zeros((64, 96, 3), np.uint8)], None, 'frames must be a list of at least 2 frames, got 1 of them'),
    (7, None, 'frames must be a list of at least 2 frames, got int'),
    ([np.zeros((64, 96, 3), np.uint8), np.zeros((64, 80, 3), np.uint8)], [[0, 1, 1]],
     r'frames\[1\] and frames\[0\] must have one size, got \(64, 80\) and \(64, 96\)'),
    (2 * [np.zeros((64, 96), np.uint8)], None, r'frames\[0\] must be the path of a picture or an array \(H, W, 3\)'),
    (2 * [np.zeros((64, 96, 3), np.uint8)], [[0, 1]], r'queries must be \(N, 3\)'),
    (2 * [np.zeros((64, 96, 3), np.uint8)], [[0, 1, 1], [0, 1]], r'queries must be \(N, 3\)'),
    (2 * [np.zeros((64, 96, 3), np.uint8)], [[0, 64, 1]], 'query 0 is at frame 0, y 64, x 1'),
])
def test_what_cannot_be_followed_is_one_sentence(model, frames, queries, sentence):
    with pytest.raises(InputError, match=sentence):
        track_video(model, frames, queries)


def test_what_follows_no_points_and_labelers_of_flow_are_refused(model):
    frames = 2 * [np.zeros((64, 96, 3), np.uint8)]
    flow = init_model('configs/demo/raft_small_video.py', device='cpu')
    for call in (track_video, label_clip):
        with pytest.raises(ConfigError, match=f'{call.__name__}: FlowRefiner follows no points; .* open_tracker'):
            call(flow, frames)
    with pytest.raises(ConfigError, match='must be a TrackLabeler or its config, got FlowLabeler'):
        label_clip(model, frames, dict(type='FlowLabeler', view=dict(type='CascadeView', scales=(1., ))))
