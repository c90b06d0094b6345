"""The configs of CLIP-FLow on rendered data in the published layouts: what they are made of, and a run of two steps."""
from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
from small_runs import files_of
from small_trees import ROOT, SIZE, TINY, status_of

from mmrefine.apis.inference import init_model
from mmrefine.config.check import check_config
from mmrefine.config.load import fill_in, load_config
from mmrefine.fileio.flow_io import read_flow, write_flow
from mmrefine.models import ContrastiveFlowLoss, MaskedSequenceLoss
from mmrefine.registry import DATASETS
from mmrefine.synthetic import write_clips

FOLDER = ROOT / 'configs/clip_flow'
NAMES = sorted(path.name for path in FOLDER.glob('*.py'))
SCENES = 5
# of each scene: two pairs around the benchmark pair, which is 10 and 11
FRAMES = (7, 8, 10, 11, 13, 14)
DRIVE = '2011_09_26_drive_0001'


@pytest.fixture(scope='module')
def world(tmp_path_factory):
    """``source`` and ``clip`` (frames/, flow/), and ``kitti``, whose truth is known in every second column, and ``raw``
    of the same frames."""
    root = tmp_path_factory.mktemp('world')
    write_clips(root / 'source', seeds=(6, 7), num_frames=3, size=SIZE, style='source')
    write_clips(root / 'clip', seeds=(8, ), num_frames=6, size=SIZE, sparse=True)
    names = write_clips(root / 'rendered', seeds=range(1, SCENES + 1), num_frames=len(FRAMES), size=SIZE)
    training, drive = root / 'kitti/training', root / f'raw/2011_09_26/{DRIVE}_sync/image_02/data'
    (training / 'image_2').mkdir(parents=True)
    (root / 'kitti/testing/image_2').mkdir(parents=True)
    drive.mkdir(parents=True)
    for scene, name in enumerate(names):
        frames = sorted((root / 'rendered/frames' / name).iterdir())
        for at, (number, file) in enumerate(zip(FRAMES, frames)):
            shutil.copy(file, training / 'image_2' / f'{scene:06d}_{number:02d}.png')
            shutil.copy(file, drive / f'{scene * len(FRAMES) + at:010d}.png')
        flow, _ = read_flow(root / 'rendered/flow' / name / 'frame_0003.flo')
        known = np.zeros(SIZE, bool)
        known[:, ::2] = True
        write_flow(training / 'flow_occ' / f'{scene:06d}_10.png', flow, known)
    shutil.copy(drive / f'{29:010d}.png', root / 'kitti/testing/image_2/000000_10.png')
    return root


def where(name, world):
    """The options that lead a config to the data."""
    kitti = {'data_root': str(world / 'kitti'), 'crop_size': SIZE}
    raw = {'raw_root': str(world / 'raw'), 'testing': str(world / 'kitti/testing/image_2'), 'held_out_raw': 0.2}
    clip, source = str(world / 'clip'), str(world / 'source')
    video = {'video': f'{clip}/frames', 'labelled': source, 'crop_size': SIZE}
    return {
        'demo.py': {'source': source, 'video': clip, 'unseen': clip, 'held_out': 0.2,
                    'labelled_pipeline.1.crop_size': SIZE, 'labelled_pipeline.2.size': SIZE,
                    'train_pipeline.2.size': SIZE},
        'craft_kitti2015.py': kitti,
        'raft_kitti2015.py': kitti,
        'raft_kitti_raw.py': {**kitti, **raw},
        'craft_video.py': video,
        'raft_video.py': video,
    }[name]


def filled(name, world, **more):
    cfg = fill_in(load_config(FOLDER / name, {**where(name, world), **more}))
    check_config(cfg)
    return cfg


def hook_of(cfg, kind):
    return next(hook for hook in cfg.custom_hooks if hook['type'] == kind)


def test_the_sweeps_below_see_every_config():
    assert NAMES == ['craft_kitti2015.py', 'craft_video.py', 'demo.py', 'raft_kitti2015.py', 'raft_kitti_raw.py',
                     'raft_video.py']


@pytest.mark.parametrize('name', NAMES)
def test_a_config_learns_from_truth_and_labels_in_three_rounds(name, world):
    cfg = filled(name, world)
    model = init_model(cfg)
    sequence, contrast = model.losses.values()
    assert isinstance(sequence, MaskedSequenceLoss) and isinstance(contrast, ContrastiveFlowLoss)
    assert (contrast.mode, contrast.positions, contrast.loss_weight) == ('sampled', 1024, 0.1)
    assert cfg.train_cfg.rounds == 3 and hook_of(cfg, 'PseudoLabelHook')['relabel'] == 'every_round'
    data = DATASETS.build(dict(cfg.train_dataloader.dataset))
    assert list(data.parts) == ['labelled', 'unlabelled'] and min(data.part_sizes.values()) > 1
    assert data.parts['labelled'].seed == data.parts['unlabelled'].seed == cfg.randomness.seed
    labelled = DATASETS.build(dict(hook_of(cfg, 'PseudoLabelHook')['dataset']))
    assert set(data.label_keys()) == {key for unit in labelled.units for key in (unit.key, unit.backward_key)}
    item = data[0, 0]['data_samples']
    assert item.flow.shape == (2, *SIZE)


