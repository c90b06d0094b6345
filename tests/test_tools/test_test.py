"""tools/test.py: the scores of the benchmarks, of what is carried along, and the files for leaderboards."""
from __future__ import annotations

import json
import shutil
import time
import zipfile

import numpy as np
import pytest
import torch
from jhmdb_trees import jhmdb_tree
from small_trees import ROOT, SINTEL_SCENES, SIZE, status_of

from mmrefine.apis import inference_flow, init_model
from mmrefine.config.load import load_config
from mmrefine.datasets import DavisClips
from mmrefine.engine.runtime.progress import Progress
from mmrefine.evaluation import jaccard
from mmrefine.fileio import read_flow, read_image, save_checkpoint, write_flow, write_image
from mmrefine.models import CorrFlowEncoder, propagate_clip

RAFT_SINTEL, RAFT_KITTI = (ROOT / f'configs/refine/raft_{name}.py' for name in ('sintel', 'kitti2015'))


@pytest.fixture
def told_often(monkeypatch):
    # a line each time, not every few seconds
    monkeypatch.setattr(Progress.__init__, '__defaults__', (print, -1., time.monotonic))


def options(data_root, weights):
    return ['--device', 'cpu', '--cfg-options', f'data_root={data_root}', f'load_from={weights["raft"]}',
            'model.test_iters=1']


@pytest.fixture
def sintel(trees, tmp_path):
    """A tree with a test split of one scene, and regions beside the truth."""
    root = tmp_path / 'Sintel'
    shutil.copytree(trees['sintel'], root)
    for part in ('clean', 'final'):
        shutil.copytree(root / 'training' / part / SINTEL_SCENES[0], root / 'test' / part / 'ambush_1')
    mask = np.zeros(SIZE, np.uint8)
    mask[:, :20] = 255
    for scene in SINTEL_SCENES:
        for number in (1, 2):
            write_image(root / f'training/occlusions/{scene}/frame_{number:04d}.png', mask)
    return root


@pytest.fixture
def kitti(trees, tmp_path):
    root = tmp_path / 'kitti2015'
    shutil.copytree(trees['kitti'], root)
    shutil.copytree(root / 'training/image_2', root / 'testing/image_2')
    objects = np.zeros(SIZE, np.uint8)
    objects[:30] = 3
    for scene in ('000000', '000001'):
        flow, _ = read_flow(root / f'training/flow_occ/{scene}_10.png')
        write_flow(root / f'training/flow_noc/{scene}_10.png', flow, np.arange(SIZE[0] * SIZE[1]).reshape(SIZE) % 3 > 0)
        write_image(root / f'training/obj_map/{scene}_10.png', objects)
    return root


def scores_of(config, root, weights, tmp_path):
    out = tmp_path / 'scores.json'
    assert status_of('test', config, weights['raft'], '--out', out, *options(root, weights)) == 0
    return json.loads(out.read_text())['groups']


def test_sintel_is_scored_by_speed_and_by_what_is_matched(sintel, weights, tmp_path, capsys, told_often):
    scores = scores_of(RAFT_SINTEL, sintel, weights, tmp_path)['refined']
    assert {'AAE', 'WAUC', '1px_out', 'EPE_s0-10', 'EPE_matched', 'EPE_unmatched',
            'scene/alley_1/EPE_matched'} <= set(scores)
    shares = np.array([scores['EPE_matched'], scores['EPE_unmatched']])
    assert min(shares) < scores['EPE'] < max(shares)
    out, err = capsys.readouterr()
    assert err.count('refined: ') == 4 and 'refined: 4/4 pairs, ' in err and 'refined: ' not in out
    lines = out.splitlines()
    assert lines[0] == 'refined, as the benchmarks score' and lines[2].split()[:2] == ['all', f'{scores["EPE"]:.3f}']
    matched = next(line for line in lines if line.startswith('matched'))
    assert matched.split()[1:3] == [f'{scores["EPE_matched"]:.3f}', f'{scores["Fl_matched"]:.3f}']


def test_kitti_is_scored_by_object_and_by_what_is_not_occluded(kitti, weights, tmp_path):
    scores = scores_of(RAFT_KITTI, kitti, weights, tmp_path)['refined']
    assert {'Fl', 'Fl_bg', 'Fl_fg', 'Fl_noc', 'Fl_noc_bg', 'Fl_noc_fg'} <= set(scores)
    # 30 of 64 rows are foreground, all pixels have truth
    assert scores['EPE'] == pytest.approx((30 * scores['EPE_fg'] + 34 * scores['EPE_bg']) / 64)


