"""The whole way of a tracker by its config: labels, training, guard and report of a video without truth."""
from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from mmrefine.apis import refine
from mmrefine.apis.run_forecast import forecast_run
from mmrefine.apis.video_run import prepare_run
from mmrefine.cli import main
from mmrefine.compat.pips_checkpoints import convert_pips_checkpoint
from mmrefine.fileio import read_tracks, write_tracks
from mmrefine.fileio.atomic import save_checkpoint
from mmrefine.models import FrozenTracker, TrackRefiner
from mmrefine.structures import Tracks
from mmrefine.synthetic import exact_tracks, write_clips

SMALL = dict(feat_channels=16, mixer_channels=16, mixer_depth=1, encoder_channels=(8, 8, 16, 16))
VALUES = {
    **{f'model.estimator.{key}': value for key, value in SMALL.items()}, 'max_iters': 2, 'num_workers': 0,
    'labeler.filters.0.threshold': 30., 'labeler.queries.count': 64, 'model.train_iters': 1, 'model.test_iters': 1,
    'custom_hooks.1.general': 1, 'tracks': 16, 'stride': (1, ), 'spacing': 2}


@pytest.fixture(scope='module')
def video(tmp_path_factory):
    root = tmp_path_factory.mktemp('video')
    write_clips(root, (5, ), 44, (64, 96))
    torch.manual_seed(0)
    network = TrackRefiner(dict(type='mmrefine.PIPs', **SMALL)).estimator
    with torch.no_grad():
        network.mixer.leave.weight.mul_(0.02)
    save_checkpoint(root / 'start.pth', dict(state_dict=network.state_dict(), meta={}))
    # as the authors keep it
    torch.save(convert_pips_checkpoint(dict(state_dict=network.state_dict()), 'official'), root / 'official.pth')
    return root


def test_a_video_refines_a_tracker(video, tmp_path, capsys):
    report = refine(str(video / 'frames'), 'configs/pips/pips_video.py', tmp_path, video / 'official.pth', **VALUES)
    told = capsys.readouterr().out
    assert 'clips to label' in told and 'forecast: about' in told
    assert report['guard']['verdict'] in ('teacher', 'student', 'unproven')
    assert report['guard']['score']['sample'] == 'clip' and report['guard']['held_out']['pairs'] >= 6
    assert set(report['guard']['witnesses']['before']) == {'cycle', 'color', 'warp', 'motion', 'confirmed'}
    assert report['groups']['refined']['clips'] == 5 and 'cycle_median' in report['groups']['refined']['before']
    page = (tmp_path / 'report.html').read_text(encoding='utf-8')
    assert 'return within 1.5 px' in page and 'error on known motion' in page
    shown, changes = report['labels']['clips'], report['groups']['refined']['changes']
    assert shown and all(set(one['dropped']) == {'TrackCycleFilter', 'TrackInsideFilter'} for one in shown)
    assert all(one['queries'] - one['kept'] <= sum(one['dropped'].values()) for one in shown)
    singles = [one for side in ('best', 'worst') for one in changes.get(side, ())]
    drawn = [one['path'] for one in [*shown, *report['pictures']]] + [one['tracks_after'] for one in singles]
    assert len(report['pictures']) == 4 and all((tmp_path / path).is_file() for path in drawn)
    assert sum(path.stat().st_size for path in (tmp_path / 'pictures').rglob('*')) < 5e6 and 'wheel' not in changes
    labels = [read_tracks(path) for path in (tmp_path / 'labels').rglob('*.npz')]
    assert labels and all(one.points.shape[1] == 8 and np.isfinite(one.points.numpy()).all() for one in labels)
    assert json.loads((tmp_path / 'run.json').read_text())['finished']
    values = [f'{key}={value}'.replace(' ', '') for key, value in VALUES.items()]
    with pytest.raises(SystemExit) as stop:
        main(['refine', str(video / 'frames'), '--model', 'pips', '--checkpoint', str(video / 'official.pth'), '--out',
              str(tmp_path), '--set', *values])
    told = capsys.readouterr().out
    assert not stop.value.code and 'this run is finished already' in told and report['guard']['reason'] in told
    assert told.splitlines()[-1] == (f'its tracks: mmrefine track {video / "frames"} --model pips --checkpoint '
                                     f'{tmp_path / "refined.pth"}')


def test_tracks_made_elsewhere_refine_a_tracker(video, tmp_path):
    y, x = (part.ravel() for part in np.mgrid[4:64:6, 4:96:6])
    parts = []
    for first in range(0, 40, 4):
        queries = np.stack([np.full_like(x, first), y, x], axis=1).astype(np.float32)
        points, visible = exact_tracks(5, queries, 44, (64, 96), 'target')
        points[:, :first], visible[:, :first] = np.nan, False
        parts.append((points, visible, queries))
    tracks = Tracks(*(torch.from_numpy(np.concatenate(part)) for part in zip(*parts)), (64, 96))
    for way in ('there', 'back'):
        write_tracks(tmp_path / way / 'target_0005.npz', tracks)
    values = {key: value for key, value in VALUES.items() if not key.startswith('labeler')}
    teacher = dict(type='StoredTracks', there=str(tmp_path / 'there'), back=str(tmp_path / 'back'))
    report = refine(str(video / 'frames'), 'configs/pips/pips_video.py', tmp_path / 'run', video / 'start.pth', **{
        **values, 'labeler.view': None, 'labeler.queries': None, 'custom_hooks.0.teacher': teacher})
    assert report['guard']['verdict'] in ('teacher', 'student', 'unproven')
    labels = [read_tracks(path) for path in (tmp_path / 'run/labels').rglob('*.npz')]
    assert len(labels) > 5 and sum(len(one.points) for one in labels) > 500
    assert all(one.points.shape[1] == 8 and np.isfinite(one.points.numpy()).all() for one in labels)


def test_what_wants_flow_refuses_a_tracker_in_one_sentence(video, capsys, tmp_path):
    weights = str(video / 'start.pth')
    for command in (['flow', str(video / 'frames'), '--checkpoint', weights], ['export', weights, '--to', 'mmflow']):
        with pytest.raises(SystemExit) as stop:
            main([*command, '--model', 'pips', '--out', str(tmp_path / 'out')])
        told = capsys.readouterr().err
        assert stop.value.code == 1 and 'follows points' in told and 'Traceback' not in told


def test_a_tracker_has_a_forecast_and_a_frozen_copy_says_what_it_is(video, tmp_path):
    cfg, _ = prepare_run(str(video / 'frames'), 'configs/pips/pips_video.py', tmp_path, video / 'start.pth', VALUES,
                         dry_run=True)
    found = forecast_run(cfg)
    assert set(found.seconds) == {'labels', 'training', 'guard', 'report'} and min(found.seconds.values()) > 0
    assert not list(tmp_path.iterdir())
    model = TrackRefiner(dict(type='mmrefine.PIPs', **SMALL), test_iters=3, chunk=64)
    frozen = FrozenTracker(model)
    assert frozen.describe() == dict(network='PIPs', stride=4, window=8, iters=3)
    assert frozen.digest() == FrozenTracker(model).digest() and not frozen.train().training
    # a window of the features of four scales, and of what 64 points look up in them at a time
    features = 4 / 3 * 16 * (64 // 4) * (96 // 4)
    assert frozen.peak_bytes((64, 96)) == int(4 * 8 * (features + 64 * 8**2 * 16))
    assert FrozenTracker(model, 'bfloat16').describe()['dtype'] == 'bfloat16'
