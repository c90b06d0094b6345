"""``mmrefine refine --labelled``: pairs with ground truth beside the labels of a video."""
from __future__ import annotations

import json
import os
import shutil
import signal

import pytest
from helpers_cli import DEMO_WEIGHTS, SIZE, error_of, rendered, status_of
from small_runs import refined_state, same_state
from small_trees import ROOT

import mmrefine
from mmrefine.apis import labelled as module
from mmrefine.apis import run_forecast
from mmrefine.apis.labelled import _labelled_pipeline
from mmrefine.apis.video_run import prepare_run
from mmrefine.config.load import complete
from mmrefine.engine import SelfTrainingLoop
from mmrefine.engine.runtime.passes import Passes
from mmrefine.errors import ConfigError
from mmrefine.fileio import LabelStore
from mmrefine.registry import DATASETS
from mmrefine.synthetic import write_clips

# one look, one iteration, steps of two pairs, no guard
TINY = ['--steps', '4', '--batch-size', '2', '--set', 'model.train_iters=1', 'model.test_iters=1',
        'labeler.view.scales=(1.,)', 'labeler.balance=None', f'crop_size={SIZE}'.replace(' ', '')]
UNJUDGED = [*TINY, 'held_out=0', 'default_hooks.checkpoint.interval=1']


@pytest.fixture(scope='module')
def video(tmp_path_factory):
    """A folder of four rendered frames."""
    return rendered(tmp_path_factory.mktemp('clip'), 4)


@pytest.fixture(scope='module')
def truth(tmp_path_factory):
    """Two clips of three frames as tools/render.py writes them, smaller than the crop."""
    root = tmp_path_factory.mktemp('truth {max_iters}')  # braces are no references in a path
    write_clips(root, (5, 6), 3, (40, 80), 'source')
    return root


@pytest.fixture
def quick(monkeypatch):
    """No passes are timed."""
    for name, seconds in (('label', 1e-3), ('step', 1e-3), ('look', Passes(1e-3, 1e-3))):
        monkeypatch.setattr(run_forecast._Clock, name, lambda self, *args, seconds=seconds: seconds)


def command(video, out, labelled, *options):
    return ('refine', video, '--model', 'demo', '--checkpoint', DEMO_WEIGHTS, '--out', out, '--labelled', labelled,
            *options)


def test_a_stopped_run_in_rounds_goes_on_to_the_weights_of_one_that_was_not(video, truth, tmp_path, quick, capsys,
                                                                            monkeypatch):
    options = ['--rounds', '2', *UNJUDGED]
    assert status_of(*command(video, tmp_path / 'whole', truth, *options)) == 0
    said = capsys.readouterr().out
    assert (f'labelled: 4 frame pair(s) with ground truth, rendered clips, {truth}; 50 % of what is learned from at '
            'first, 10 % at the end\n') in said
    assert '3 frame pairs to label, and again in each of 2 rounds\n' in said

    original, calls = SelfTrainingLoop.run_iter, []

    def stopping(self, batch):
        calls.append(1)
        if len(calls) == 3:  # in the second round
            os.kill(os.getpid(), signal.SIGINT)
        return original(self, batch)

    interrupt = signal.signal(signal.SIGINT, signal.default_int_handler)
    monkeypatch.setattr(SelfTrainingLoop, 'run_iter', stopping)
    assert status_of(*command(video, tmp_path / 'out', truth, *options)) == 130
    signal.signal(signal.SIGINT, interrupt)
    monkeypatch.setattr(SelfTrainingLoop, 'run_iter', original)
    monkeypatch.chdir(truth)  # the folder is the same wherever it is named from
    assert status_of(*command(video, tmp_path / 'out', '.', *options)) == 0
    assert same_state(refined_state(tmp_path / 'out'), refined_state(tmp_path / 'whole'))

    log, = (tmp_path / 'whole').glob('*/vis_data/scalars.json')
    shares = [line['share_labelled'] for line in map(json.loads, log.read_text().splitlines())
              if 'share_labelled' in line]
    assert shares and all(0 < share <= 0.5 for share in shares)
    report = json.loads((tmp_path / 'whole/report.json').read_text())
    assert report['settings']['labelled'] == [f'frame pairs of {truth}: 4'] and report['settings']['rounds'] == 2
    assert 'also learned from ground truth: frame pairs of ' in (tmp_path / 'whole/report.html').read_text()
    # labels are made of the video only
    keys = LabelStore.open(tmp_path / 'whole/labels').keys()
    assert len(keys) == 6 and all(key.startswith(video.name) for key in keys)
    assert 'holds a run of other settings (' in error_of(capsys, *command(video, tmp_path / 'out', truth, *UNJUDGED))


