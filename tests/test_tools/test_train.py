"""``tools/train.py configs/refine/…`` from the command line to the checkpoint that the stock config loads."""
from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from small_trees import ROOT, SINTEL_SCENES, SIZE, TINY, TINY_VIDEO, status_of, write_video

from mmrefine.apis import inference_flow, init_model
from mmrefine.apis.runs import _runs_of
from mmrefine.compat.checkpoints import load_checkpoint_file
from mmrefine.compat.stock import stock_config_root
from mmrefine.config.load import load_config
from mmrefine.fileio.images import read_image
from mmrefine.fileio.store.label_store import LabelStore
from mmrefine.models import build_estimator
from mmrefine.synthetic import write_clips

RAFT_SINTEL = ROOT / 'configs/refine/raft_sintel.py'
SMALL_VIDEO = ROOT / 'configs/refine/raft_small_video.py'
STOCK = 'raft/raft_8xb2_100k_flyingthings3d-400x720.py'


def sintel_options(trees, weights, *more):
    return ['--cfg-options', *TINY, f'data_root={trees["sintel"]}', f'load_from={weights["raft"]}', f'crop_size={SIZE}',
            *more]


@pytest.fixture(scope='module')
def alley(trees, weights, tmp_path_factory):
    """The work dir of two steps on alley_1."""
    work_dir = tmp_path_factory.mktemp('alley')
    options = sintel_options(trees, weights, 'scene=alley_1', 'max_iters=2')
    assert status_of('train', RAFT_SINTEL, '--work-dir', work_dir, *options) == 0
    return work_dir


def report_of(work_dir):
    return json.loads((work_dir / 'report.json').read_text())


def test_one_scene_is_labelled_trained_on_and_reported(alley):
    report = report_of(alley)
    refined = report['groups']['refined']
    assert list(refined['scenes']) == ['alley_1'] and refined['pairs'] == 2 and refined['before']['EPE'] > 0
    keys = LabelStore.open(alley / 'labels').keys()
    assert keys == sorted([f'alley_1/frame_000{a}__frame_000{b}' for a, b in ((1, 2), (2, 1), (2, 3), (3, 2))])
    assert report['settings']['max_iters'] == 2


def test_options_override_the_config_that_a_recipe_makes(monkeypatch, tmp_path):
    """The batch is the one that is asked for, and not half of it; the second loss is that of the recipe."""
    seen = []
    monkeypatch.setattr('mmrefine.apis.train', seen.append)
    assert status_of('train', SMALL_VIDEO, '--work-dir', tmp_path, '--recipe', 'labels+warp', '--cfg-options',
                     'batch_size=4', 'model.losses.1.loss_weight=7') == 0
    cfg, = seen
    assert cfg.batch_size == 4 and cfg.recipe == 'labels+warp' and cfg.work_dir == str(tmp_path)
    assert [loss.get('loss_weight') for loss in cfg.model.losses] == [None, 7, 100.]


def test_training_without_labels_has_guard_report_and_checkpoint(weights, tmp_path):
    """A folder of frames, and none of stage 1: no labels are asked for, and nothing is said about any."""
    write_clips(tmp_path, range(1), 6, SIZE)
    options = ['--cfg-options', f'video={tmp_path / "frames"}', f'load_from={weights["small"]}', f'crop_size={SIZE}',
               'max_iters=2', 'held_out=0.2', 'num_workers=0', 'model.train_iters=2', 'model.test_iters=2',
               'default_hooks.logger.interval=1', 'custom_hooks.0.pairs=2', 'custom_hooks.0.warps=1',
               'custom_hooks.0.general=0', 'custom_hooks.0.steps=[1.]',
               'custom_hooks.1.pictures=1', 'custom_hooks.1.extremes=0']
    config = ROOT / 'configs/baselines/raft_small_warp_smooth_video.py'
    assert status_of('train', config, '--work-dir', tmp_path / 'run', *options) == 0
    report = report_of(tmp_path / 'run')
    assert report['guard']['verdict'] in ('student', 'teacher', 'unproven')
    assert report['guard']['held_out']['share'] == 0.2
    assert report['labels'] == {} and not (tmp_path / 'run/labels').exists()
    assert report['curves']['loss']['steps'] == [1, 2] and 'epe_to_label' not in report['curves']
    assert (tmp_path / 'run/report.html').is_file()
    lines = [json.loads(line)
             for line in next((tmp_path / 'run').glob('*/vis_data/scalars.json')).read_text().splitlines()]
    for line in (line for line in lines if 'loss' in line):
        assert (line['loss'] == pytest.approx(line['loss_photometric'] + line['loss_smoothness'])
                and 'label_share' not in line)
    before, trained = (load_checkpoint_file(path)
                       for path in (tmp_path / 'run/teacher.pth', tmp_path / 'run/iter_2.pth'))
    moved = [key for key, value in before['state_dict'].items()
             if not torch.equal(value, trained['state_dict'][f'estimator.{key}'])]
    assert len(moved) > 50  # whatever the guard says of it
    refined = load_checkpoint_file(tmp_path / 'run/refined.pth')
    assert refined['meta']['refined'] is (report['guard']['verdict'] == 'student')
    assert refined['state_dict'].keys() == before['state_dict'].keys()


