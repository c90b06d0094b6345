"""``mmrefine refine --points``: a tracker learns from labels around the points that it is to follow."""
from __future__ import annotations

import numpy as np
import pytest
import torch
from helpers_cli import DEMO_WEIGHTS, error_of
from small_trees import ROOT

from mmrefine.apis import refine
from mmrefine.apis.video_run import prepare_run
from mmrefine.errors import ConfigError, InputError
from mmrefine.fileio import read_tracks
from mmrefine.fileio.atomic import save_checkpoint
from mmrefine.models import TrackRefiner
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
    assert f'labels also begin in windows of {SIDE}x{SIDE} px around 2 point(s)' in capsys.readouterr().out
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
    with pytest.raises(ConfigError, match='holds tracks that were made with other settings'):
        refined(place, tmp_path / 'moved', 'others.csv')


def test_many_points_have_small_windows_and_points_may_begin_in_any_frame(place, tmp_path, capsys):
    rng = np.random.default_rng(0)
    rows = [f'{rng.integers(30)},{rng.uniform(5, 120):.1f},{rng.uniform(5, 90):.1f}' for _ in range(900)]
    (place / 'many.csv').write_text('\n'.join(['frame,x,y', *rows]) + '\n')
    prepare_run(place / 'clip', CONFIG, tmp_path, place / 'start.pth', VALUES, points=place / 'many.csv')
    assert 'in windows of 1x1 px around 900 point(s)' in capsys.readouterr().out


def test_a_dry_run_writes_nothing(place, tmp_path, capsys):
    refined(place, tmp_path / 'out', dry_run=True)
    assert not (tmp_path / 'out').exists()


def test_points_that_cannot_be_used_are_refused(place, tmp_path, capsys):
    (place / 'outside.csv').write_text('frame,x,y\n3,400,10\n')
    with pytest.raises(InputError, match=r'outside.csv: line 2: x 400, y 10 lies outside of the frames'):
        refined(place, tmp_path / 'out', 'outside.csv')
    told = error_of(capsys, 'refine', place / 'clip', '--model', 'demo', '--checkpoint', DEMO_WEIGHTS, '--out',
                    tmp_path / 'flow', '--points', place / 'points.csv')
    assert 'refines no tracker, and --points names points to follow' in told and not (tmp_path / 'flow').exists()
    told = error_of(capsys, 'refine', place / 'clip', '--model', 'corrflow', '--points', place / 'points.csv')
    assert 'refines no tracker' in told
