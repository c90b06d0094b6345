"""The configs of the benchmarks of tracks: they score, they refine, and their windows find the true points."""
from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from small_trees import ROOT, status_of
from track_trees import badja_tree, crohd_tree, horse_tree, tapvid_file

from mmrefine.config.load import fill_in, load_config
from mmrefine.datasets import TapVidClips
from mmrefine.engine import judge
from mmrefine.fileio import read_tracks
from mmrefine.fileio.annotations.interest_points import read_interest_points
from mmrefine.fileio.atomic import save_checkpoint
from mmrefine.models import TrackRefiner

SMALL = dict(feat_channels=16, mixer_channels=16, mixer_depth=1, encoder_channels=(8, 8, 16, 16))
OPTIONS = [f'model.estimator.{key}={value}'.replace(' ', '') for key, value in SMALL.items()]
OPTIONS += ['model.test_iters=1', 'model.train_iters=1', 'frame_size=(64,96)']


@pytest.fixture(scope='module')
def weights(tmp_path_factory):
    torch.manual_seed(0)
    network = TrackRefiner(dict(type='mmrefine.PIPs', **SMALL)).estimator
    with torch.no_grad():
        network.mixer.leave.weight.mul_(0.02)
    path = tmp_path_factory.mktemp('weights') / 'pips.pth'
    save_checkpoint(path, dict(state_dict=network.state_dict(), meta={}))
    return path


def config(name):
    return ROOT / f'configs/pips/pips_{name}.py'


def scores_of(name, weights, out, *options):
    argv = [config(name), weights, '--out', out / 'scores.json', '--device', 'cpu', '--cfg-options', *OPTIONS, *options]
    assert status_of('test', *argv) == 0
    return json.loads((out / 'scores.json').read_text())['groups']


def test_both_columns_of_crohd_are_scored(weights, tmp_path):
    groups = scores_of('crohd', weights, tmp_path, f'data_root={crohd_tree(tmp_path)}')
    assert set(groups) == {'refined', 'occluded'}
    seen, hidden = groups['refined'], groups['occluded']
    assert seen['clips'] == 2 and hidden['clips'] == 1
    assert seen['ATE'] == pytest.approx(seen['ATE_vis']) and 'ATE_occ' not in seen
    assert hidden['ATE'] == pytest.approx(hidden['ATE_occ']) and 'ATE_vis' not in hidden


def test_horses_are_scored_by_joint(weights, tmp_path):
    found = scores_of('horse30', weights, tmp_path, f'data_root={horse_tree(tmp_path)}')['refined']
    assert found['clips'] == 2 and found['ATE'] > 0 and 'scene/Brownie/ATE' in found


@pytest.mark.parametrize('mode', ['first', 'strided'])
def test_tap_vid_is_scored_by_its_own_scores_in_both_modes(weights, tmp_path, mode, capsys):
    path = tapvid_file(tmp_path)
    found = scores_of('tapvid_davis', weights, tmp_path, f'data_root={path}', f'query_mode={mode}')['refined']
    assert found['videos'] == 2 and {'delta_avg', 'AJ', 'OA', 'scene/goat/AJ'} <= set(found)
    assert found['delta_avg'] == pytest.approx(np.mean([found[f'scene/{name}/delta_avg'] for name in ('cows', 'goat')]))
    assert f'{found["delta_avg"]:.1f}' in capsys.readouterr().out


def test_badja_is_scored_by_the_share_of_joints_that_are_right(weights, tmp_path):
    where = badja_tree(tmp_path)
    found = scores_of('badja', weights, tmp_path, f'davis_root={where}', f'badja_root={where / "joints"}')['badja']
    assert found['videos'] == 1 and found['PCK@0.2'] in (0, 1)  # one joint is seen twice