def test_the_refined_checkpoint_is_one_of_the_unmodified_stock_config(alley, trees):
    checkpoint = load_checkpoint_file(alley / 'refined.pth')
    before = load_checkpoint_file(alley / 'teacher.pth')['state_dict']
    assert any(not torch.equal(value, before[key]) for key, value in checkpoint['state_dict'].items())
    stock = build_estimator(Config.fromfile(stock_config_root() / STOCK).model)
    stock.load_state_dict(checkpoint['state_dict'], strict=True)
    # what mmflow itself makes of it, against what the training says its network sees
    frames = [read_image(trees['sintel'] / 'training/final/alley_1' / f'frame_000{i}.png') for i in (1, 2)]
    bgr = [torch.from_numpy(np.ascontiguousarray(frame[..., ::-1])).permute(2, 0, 1) for frame in frames]
    data = stock.data_preprocessor(dict(inputs=[torch.stack(bgr)]))
    stock.decoder.iters = 2
    with torch.no_grad():
        wanted = stock.eval()(data['inputs'], mode='tensor')[-1][0].permute(1, 2, 0).numpy()
    model = init_model(RAFT_SINTEL, alley / 'refined.pth')
    model.test_iters = 2
    np.testing.assert_allclose(inference_flow(model, *frames), wanted, atol=1e-4)
    by_stock_config = init_model(f'mmflow::{STOCK}', alley / 'refined.pth')
    by_stock_config.test_iters = 2
    np.testing.assert_array_equal(inference_flow(by_stock_config, *frames), inference_flow(model, *frames))


def test_each_scene_gets_its_own_model_and_a_line_in_the_table(trees, weights, tmp_path, capsys):
    argv = ['--work-dir', tmp_path, *sintel_options(trees, weights)]  # scene='each' is the config's default
    assert status_of('train', RAFT_SINTEL, *argv) == 0
    table = capsys.readouterr().out.rstrip().splitlines()[-4:]
    assert [line.split('  ')[0] for line in table] == ['scene', *SINTEL_SCENES, 'mean of the changes']
    states = [load_checkpoint_file(tmp_path / scene / 'refined.pth')['state_dict'] for scene in SINTEL_SCENES]
    assert any(not torch.equal(value, states[1][key]) for key, value in states[0].items())
    changes = []
    for scene, line in zip(SINTEL_SCENES, table[1:]):
        group = report_of(tmp_path / scene)['groups']['refined']
        assert list(group['scenes']) == [scene]
        changes.append(group['scenes'][scene]['change_percent']['EPE'])
        assert line.split()[1:] == [f'{group["before"]["EPE"]:.3f}', f'{group["after"]["EPE"]:.3f}',
                                    f'{changes[-1]:+.1f}', '%']
    assert table[-1].split()[-2:] == [f'{sum(changes) / 2:+.1f}', '%']
    # a finished scene is not run again: its files stay as they are
    stamps = [(tmp_path / scene / 'refined.pth').stat().st_mtime_ns for scene in SINTEL_SCENES]
    assert status_of('train', RAFT_SINTEL, '--resume', *argv) == 0
    assert capsys.readouterr().out.rstrip().splitlines()[-4:] == table
    assert [(tmp_path / scene / 'refined.pth').stat().st_mtime_ns for scene in SINTEL_SCENES] == stamps


