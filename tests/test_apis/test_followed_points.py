"""``mmrefine refine --points``: a tracker learns from labels around the points that it is to follow."""
from __future__ import annotations

import shutil

import numpy as np
import pytest
import torch
from helpers_cli import DEMO_WEIGHTS, error_of
from small_trees import ROOT

from mmrefine.apis import refine
from mmrefine.apis.followed_points import FollowedPoints
from mmrefine.apis.video_run import prepare_run
from mmrefine.errors import ConfigError, InputError
from mmrefine.fileio import read_tracks
from mmrefine.fileio.atomic import save_checkpoint
from mmrefine.models import TrackRefiner
from mmrefine.registry import QUERIES
from mmrefine.synthetic import write_clips

SMALL = dict(feat_channels=16, mixer_channels=16, mixer_depth=1, encoder_channels=(8, 8, 16, 16))
VALUES = {
    **{f'model.estimator.{key}': value for key, value in SMALL.items()}, 'max_iters': 2, 'num_workers': 0,
    'labeler.filters': [], 'labeler.queries.count': 64,
    'model.train_iters': 1, 'model.test_iters': 1, 'custom_hooks.1.general': 1, 'tracks': 8,
    'stride': (1, ), 'spacing': 2}
CONFIG = ROOT / 'configs/pips/pips_video.py'
SIZE, SIDE = (96, 128), 2  # px; a window has a fortieth of the height


@pytest.fixture(scope='module')
def place(tmp_path_factory):
    """A rendered video ``clip``, a tiny tracker ``start.pth``, and two points in its first frame, ``points.csv``."""
    root = tmp_path_factory.mktemp('points')
    write_clips(root, (5, ), 30, SIZE)
    (root / 'frames' / 'target_0005').rename(root / 'clip')
    torch.manual_seed(0)
    network = TrackRefiner(dict(type='mmrefine.PIPs', **SMALL)).estimator
    with torch.no_grad():
        network.mixer.leave.weight.mul_(0.02)
    save_checkpoint(root / 'start.pth', dict(state_dict=network.state_dict(), meta={}))
    (root / 'points.csv').write_text('frame,x,y\n0,40,30\n0,90.5,60\n')
    return root


def refined(place, out, points='points.csv', **more):
    return refine(place / 'clip', CONFIG, out, place / 'start.pth', points=place / points, resume=True,
                  **{**VALUES, **more})


def test_labels_begin_around_the_places_to_which_the_original_network_follows_the_points(place, tmp_path, capsys):
    refined(place, tmp_path / 'out')
    told = capsys.readouterr().out
    assert (f'labels also begin in windows of {SIDE}x{SIDE} px, around 2 points: up to 8 more tracks in each clip'
            in told)
    followed = read_tracks(tmp_path / 'out' / 'points' / 'tracks.npz')
    assert followed.points.shape == (2, 30, 2) and torch.allclose(followed.points[1, 0], torch.tensor([90.5, 60.]))
    labels = sorted((tmp_path / 'out' / 'labels').rglob('*.npz'))
    assert len(labels) >= 4
    for path in labels:
        begin = int(path.stem[len('frame_'):][:4]) - 1  # of the clip: frame_0001__frame_0008@1
        queries = read_tracks(path).queries
        near = torch.cdist(queries[:, [2, 1]], followed.points[:, begin]).amin(dim=1) < SIDE * 2**0.5
        assert int(near.sum()) >= 2 * SIDE**2 and int((~near).sum()) > 20  # beside the corners of the config

    # the record names the table by its contents: the finished run may be moved
    (tmp_path / 'out').rename(tmp_path / 'moved')
    capsys.readouterr()
    refined(place, tmp_path / 'moved')
    assert 'this run is finished already' in capsys.readouterr().out
    (place / 'others.csv').write_text('frame,x,y\n0,10,10\n')
    with pytest.raises(ConfigError, match='moved: holds a run of other settings .labeler.queries.sources.1.points was'):
        refined(place, tmp_path / 'moved', 'others.csv')


def planned(place, out, points, **more):
    plan = FollowedPoints(place / points)
    return plan, prepare_run(place / 'clip', CONFIG, out, place / 'start.pth', VALUES, resume=True, points=plan,
                             **more)[0]