def test_the_parts_differ_only_in_what_they_load(video, truth, tmp_path):
    values = dict(crop_size=(128, 160), held_out=0)
    plain, _ = prepare_run(video, 'raft_small', tmp_path / 'a', DEMO_WEIGHTS, values, dry_run=True)
    cfg, _ = prepare_run(video, 'raft_small', tmp_path / 'a', DEMO_WEIGHTS, values, dry_run=True, labelled=truth)
    loader = complete(cfg).train_dataloader.to_dict()
    assert loader['sampler'] == dict(type='MixedSampler', shuffle=True, shares=dict(labelled=[(0., 0.5), (1., 0.1)]))
    assert loader['dataset']['parts']['unlabelled'] == complete(plain).train_dataloader.dataset.to_dict()
    parts = loader['dataset']['parts']
    learned, known = parts['unlabelled']['pipeline'], parts['labelled']['pipeline']
    # the crop is that of the small video, and SelfWarp is left out, which makes truth where there is none
    assert known == [dict(type='LoadTruth'), dict(type='RandomScaleStretch', prob=0., crop_size=SIZE),
                     dict(learned[2], size=SIZE, fit=False), *learned[3:]]
    data = DATASETS.build(dict(loader['dataset']))
    assert data.part_sizes == dict(labelled=4, unlabelled=2 * 3)
    sample = data[0, 0]['data_samples']  # of 40 x 80 px, enlarged
    assert sample.flow.shape == (2, *SIZE) and sample.weight.min() == 1 and sample.part.name == 'labelled'


def test_a_pipeline_that_scales_scales_and_one_without_a_crop_gets_one():
    scale = dict(type='mmrefine.RandomScaleStretch', scale=(-0.2, 0.6), crop_size=(9, 9))
    flip, pack, own = dict(type='RandomFlip'), dict(type='PackPair'), len
    crop = dict(type='RandomCrop', size=(90, 90), density=True)
    assert _labelled_pipeline([dict(type='LoadLabel'), scale, crop, flip, pack], (32, 48)) == [
        dict(type='LoadTruth'), dict(scale, crop_size=(32, 48)), dict(crop, size=(32, 48), fit=False), flip, pack]
    assert _labelled_pipeline([dict(type='LoadLabel'), own, pack], (32, 48)) == [
        dict(type='LoadTruth'), dict(type='RandomScaleStretch', prob=0., crop_size=(32, 48)),
        dict(type='RandomCrop', size=(32, 48), fit=False), own, pack]


def test_scenes_of_several_sizes_with_a_model_each_have_one_crop(tmp_path, truth):
    rendered(tmp_path / 'v', 3, (48, 64), seed=1)
    folder = rendered(tmp_path / 'v', 3, (64, 48), seed=2).parent
    cfg, _ = prepare_run(folder, 'demo', tmp_path / 'out', DEMO_WEIGHTS, dict(scene='each', held_out=0), dry_run=True,
                         labelled=truth)
    parts = complete(cfg).train_dataloader.dataset.parts
    sizes = [step['size'] for part in parts.values() for step in part['pipeline'] if step['type'] == 'RandomCrop']
    assert sizes == [(48, 48)] * 2 and cfg.train_dataloader.dataset.parts.unlabelled.scenes == '{scene}'


def test_clips_are_rendered_once_in_the_folder_of_results(video, tmp_path, quick, capsys, monkeypatch):
    monkeypatch.setattr(module, 'LEAST_SIZE', (32, 80))
    monkeypatch.setattr(module, 'CLIPS', 2)
    monkeypatch.setattr(module, '_SEEDS', range(90_000, 90_002))
    out = tmp_path / 'out'
    assert status_of(*command(video, out, 'rendered', '--dry-run', *UNJUDGED)) == 0
    said = capsys.readouterr().out
    # as large as the crop, 48 x 64, and no side less than the least
    assert f'labelled: 2 rendered frame pairs of 80 x 48 px, {out / "rendered_48x80"} (about 0 MB); 50 % ' in said
    assert 'forecast: about ' in said and ': rendering ' in said and not out.exists()
    assert status_of(*command(video, out, 'rendered', *UNJUDGED)) == 0
    assert sorted(path.name for path in (out / 'rendered_48x80/frames').iterdir()) == ['source_90000', 'source_90001']
    before = {path: path.stat().st_mtime_ns for path in (out / 'rendered_48x80').rglob('*')}
    # the settings are the same in another place
    moved = out.rename(tmp_path / 'moved')
    monkeypatch.setattr('mmrefine.synthetic.folders.render_clip', lambda *args: pytest.fail('rendered again'))
    assert status_of(*command(video, moved, 'rendered', *UNJUDGED)) == 0
    assert 'this run is finished already' in capsys.readouterr().out
    values = {'max_iters': 4, 'batch_size': 2, 'held_out': 0, 'crop_size': SIZE}
    module.render_labelled(prepare_run(video, 'demo', moved, DEMO_WEIGHTS, values, labelled='rendered')[0])
    assert {moved / path.relative_to(out): at for path, at in before.items()} == {
        path: path.stat().st_mtime_ns for path in (moved / 'rendered_48x80').rglob('*')}