def test_a_video_of_tap_vid_is_refined_and_reported_by_its_scores(weights, tmp_path):
    argv = [config('tapvid_davis'), '--work-dir', tmp_path / 'run', '--cfg-options', *OPTIONS, 'scene=goat',
            'max_iters=2', f'data_root={tapvid_file(tmp_path)}', f'load_from={weights}', 'crop_size=(48,64)',
            'tracks=8', 'stride=1', 'num_workers=0', 'labeler.queries.count=32', 'labeler.queries.border=2',
            'labeler.filters.0.threshold=30.', 'default_hooks.logger.interval=1']
    assert status_of('train', *argv) == 0
    report = json.loads((tmp_path / 'run/report.json').read_text())
    group = report['groups']['refined']
    assert set(group['before']) >= {'delta_avg', 'AJ', 'OA'} and report['guard']['reason'].startswith('held_out is 0')
    labels = [read_tracks(path) for path in (tmp_path / 'run/labels').rglob('*.npz')]
    assert len(labels) == 2 and {tuple(one.size) for one in labels} == {(64, 96)}
    assert group['videos'] == 1 and not (tmp_path / 'run/goat').exists()


def test_the_windows_of_the_paper_lie_around_the_heads_of_the_frames_that_are_labelled(weights, tmp_path, capsys):
    where, table = crohd_tree(tmp_path), tmp_path / 'heads.csv'
    options = ['--cfg-options', *OPTIONS, f'data_root={where}']
    assert status_of('points_of_interest', config('crohd_paper'), table, *options) == 0
    assert f'{table}: 16 points' in capsys.readouterr().out
    # 64x96 px of 60x90; the head begins at (10, 40)
    begins = [[10.5 * 96 / 90 - .5, 40.5 * 64 / 60 - .5]]
    np.testing.assert_allclose(read_interest_points(table).of('HT21-01', 24), begins, atol=0.01)
    more = [f'load_from={weights}', f'points={table}', 'labeler.queries.side=3', 'labeler.filters.0.threshold=30.']
    assert status_of('make_labels', config('crohd_paper'), '--work-dir', tmp_path / 'run', *options, *more) == 0
    found = {path.parent.name + '/' + path.stem: read_tracks(path) for path in (tmp_path / 'run/labels').rglob('*.npz')}
    starts = {name: sorted(map(tuple, tracks.queries[:, [2, 1]].tolist())) for name, tracks in found.items()}
    second = next(points for name, points in starts.items() if '000025__000046' in name)
    # 3x3 px around (10.7, 42.7)
    assert second and set(second) <= {(x, y) for x in (10., 11., 12.) for y in (42., 43., 44.)} and len(starts) == 3
    assert status_of('points_of_interest', config('crohd'), table, '--group', 'none', *options) == 1
    assert "has no group 'none', but refined, occluded" in capsys.readouterr().err


@pytest.mark.parametrize('name, steps, updates', [('crohd', 5000, 825), ('horse30', 6000, 950)])
def test_the_schedule_is_that_of_refine(name, steps, updates):
    cfg = fill_in(load_config(config(name)))
    assert cfg.train_cfg.max_iters == steps and cfg.train_dataloader.batch_size == 1
    assert cfg.optim_wrapper.accumulative_counts == 8 and cfg.train_pipeline[-2].count == 128
    assert cfg.optim_wrapper.optimizer.to_dict() == dict(type='AdamW', lr=1e-5, weight_decay=1e-4, eps=1e-8)
    assert cfg.optim_wrapper.clip_grad.max_norm == 5. and cfg.param_scheduler.T_max == 8 * updates


def test_a_tracker_is_judged_by_default_errors_where_a_config_names_no_metrics(weights, tmp_path):
    torch.manual_seed(0)
    model = TrackRefiner(dict(type='mmrefine.PIPs', **SMALL), test_iters=1).eval()
    scores = judge(model, TapVidClips(tapvid_file(tmp_path), 'strided')).scores()
    assert scores['clips'] == 2 and scores['ATE'] > 0