def test_a_baseline_has_a_model_for_each_scene_that_it_trains_on(trees, weights, tmp_path):
    cfg = load_config(ROOT / 'configs/baselines/raft_warp_smooth.py',
                      dict(data_root=str(trees['sintel']), load_from=weights['raft'], crop_size=SIZE,
                           work_dir=str(tmp_path)))
    runs = list(_runs_of(cfg))
    assert [run.scene for run in runs] == list(SINTEL_SCENES)
    assert [Path(run.work_dir).name for run in runs] == list(SINTEL_SCENES)


def test_all_scenes_share_one_model_whose_labels_make_labels_may_make_before(trees, weights, tmp_path, capsys):
    argv = [RAFT_SINTEL, '--work-dir', tmp_path, *sintel_options(trees, weights, 'scene=all')]
    assert status_of('make_labels', *argv) == 0
    assert capsys.readouterr().out.rstrip().endswith(f'labels: {tmp_path / "labels"}')
    made = {path: path.read_bytes() for path in (tmp_path / 'labels').rglob('*') if path.is_file()}
    assert len([path for path in made if path.suffix == '.png']) == 8 and not (tmp_path / 'refined.pth').exists()
    assert status_of('train', *argv) == 0
    assert list(report_of(tmp_path)['groups']['refined']['scenes']) == list(SINTEL_SCENES)
    assert {path: path.read_bytes() for path in (tmp_path / 'labels').rglob('*') if path.is_file()} == made
    assert status_of('browse_labels', *argv) == 0
    for scene in SINTEL_SCENES:
        # a legend, and two labels of 96x64 px, four pictures each under their names
        sheet = read_image(tmp_path / 'label_sheets' / f'{scene}.png')
        assert sheet.shape == (84 + (30 + 213) + 12 + (30 + 213), 4 * 320 + 3 * 12, 3)


def test_parts_of_the_labels_merge_to_those_of_one_run(trees, weights, tmp_path, capsys):
    def labels_of(name, *more):
        argv = [RAFT_SINTEL, '--work-dir', tmp_path / name, *more, *sintel_options(trees, weights, 'scene=all')]
        assert status_of('make_labels', *argv) == 0
        root = tmp_path / name / 'labels'
        return {path.relative_to(root): path.read_bytes() for path in root.rglob('*') if path.is_file()}

    parts = [tmp_path / name / 'labels' for name in ('1', '2') if labels_of(name, '--part', f'{name}/2')]
    assert not any((root / 'manifest.json').exists() for root in parts)
    assert status_of('label_store', 'merge', tmp_path / 'merged/labels', parts[1]) == 0
    assert capsys.readouterr().out.rstrip().endswith(
        '4 labels, 4 copied now; not complete yet; tools/make_labels.py with this store makes what is missing')
    assert status_of('label_store', 'merge', tmp_path / 'merged/labels', *parts) == 0
    assert capsys.readouterr().out.rstrip().endswith('8 labels, 4 copied now; complete')
    assert status_of('label_store', 'verify', tmp_path / 'merged/labels') == 0
    assert status_of('label_store', 'verify', parts[0]) == 1
    merged = {path.relative_to(tmp_path / 'merged/labels'): path.read_bytes()
              for path in (tmp_path / 'merged/labels').rglob('*') if path.is_file()}
    assert merged == labels_of('merged') == labels_of('whole')
    assert status_of('label_store', 'verify', tmp_path / 'merged/labels') == 0
    assert status_of('make_labels', RAFT_SINTEL, '--part', '3/2') == 2
    assert "it must be K/N with K from 1 to N, such as 1/4, got '3/2'" in capsys.readouterr().err


def test_the_test_tool_gives_the_scores_of_the_report(alley, trees, weights, tmp_path, capsys):
    out = tmp_path / 'scores.json'
    argv = sintel_options(trees, weights, 'scene=alley_1')
    assert status_of('test', RAFT_SINTEL, alley / 'refined.pth', '--device', 'cpu', '--out', out, *argv) == 0
    refined = report_of(alley)['groups']['refined']
    scores = json.loads(out.read_text())['groups']['refined']
    assert scores['EPE'] == pytest.approx(refined['after']['EPE'], abs=1e-6)
    assert scores['scene/alley_1/Fl'] == pytest.approx(refined['scenes']['alley_1']['after']['Fl'], abs=1e-6)
    lines = capsys.readouterr().out.rstrip().splitlines()
    assert lines[-4] == 'refined (2 pairs)' and lines[-3].split()[:3] == ['scene', 'EPE', '[px]']
    assert lines[-1].split()[:2] == ['overall', f'{scores["EPE"]:.3f}']