def flows_in(path):
    """name -> flow and valid, as any reader of the format gives them."""
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        archive.extractall(path.parent / 'unpacked')
        return {name: read_flow(path.parent / 'unpacked' / name) for name in archive.namelist()}


def wanted_flow(config, weights, frames):
    model = init_model(load_config(config, {'model.test_iters': 1}), weights['raft'])
    return inference_flow(model, *(read_image(frame) for frame in frames))


def test_the_zip_for_sintel_has_its_layout_and_the_networks_flows(sintel, weights, tmp_path, capsys, told_often):
    argv = [RAFT_SINTEL, weights['raft'], '--format-only', 'sintel', '--out', tmp_path / 'board',
            *options(sintel, weights)]
    assert status_of('test', *argv) == 0
    path = tmp_path / 'board/sintel.zip'
    out, err = capsys.readouterr()
    assert out.rstrip() == f'{path}: 4 flows; the leaderboard expects 1104'
    assert 'clean: 1/2 pairs, ' in err and 'final: 2/2 pairs, ' in err
    found = flows_in(path)
    assert list(found) == [f'{part}/ambush_1/frame_{number:04d}.flo' for part in ('clean', 'final')
                           for number in (1, 2)]
    frames = [sintel / f'test/final/ambush_1/frame_{number:04d}.png' for number in (2, 3)]
    flow, valid = found['final/ambush_1/frame_0002.flo']
    assert valid.all()
    np.testing.assert_array_equal(flow, wanted_flow(RAFT_SINTEL, weights, frames))


def test_the_zip_for_kitti_has_its_layout_and_a_flow_everywhere(kitti, weights, tmp_path, capsys):
    argv = [RAFT_KITTI, weights['raft'], '--format-only', 'kitti', '--work-dir', tmp_path / 'board',
            *options(kitti, weights)]
    assert status_of('test', *argv) == 0
    path = tmp_path / 'board/kitti.zip'
    assert capsys.readouterr().out.rstrip() == f'{path}: 2 flows; the leaderboard expects 200'
    found = flows_in(path)
    assert list(found) == ['flow/000000_10.png', 'flow/000001_10.png']
    flow, valid = found['flow/000001_10.png']
    assert valid.all()
    wanted = wanted_flow(RAFT_KITTI, weights, [kitti / f'testing/image_2/000001_{number}.png' for number in (10, 11)])
    assert np.abs(flow - wanted.clip(-511, 511)).max() <= 1 / 128  # half a step of the format


def test_a_config_of_another_benchmark_is_refused(sintel, weights, tmp_path, capsys):
    argv = [RAFT_SINTEL, weights['raft'], '--format-only', 'kitti', '--out', tmp_path / 'board',
            *options(sintel, weights)]
    assert status_of('test', *argv) == 1
    assert ('raft_sintel.py: has no KittiPairs, whose data_root would be the folder of kitti'
            in capsys.readouterr().err)
    assert not (tmp_path / 'board').exists()


def test_a_missing_test_set_is_named(trees, weights, tmp_path, capsys):
    argv = [RAFT_SINTEL, weights['raft'], '--format-only', 'sintel', '--out', tmp_path / 'board',
            *options(trees['sintel'], weights)]
    assert status_of('test', *argv) == 1
    assert f'{trees["sintel"] / "test"}: there is no such folder' in capsys.readouterr().err


@pytest.fixture
def davis(trees, tmp_path):
    """Two videos with masks that stay in their place."""
    root = tmp_path / 'DAVIS'
    for name in ('bear', 'camel'):
        shutil.copytree(trees['sintel'] / 'training/final/alley_1', root / 'JPEGImages/480p' / name)
        mask = np.zeros(SIZE, np.uint8)
        mask[20:40, 30:60] = 255
        for number in (1, 2, 3):
            write_image(root / f'Annotations/480p/{name}/frame_{number:04d}.png', mask)
    (root / 'ImageSets/2017').mkdir(parents=True)
    (root / 'ImageSets/2017/val.txt').write_text('bear\ncamel\n')
    return root