def test_many_points_have_small_windows_and_the_forecast_counts_those_of_points_that_begin_in_any_frame(
        place, tmp_path, capsys):
    rng = np.random.default_rng(0)
    frames = rng.integers(30, size=900)
    rows = [f'{frame},{rng.uniform(5, 120):.1f},{rng.uniform(5, 90):.1f}' for frame in frames]
    (place / 'many.csv').write_text('\n'.join(['frame,x,y', *rows]) + '\n')
    _, cfg = planned(place, tmp_path / 'out', 'many.csv', dry_run=True)
    assert 'in windows of 1x1 px, around 900 points: up to 900 more tracks' in capsys.readouterr().out
    plain, counted = cfg.labeler.queries.sources
    assert plain.type == 'TextureQueries' and not (tmp_path / 'out').exists()
    grid = QUERIES.build(dict(counted)).points(torch.zeros(3, *SIZE), 'clip', 0)
    assert len(grid) == pytest.approx((30 - frames).mean() * 900 / 30, rel=0.2)


def test_a_newer_version_goes_on_and_other_points_are_refused_with_the_folder_to_delete(place, tmp_path, monkeypatch):
    (place / 'others.csv').write_text('frame,x,y\n0,10,10\n')
    out = tmp_path / 'out'
    plan, cfg = planned(place, out, 'points.csv')
    plan.follow(cfg, dry_run=False)
    with monkeypatch.context() as patch:
        patch.setattr('mmrefine.__version__', '99')
        patch.setattr('mmrefine.apis.tracks._Follower.__call__', None)  # nothing is followed again
        plan, cfg = planned(place, out, 'points.csv')
        assert plan.follow(cfg, dry_run=False).labeler.queries.sources[1].points == str(out / 'points/points.csv')
    plan, cfg = planned(place, out, 'others.csv')
    with pytest.raises(ConfigError, match='out: holds tracks that were made with other settings .points was 2 .*; '
                                          'choose another --out, or delete that folder'):
        plan.follow(cfg, dry_run=False)
    shutil.rmtree(out)
    plan, cfg = planned(place, out, 'others.csv')
    plan.follow(cfg, dry_run=False)


def test_points_at_the_edge_have_windows_and_the_scene_that_needs_the_smallest_decides_for_all(place, tmp_path, capsys):
    (tmp_path / 'video').mkdir()
    for name in ('a', 'b'):
        shutil.copytree(place / 'clip', tmp_path / 'video' / name)
    rows = [*(f'b,0,{x},{y}' for x in range(40) for y in range(38)), 'a,0,-0.5,-0.4', 'a,0,127.5,95.5', 'a,29,5,5']
    (place / 'edge.csv').write_text('\n'.join(['scene,frame,x,y', *rows]) + '\n')
    plan = FollowedPoints(place / 'edge.csv')
    cfg, _ = prepare_run(tmp_path / 'video', CONFIG, tmp_path / 'out', place / 'start.pth', VALUES, points=plan)
    assert 'windows of 1x1 px, as b needs them, around 1523 points: up to 1520 more' in capsys.readouterr().out
    windows = QUERIES.build(dict(plan.follow(cfg, dry_run=False).labeler.queries.sources[1]))
    assert windows.points(torch.zeros(3, *SIZE), 'a', 0).tolist() == [[0., 0.], [127., 95.]]


def test_a_dry_run_writes_nothing_reads_the_frames_once_and_forecasts_tracks_and_labels(place, tmp_path, capsys):
    refined(place, tmp_path / 'out', dry_run=True)
    told = capsys.readouterr().out
    assert not (tmp_path / 'out').exists() and told.count('clip: 30 frames of 128 x 96') == 1
    assert 'forecast: about' in told and 'for 2 tracks through 30 frames (from small frames)' in told


def test_a_run_that_cannot_be_made_is_refused_before_points_are_followed(place, tmp_path, capsys):
    with pytest.raises(ConfigError, match='set held_out=0, which leaves the guard out'):
        refined(place, tmp_path / 'out', reading=dict(max_frames=14))
    assert not (tmp_path / 'out').exists()
    with pytest.raises(ConfigError, match='its data sets read no scene of .*clip, in which --points names'):
        refined(place, tmp_path / 'out', **{'label_data.scenes': [], 'train_dataloader.dataset.scenes': []})


def test_points_that_cannot_be_used_are_refused(place, tmp_path, capsys):
    (place / 'outside.csv').write_text('frame,x,y\n3,400,10\n')
    with pytest.raises(InputError, match=r'outside.csv: line 2: x 400, y 10 lies outside of the frames'):
        refined(place, tmp_path / 'out', 'outside.csv')
    told = error_of(capsys, 'refine', place / 'clip', '--model', 'demo', '--checkpoint', DEMO_WEIGHTS, '--out',
                    tmp_path / 'flow', '--points', place / 'points.csv')
    assert 'refines no tracker, and --points names points to follow' in told and not (tmp_path / 'flow').exists()
    told = error_of(capsys, 'refine', place / 'clip', '--model', 'corrflow', '--points', place / 'points.csv')
    assert 'refines no tracker' in told