def test_a_video_smaller_than_the_crop_is_refined_out_of_the_box(weights, tmp_path, capsys):
    """Two videos of different sizes, both smaller than the default crop of 256x512."""
    rng = np.random.default_rng(0)
    for name, size in (('one', (64, 96)), ('two', (80, 72))):
        texture = rng.integers(0, 255, (*size, 3), dtype=np.uint8)
        (tmp_path / 'videos').mkdir(exist_ok=True)
        write_video(tmp_path / 'videos' / f'{name}.avi', [np.roll(texture, shift, axis=1) for shift in range(3)])
    (tmp_path / 'videos' / 'notes.txt').write_text('x')
    options = [option for option in TINY_VIDEO if not option.startswith('batch_size')] + ['batch_size=4']
    status = status_of('train', SMALL_VIDEO, '--work-dir', tmp_path / 'run', '--amp', '--cfg-options', *options,
                       f'video={tmp_path / "videos"}', f'load_from={weights["small"]}')
    assert status == 0
    assert f'left out: {tmp_path}/videos/notes.txt, which is neither a picture' in capsys.readouterr().out
    # the config as it ran: --amp arrived
    assert Config.fromfile(next(
        (tmp_path / 'run').glob('*/vis_data/config.py'))).optim_wrapper.type == 'BFloat16OptimWrapper'
    refined = report_of(tmp_path / 'run')['groups']['refined']
    assert sorted(refined['scenes']) == ['one', 'two'] and refined['pairs_without_truth'] == 4
    assert 'cycle_median' in refined['before'] and 'EPE' not in refined['before']


def moving_texture(path, size=SIZE, frames=4):
    """A video file of a texture that moves 2 px a frame, in the codec of its suffix."""
    texture = cv2.GaussianBlur(np.random.default_rng(0).integers(0, 255, (*size, 3), dtype=np.uint8), (0, 0), 2.)
    codec = {'.avi': 'MJPG', '.mp4': 'mp4v'}[path.suffix]
    path.parent.mkdir(exist_ok=True)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*codec), 10, size[::-1])
    for at in range(frames):
        writer.write(np.roll(texture, 2 * at, axis=1))
    writer.release()
    return path


def test_one_mp4_file_is_refined(weights, tmp_path):
    video = moving_texture(tmp_path / 'my.mp4')
    argv = ['--work-dir', tmp_path / 'run', '--cfg-options', *TINY_VIDEO, 'max_iters=2', f'video={video}',
            f'load_from={weights["small"]}']
    assert status_of('train', SMALL_VIDEO, *argv) == 0
    store = LabelStore.open(tmp_path / 'run/labels')
    assert len(store.keys()) == 6 and {key.split('/')[0] for key in store.keys()} == {'my'}
    assert report_of(tmp_path / 'run')['groups']['refined']['pairs'] == 3
    assert load_checkpoint_file(tmp_path / 'run/refined.pth')['meta']['iter'] == 2


def test_each_video_of_a_folder_gets_its_own_model(weights, tmp_path, capsys):
    for name, size in (('one.mp4', SIZE), ('two.avi', (80, 72))):
        moving_texture(tmp_path / 'videos' / name, size, frames=2)
    argv = ['--work-dir', tmp_path / 'run', '--cfg-options', *TINY_VIDEO, 'scene=each', f'video={tmp_path / "videos"}',
            f'load_from={weights["small"]}']
    assert status_of('train', SMALL_VIDEO, *argv) == 0
    assert [line.split('  ')[0]
            for line in capsys.readouterr().out.rstrip().splitlines()[-4:-1]] == ['scene', 'one', 'two']
    for name in ('one', 'two'):
        assert list(report_of(tmp_path / 'run' / name)['groups']['refined']['scenes']) == [name]
        assert (tmp_path / 'run' / name / 'refined.pth').exists()


def test_kitti_is_refined_and_scored_where_it_is_known(trees, weights, tmp_path):
    options = [*TINY, f'data_root={trees["kitti"]}', f'load_from={weights["raft"]}', f'crop_size={SIZE}']
    assert status_of('train', ROOT / 'configs/refine/raft_kitti2015.py', '--work-dir', tmp_path, '--cfg-options',
                     *options) == 0
    refined = report_of(tmp_path)['groups']['refined']
    assert (refined['pairs'], refined['pairs_without_truth']) == (2, 0) and refined['before']['Fl'] > 0