@pytest.fixture(scope='module')
def features(tmp_path_factory):
    """Weights of CorrFlow's encoder."""
    path = tmp_path_factory.mktemp('features') / 'corrflow.pth'
    torch.manual_seed(3)
    save_checkpoint(path, dict(state_dict=CorrFlowEncoder().state_dict(), meta={}))
    return path


def test_masks_go_along_the_videos_of_a_config_of_features(davis, features, tmp_path, capsys):
    out = tmp_path / 'scores.json'
    assert status_of('test', ROOT / 'configs/corrflow/resnet18_davis2017_test.py', features, '--device', 'cpu', '--out',
                     out, '--cfg-options', f'davis_root={davis}') == 0
    scores = json.loads(out.read_text())['groups']['davis']
    assert scores['videos'] == 2 and scores['J_mean'] == pytest.approx(
        (scores['scene/bear/J_mean'] + scores['scene/camel/J_mean']) / 2)
    propagator = init_model(ROOT / 'configs/corrflow/resnet18_davis2017_test.py', features, 'cpu').propagator()
    item = DavisClips(davis, ['bear'])[0]
    propagate_clip(propagator, item['inputs'], item['data_samples'])
    first, *_ = (mask.numpy() for mask in item['data_samples'].pred_masks[1:])
    assert scores['scene/bear/J_mean'] == pytest.approx(jaccard(first > 0, item['data_samples'].masks[1].numpy() > 0))


def test_joints_go_along_the_videos_of_a_config_of_features(mat_files, features, tmp_path):
    jhmdb_tree(tmp_path / 'JHMDB')
    assert status_of('test', ROOT / 'configs/corrflow/resnet18_jhmdb_test.py', features, '--device', 'cpu', '--out',
                     tmp_path / 'scores.json', '--cfg-options', f'jhmdb_root={tmp_path / "JHMDB"}') == 0
    scores = json.loads((tmp_path / 'scores.json').read_text())['groups']['jhmdb']
    assert scores['videos'] == 1 and 0 <= scores['PCK@0.1_joints'] <= scores['PCK@0.5_joints'] <= 1


def test_masks_are_carried_along_the_videos_of_a_config(davis, weights, tmp_path, capsys, told_often):
    config = tmp_path / 'carried.py'
    bases = [f'{ROOT}/configs/_base_/{name}.py'
             for name in ('models/raft_small', 'default_runtime', 'datasets/davis_clips')]
    config.write_text(f'_base_ = {bases}\ndavis_root = {str(davis)!r}\nmodel = dict(test_iters=1)\n')
    out = tmp_path / 'scores.json'
    assert status_of('test', config, weights['small'], '--device', 'cpu', '--out', out) == 0
    scores = json.loads(out.read_text())['groups']['davis']
    assert 0 < scores['J_mean'] < 1 and scores['J_mean'] == scores['scene/bear/J_mean'] and scores['videos'] == 2
    out, err = capsys.readouterr()
    assert 'video 1 of 2, bear: carried 1/2 frames, ' in err and 'video 2 of 2, camel: carried 2/2 frames, ' in err
    lines = out.splitlines()
    assert lines[0] == 'davis (2 videos)' and lines[1].split()[:3] == ['scene', 'J', 'mean']


def test_joints_are_carried_along_the_videos_of_a_config(mat_files, weights, tmp_path):
    jhmdb_tree(tmp_path / 'JHMDB')
    config = tmp_path / 'carried.py'
    bases = [f'{ROOT}/configs/_base_/{name}.py'
             for name in ('models/raft_small', 'default_runtime', 'datasets/jhmdb_clips')]
    config.write_text(f'_base_ = {bases}\njhmdb_root = {str(tmp_path / "JHMDB")!r}\nmodel = dict(test_iters=1)\n')
    assert status_of('test', config, weights['small'], '--device', 'cpu', '--out', tmp_path / 'scores.json') == 0
    scores = json.loads((tmp_path / 'scores.json').read_text())['groups']['jhmdb']
    assert scores['videos'] == 1 and 0 < scores['PCK@0.5_joints'] <= 1 and 0 < scores['scene/catch/a/PCK_max@0.5'] <= 1


def test_scores_that_cannot_be_written_are_said_in_a_line(sintel, weights, tmp_path, capsys):
    argv = [RAFT_SINTEL, weights['raft'], '--out', tmp_path, *options(sintel, weights)]
    assert status_of('test', *argv) == 1
    out, err = capsys.readouterr()
    assert 'EPE' in out and f'error: {tmp_path}: cannot be written' in err