def test_what_cannot_be_mixed_in_is_one_sentence_before_the_video_is_read(video, truth, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr('mmrefine.apis.video_run.skipping', lambda *args: pytest.fail('read'))
    wrong = error_of(capsys, *command(video, tmp_path / 'out', tmp_path / 'nowhere'))
    assert wrong == f'{tmp_path / "nowhere"}: the folder of labelled frame pairs does not exist; check the path'
    (tmp_path / 'empty').mkdir()
    wrong = error_of(capsys, *command(video, tmp_path / 'out', tmp_path / 'empty'))
    assert wrong.startswith(f'{tmp_path / "empty"}: is empty, which is none of the layouts of frame pairs with ground')
    shutil.copytree(truth / 'frames', tmp_path / 'blind/frames')
    wrong = error_of(capsys, *command(video, tmp_path / 'out', tmp_path / 'blind'))
    assert 'holds frames in the layout of rendered clips (' in wrong and 'and no ground truth, which would be' in wrong
    shutil.copytree(truth, tmp_path / 'cut')
    (tmp_path / 'cut/flow/source_0005/frame_0001.flo').write_bytes(b'PIEH')
    assert 'frame_0001.flo: ' in error_of(capsys, *command(video, tmp_path / 'out', tmp_path / 'cut'))
    tracks = error_of(capsys, 'refine', video, '--model', 'pips_demo', '--labelled', truth)
    assert 'pips_demo.py: follows points, and labelled=' in tracks and 'take a model that estimates flow' in tracks
    mixed = error_of(capsys, 'refine', video, '--model', ROOT / 'configs/clip_flow/demo.py', '--labelled', truth)
    assert ('demo.py: mixes pairs with ground truth in already (train_dataloader.dataset is MixedPairs), and has no '
            'key labelled for their folder; leave labelled out, and set the key') in mixed
    assert not (tmp_path / 'out').exists()


@pytest.mark.parametrize('where', ['folder', 'rendered'])
def test_a_config_that_mixes_already_learns_from_the_pairs_that_are_named(where, video, truth, weights, tmp_path):
    named = truth if where == 'folder' else 'rendered'
    cfg, _ = prepare_run(video, ROOT / 'configs/clip_flow/raft_video.py', tmp_path / 'out', weights['raft'],
                         dict(crop_size=SIZE, held_out=0.), labelled=named, dry_run=True)
    assert cfg.labelled == str(truth.resolve() if where == 'folder' else tmp_path / 'out/rendered_192x256')
    data = complete(cfg).train_dataloader.dataset
    assert data.parts.labelled.data_root == cfg.labelled and data.parts.unlabelled.data_root == cfg.video
    assert complete(cfg).train_dataloader.sampler.shares == dict(labelled=0.5)  # as the config has it
    if where == 'folder':
        assert DATASETS.build(data.to_dict()).part_sizes == dict(labelled=4, unlabelled=6)
    else:
        assert module._size_in(cfg) == (192, 256)


def test_the_frames_of_the_video_are_not_those_of_the_labelled_pairs(truth, tmp_path, capsys):
    for video in (truth / 'frames/source_0005', truth / 'frames', truth):
        sentence = error_of(capsys, *command(video, tmp_path / 'out', truth, '--dry-run', *TINY, 'held_out=0'))
        count = 3 if video.name == 'source_0005' else 6
        assert sentence.startswith(f'{truth}: its labelled pairs hold {count} frames of the video itself, the first is '
                                   f'{truth / "frames/source_0005/frame_0001.png"}; name labelled pairs of other')
    (tmp_path / 'link').symlink_to(truth)
    with pytest.raises(ConfigError, match='hold 3 frames of the video itself'):
        mmrefine.refine(truth / 'frames/source_0005', 'demo', tmp_path / 'out', DEMO_WEIGHTS, dry_run=True,
                        labelled=tmp_path / 'link', held_out=0)