@pytest.mark.parametrize('name, unlabelled', [('raft_kitti2015.py', 4 * 2 * 2), ('raft_kitti_raw.py', 2 * 13)])
def test_what_kitti_is_judged_on_is_learned_from_by_neither_part(name, unlabelled, world):
    cfg = filled(name, world)
    data = DATASETS.build(dict(cfg.train_dataloader.dataset))
    judged = DATASETS.build(dict(hook_of(cfg, 'ReportHook')['groups']['unseen']))
    guard = DATASETS.build(dict(hook_of(cfg, 'RegressionGuardHook')['dataset']))
    # a fifth is kept back: one of five scenes; of the drive, whose frames 0 to 18 are left, pairs 14 to 17 of 18
    assert data.part_sizes == dict(labelled=4, unlabelled=unlabelled) and len(judged) == 1
    seen, learned, unseen, watched = ({file for file, _ in part.frame_files()}
                                      for part in (*data.parts.values(), judged, guard))
    assert not (seen | learned) & (unseen | watched)
    if name == 'raft_kitti2015.py':
        assert guard.scene_names == judged.scene_names == ['000002']
        assert not any(file.stem[-2:] in ('09', '10', '11', '12') for file in learned | watched)
    else:
        # frame 29 is the picture of the testing folder, and ten frames before it are left out as well
        assert max(int(file.stem) for file in watched) == 18 and data.parts['unlabelled'].left_out == 11


def test_the_sparse_truth_of_kitti_stays_sparse_under_the_augmentation(world):
    data = DATASETS.build(dict(filled('raft_kitti2015.py', world).train_dataloader.dataset))
    known = [(data[0, draw]['data_samples'].weight > 0).float().mean().item() for draw in range(4)]
    assert data.parts['labelled'].pipeline[0](dict(
        data.parts['labelled'].pairs[0], frame1=np.zeros((*SIZE, 3), np.uint8)))['weight'].mean() == 0.5
    assert all(0.4 < share <= 1 for share in known)


def test_kitti_trains_as_the_authors_of_raft_do(world):
    cfg = filled('raft_kitti2015.py', world, crop_size=(288, 960))
    assert (cfg.train_cfg.max_iters, cfg.train_dataloader.batch_size) == (50000, 6)
    assert cfg.optim_wrapper.optimizer == dict(type='AdamW', lr=1e-4, weight_decay=1e-5, eps=1e-8)
    assert cfg.optim_wrapper.clip_grad == dict(max_norm=1.0)
    assert (cfg.param_scheduler.total_steps, cfg.param_scheduler.pct_start) == (50100, 0.05)
    assert (cfg.model.train_iters, cfg.model.test_iters, cfg.model.losses[0].gamma) == (12, 24, 0.85)
    assert cfg.train_dataloader.sampler == dict(type='MixedSampler', shares=dict(labelled=0.5))
    labelled, unlabelled = (part['pipeline'] for part in cfg.train_dataloader.dataset.parts.values())
    assert labelled[1:] == unlabelled[1:] and (labelled[0].type, unlabelled[0].type) == ('LoadTruth', 'LoadLabel')
    steps = {step['type']: step for step in labelled}
    assert 'RandomFlip' not in steps and tuple(steps['RandomCrop']['size']) == (288, 960)
    resize, jitter = steps['RandomScaleStretch'], steps['ColorJitter']
    assert (tuple(resize['scale']), resize['stretch']) == ((-0.2, 0.4), 0)
    assert [jitter[key] for key in ('brightness', 'contrast', 'saturation', 'asymmetric')] == [0.3, 0.3, 0.3, 0]
    assert jitter['hue'] == pytest.approx(0.3 / np.pi, rel=1e-3) and steps['Eraser']['prob'] == 0.5
    cycle, inside = hook_of(cfg, 'PseudoLabelHook')['labeler']['filters']
    assert cycle == dict(type='CycleFilter', alpha=0.01, beta=0.5, form='squared', magnitude='warped')
    assert inside == dict(type='InFrameFilter')


@pytest.mark.parametrize('name', NAMES)
def test_a_run_of_two_steps_labels_twice_and_judges_before_and_after(name, world, weights, tmp_path):
    skipped = ('held_out', 'num_workers', 'batch_size', 'max_iters', 'labeler')
    tiny = [option for option in TINY if not option.startswith(skipped)]
    guard = [f'custom_hooks.1.{option}' for option in ('pairs=2', 'warps=0', 'general=0', 'steps=[1.]', 'patience=2')]
    options = [
        *tiny, *guard, 'max_iters=2', 'train_cfg.rounds=2', 'train_dataloader.batch_size=2',
        'train_dataloader.num_workers=0', f'load_from={weights["small" if name == "demo.py" else name.split("_")[0]]}',
        'labeler.filters=[]', 'labeler.directions=forward', 'custom_hooks.2.pictures=1', 'custom_hooks.2.extremes=0',
        *(f'{key}={value}' for key, value in where(name, world).items())
    ]
    if name == 'demo.py':
        options += ['labeler.view.scales=(1.,)', 'labeler.balance=None']
    assert status_of('train', FOLDER / name, '--work-dir', tmp_path, '--cfg-options', *options) == 0
    assert all((tmp_path / store / 'manifest.json').is_file() for store in ('labels', 'labels_round1'))
    assert any(file.endswith('.png') for file in files_of(tmp_path / 'labels_round1'))
    report = json.loads((tmp_path / 'report.json').read_text())
    assert all(group['pairs'] > 0 for group in report['groups'].values())
    assert report['guard']['verdict'] in ('student', 'teacher', 'unproven')
    assert (tmp_path / 'refined.pth').is_file() and (tmp_path / 'report.html').is_file()
    if 'kitti' in name:
        assert list(report['groups']) == ['unseen'] and report['groups']['unseen']['before']['EPE'] > 0
