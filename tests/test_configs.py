"""Every config of the repository can be read, checked and built, and means what it says."""
from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import yaml
from small_trees import ROOT, SINTEL_SCENES, SIZE

from mmrefine.apis.inference import DEFAULT_LABELER, init_model
from mmrefine.apis.named_models import load_named
from mmrefine.apis.track_inference import DEFAULT_TRACK_LABELER
from mmrefine.compat.stock import stock_config_root
from mmrefine.config.check import check_config
from mmrefine.config.load import fill_in, load_config
from mmrefine.fileio.pass_files import StoredPasses, write_passes
from mmrefine.labeling import VerifierLearner
from mmrefine.models import FlowRefiner, MaskedPyramidLoss, MaskedSequenceLoss, TrackRefiner, load_estimator
from mmrefine.registry import DATASETS, MODELS
from mmrefine.synthetic import write_clips

CONFIGS = sorted(path.relative_to(ROOT / 'configs').as_posix() for path in (ROOT / 'configs').glob('[!_]*/**/*.py'))
FLOW = [name for name in CONFIGS if not name.startswith(('pips/', 'clip_flow/', 'corrflow/', 'verifier/'))]
REFINE = [name for name in CONFIGS if name.startswith('refine/')]
# they learn from the truth
TRUTH = ['demo/raft_small_source.py', 'demo/raft_small_finish.py', 'demo/craft_small_source.py',
         'demo/pwcnet_small_source.py']
# name -> how many losses
LABEL_FREE = {'baselines/demo.py': 2, 'baselines/raft_cycle.py': 1, 'baselines/raft_small_cycle_video.py': 1,
              'baselines/raft_small_warp_smooth_video.py': 2, 'baselines/raft_smurf.py': 3,
              'baselines/raft_warp_smooth.py': 2}
GUARDED = [name for name in FLOW if name not in TRUTH]
STOCK = [name for name in REFINE if not any(word in name for word in ('small', 'official', 'craft'))]
LOSSES = dict(raft=MaskedSequenceLoss, gma=MaskedSequenceLoss)
# what a stock config says of training only
FOR_TRAINING = {'flow_loss', 'freeze_bn', 'freeze_net', 'init_cfg', 'train_cfg', 'test_cfg', '_scope_', 'augmentations',
                'data_preprocessor'}


def small(name, trees):
    """The config on the rendered trees, filled in."""
    where = {'data_root': str(trees['kitti' if 'kitti' in name else 'sintel'])}
    if 'video' in name:
        where = {'video': str(trees['frames']), 'held_out': 0.}  # nothing to spare in three frames a scene
    elif 'demo' in name:
        data = 'train_dataloader.dataset'
        where = {f'{data}.data_root': str(trees['frames']), f'{data}.truth_root': str(trees['flow'])}
        if 'target' in name or name in LABEL_FREE:
            where = {'video': str(trees['frames'].parent), 'unseen': str(trees['frames'].parent), 'held_out': 0.}
    cfg = load_config(ROOT / 'configs' / name, where)
    if cfg.get('scene') == 'each':
        cfg.scene = 'all'
    cfg = fill_in(cfg)
    check_config(cfg)
    return cfg


def test_the_sweeps_below_see_every_config():
    assert len(CONFIGS) == 56 and len(FLOW) == 27 and len(REFINE) == 15 and len(STOCK) == 10


@pytest.fixture(scope='module')
def clips(tmp_path_factory):
    """Two scenes of ten frames with their tracks."""
    root = tmp_path_factory.mktemp('clips')
    write_clips(root, seeds=(1, 2), num_frames=10, size=SIZE, tracks=20)
    return root


@pytest.mark.parametrize('name, count', [('pips/pips_small_source.py', 6), ('pips/pips_video.py', 2),
                                         ('pips/pips_demo.py', 4), ('pips/pips_small_target.py', 2)])
def test_a_config_of_tracks_builds_its_network_and_its_data(name, count, clips):
    learns_truth = 'source' in name
    where = {'video': str(clips if 'small' in name else clips / 'frames')}
    if 'target' in name:
        where['unseen'] = str(clips)
    cfg = fill_in(load_config(ROOT / 'configs' / name, {**where, **({} if learns_truth else {'held_out': 0.})}))
    check_config(cfg)
    cfg.model.estimator.update(mixer_depth=1, mixer_channels=8)  # the sizes are those of the checkpoint, and slow
    model = init_model(cfg)
    assert isinstance(model, TrackRefiner) and len(model.losses) == 2 + learns_truth
    data = DATASETS.build(dict(cfg.train_dataloader.dataset))
    assert len(data) == count and data.frames == model.estimator.window == 8
    if learns_truth:
        item = data[0]
        assert item['inputs'].shape == (8, 3, 96, 128) and item['data_samples'].points.shape == (64, 8, 2)
    else:
        hooks = {hook['type']: hook for hook in cfg.custom_hooks}
        assert set(hooks) == {'PseudoLabelHook', 'ReportHook', 'RegressionGuardHook'}
        assert hooks['RegressionGuardHook']['dataset']['held'] is True and data.units[0].key.endswith('@1')
        assert {clip['key'] for clip in data.clips} == {
            unit.key for unit in DATASETS.build(dict(hooks['PseudoLabelHook']['dataset'])).units}


@pytest.mark.parametrize('name', FLOW)
def test_a_config_builds_its_network_and_its_data(name, trees):
    cfg = small(name, trees)
    model = init_model(cfg)
    assert (isinstance(model, FlowRefiner)
            and len(model.losses) == {'demo/raft_small_source.py': 2, **LABEL_FREE}.get(name, 1))
    if name in STOCK:
        wanted = LOSSES.get(name.split('/')[1].split('_')[0], MaskedPyramidLoss)
        assert [type(loss) for loss in model.losses.values()] == [wanted]
    hooks = {hook['type']: hook for hook in cfg.get('custom_hooks', [])}
    data = [cfg.train_dataloader.dataset]
    if name in LABEL_FREE:
        assert set(hooks) == {'ReportHook', 'RegressionGuardHook'} and 'labels' not in model.needs
        data += hooks['ReportHook']['groups'].values()
    elif name not in TRUTH:
        assert set(hooks) == {'PseudoLabelHook', 'ReportHook', 'RegressionGuardHook'}
        data += [hooks['PseudoLabelHook']['dataset'], *hooks['ReportHook']['groups'].values()]
    assert name not in GUARDED or hooks['RegressionGuardHook']['dataset']['held'] is True
    pairs = [len(DATASETS.build(dict(part)).pairs) for part in data]
    forward = 2 if 'kitti' in name else 4  # two scenes of one pair, of two pairs
    both = forward * (2 if data[0].get('directions') == 'both' else 1)
    # without labels both directions of a pair are learned from at once
    assert (both > forward) is bool(name not in LABEL_FREE and hooks and cfg.labeler.directions == 'both')
    assert pairs == [both] + [forward] * (len(data) - 1)
    if name in REFINE:
        assert cfg.train_dataloader.dataset.seed == cfg.randomness.seed
    # test_stock_families knows the networks that leave parameters unused
    assert cfg.model_wrapper_cfg.get('find_unused_parameters', False) is ('irrpwc' in name)
    for part in data[2:]:
        item = DATASETS.build(dict(part))[0]
        assert item['inputs'].shape == (2, 3, *SIZE)
        assert ('flow' in item['data_samples']) is ('_video' not in name)  # a user's video has no truth


@pytest.mark.parametrize('name', LABEL_FREE)
def test_a_baseline_takes_a_step_on_whole_frames_and_both_directions(name, trees):
    cfg = small(name, trees)
    assert set(LABEL_FREE) == {each for each in CONFIGS if each.startswith('baselines/')}
    cfg.model.train_iters = 2
    for loss in cfg.model.losses:
        assert loss.get('occlusion_from', 0) == 0
        if loss.type == 'SelfSupervisionLoss':
            loss.update(begin=0., ramp=0., inset=10)  # a step in which it has begun
    pipeline = cfg.train_dataloader.dataset.pipeline
    assert [part['type'] for part in pipeline[:2]] == ['KeepWholeFrames', 'RandomCrop']
    pipeline[1]['size'] = (48, 56)
    model, seen = init_model(cfg).train(), []
    model.register_forward_pre_hook(lambda module, args, kwargs: seen.append(kwargs), with_kwargs=True)
    next(iter(model.losses.values())).register_forward_hook(lambda module, args, output: seen.append(args))
    item = DATASETS.build(dict(cfg.train_dataloader.dataset))[0, 0]
    assert item['inputs'].shape == (2, 3, 48, 56) and item['data_samples'].whole_frames.shape == (2, 3, *SIZE)
    data = model.data_preprocessor(dict(inputs=[item['inputs']], data_samples=[item['data_samples']]))
    losses = model(**data, mode='loss')
    assert len(losses) == LABEL_FREE[name] and all(value.isfinite() for value in losses.values())
    outputs, targets = seen[-1]
    assert len(outputs.flows_bw) == 2 and targets.whole is not None
    model.parse_losses(losses)[0].backward()
    assert sum(p.grad is not None and bool(p.grad.any()) for p in model.parameters()) > 50


@pytest.mark.parametrize('name', [name for name in LABEL_FREE if 'video' in name])
def test_a_baseline_on_video_opens_as_a_network_without_its_video(name):
    """As `mmrefine flow --model` opens it: nothing of the model waits for a reference to be filled in."""
    assert len(init_model(load_named(name)).losses) == LABEL_FREE[name]


def test_the_mixed_demo_learns_from_the_truth_of_one_world_and_the_labels_of_another(trees):
    world = str(trees['frames'].parent)
    cfg = fill_in(load_config(ROOT / 'configs/clip_flow/demo.py', {
        'source': world, 'video': world, 'unseen': world, 'held_out': 0., 'labelled_pipeline.1.crop_size': SIZE,
        'labelled_pipeline.2.size': SIZE, 'randomness.seed': 7}))
    check_config(cfg)
    assert isinstance(init_model(cfg), FlowRefiner)
    data = DATASETS.build(dict(cfg.train_dataloader.dataset))
    labelled, unlabelled = data.parts.values()
    assert data.part_sizes == dict(labelled=4, unlabelled=8) and labelled.seed == unlabelled.seed == 7
    assert data[0, 0]['data_samples'].flow.shape == (2, *SIZE)
    assert cfg.train_cfg.rounds == 3 and cfg.train_dataloader.sampler == dict(
        type='MixedSampler', shares=dict(labelled=[(0., 0.5), (1., 0.1)]))
    hook = cfg.custom_hooks[0]
    assert hook['relabel'] == 'every_round' and set(data.label_keys()) == {
        key for unit in DATASETS.build(dict(hook['dataset'])).units for key in (unit.key, unit.backward_key)}
    crops = {tuple(step['size']) for part in load_config(ROOT / 'configs/clip_flow/demo.py').values()
             if isinstance(part, list) for step in part if isinstance(step, dict) and step.get('type') == 'RandomCrop'}
    assert crops == {(96, 160)}  # all parts share a batch


@pytest.mark.parametrize('name', CONFIGS)
def test_every_config_fixes_its_seed(name):
    assert list(load_config(ROOT / 'configs' / name).randomness) == ['seed']


def published():
    """Checkpoint file name -> (its address, the stock config that made it)."""
    found = {}
    for file in stock_config_root().glob('*/metafile.yml'):
        for model in yaml.safe_load(file.read_text()).get('Models', []):
            if 'Weights' in model:
                found[model['Weights'].rpartition('/')[2]] = (model['Weights'], file.parent / f'{model["Name"]}.py')
    return found


def network_of(node):
    """A model config without what is for training only."""
    if isinstance(node, dict):
        return {key: network_of(value) for key, value in node.items() if key not in FOR_TRAINING}
    return [network_of(value) for value in node] if isinstance(node, (list, tuple)) else node


@pytest.mark.parametrize('name', [*STOCK, 'clip_flow/raft_kitti2015.py', 'clip_flow/raft_video.py'])
def test_the_network_is_that_of_the_checkpoint_it_starts_from(name):
    path = ROOT / 'configs' / name
    cfg = load_config(path)
    address, stock_file = published()[Path(cfg.load_from).name]
    stock = load_config(stock_file).model.to_dict()
    ours = cfg.model.estimator.to_dict()
    assert network_of(ours) == network_of(stock)
    for key in ('mean', 'std', 'bgr_to_rgb'):
        assert ours['data_preprocessor'].get(key) == stock['data_preprocessor'].get(key)
    assert re.search(rf'^# {re.escape(address)}$', path.read_text(), re.MULTILINE)


def test_raft_on_sintel_trains_as_the_paper_says():
    cfg = fill_in(load_config(ROOT / 'configs/refine/raft_sintel.py'))
    assert cfg.train_cfg.max_iters == 1000 and cfg.train_dataloader.batch_size == 12
    assert cfg.optim_wrapper.optimizer == dict(type='AdamW', lr=1e-4, weight_decay=1e-4, eps=1e-8)
    assert cfg.optim_wrapper.clip_grad == dict(max_norm=5.0)
    assert cfg.param_scheduler == dict(
        type='OneCycleLR', eta_max=1e-4, total_steps=1100, pct_start=0.1, anneal_strategy='linear', by_epoch=False)
    assert cfg.model.train_iters == cfg.model.test_iters == 32 and cfg.model.losses[0].gamma == 0.85
    # where we depart from the paper's code: 49 pairs are nearly the same
    assert cfg.model.get('freeze_bn', True) is True
    steps = {part['type']: part for part in cfg.train_dataloader.dataset.pipeline}
    assert list(steps) == ['LoadLabel', 'RandomCrop', 'RandomFlip', 'ColorJitter', 'PackPair']
    assert tuple(steps['RandomCrop']['size']) == (256, 512)
    assert (steps['RandomFlip']['horizontal'], steps['RandomFlip']['vertical']) == (0.5, 0.1)
    jitter = steps['ColorJitter']
    assert [jitter[key] for key in ('brightness', 'contrast', 'saturation', 'asymmetric')] == [0.4, 0.4, 0.4, 0.2]
    assert jitter['hue'] == pytest.approx(0.5 / 3.14)


def test_the_papers_labeler_is_the_papers():
    cfg = fill_in(load_config(ROOT / 'configs/refine/raft_sintel_paper.py'))
    labeler = cfg.custom_hooks[0].labeler
    assert labeler.directions == cfg.train_dataloader.dataset.directions == 'forward'
    assert tuple(labeler.view.scales) == (1., )
    cycle, color = labeler.filters
    assert (cycle.type, cycle.alpha, cycle.beta, cycle.form,
            cycle.magnitude) == ('CycleFilter', 0.002, 0.1, 'norm', 'unwarped')
    assert (color.type, color.tolerance) == ('ColorFilter', 1.275)
    assert cfg.model.freeze_bn is False


def test_label_pair_and_the_configs_have_one_default_labeler():
    assert load_config(ROOT / 'configs/_base_/labelers/cascade.py').labeler.to_dict() == DEFAULT_LABELER


def test_label_clip_and_the_configs_have_one_default_labeler():
    assert load_config(ROOT / 'configs/_base_/labelers/tracks.py').labeler.to_dict() == DEFAULT_TRACK_LABELER


def test_the_demo_of_trackers_is_the_stock_config_with_the_small_network():
    demo, whole = (load_config(ROOT / f'configs/pips/{name}.py') for name in ('pips_demo', 'pips_video'))
    assert demo.model.estimator == load_config(ROOT / 'configs/pips/pips_small_source.py').model.estimator
    for key in ('custom_hooks', 'train_dataloader', 'label_data', 'guard_data', 'report_groups'):
        assert demo[key] == whole[key]


def test_an_override_reaches_every_place_that_uses_it(trees):
    cfg = fill_in(load_config(ROOT / 'configs/refine/raft_sintel.py', {
        'max_iters': 300, 'optim_wrapper.optimizer.lr': 5e-5, 'scene': 'bamboo_2', 'pass_name': 'clean',
        'labeler.directions': 'forward', 'randomness.seed': 7, 'data_root': str(trees['sintel']),
        'crop_size': (64, 64)}))
    assert (cfg.train_cfg.max_iters, cfg.param_scheduler.total_steps, cfg.param_scheduler.eta_max) == (300, 400, 5e-5)
    data = [cfg.train_dataloader.dataset, cfg.custom_hooks[0].dataset, cfg.custom_hooks[1].dataset,
            cfg.custom_hooks[2].groups.refined]
    assert [(part.scenes, part.pass_name) for part in data] == [('bamboo_2', 'clean')] * 4
    assert DATASETS.build(dict(data[0])).seed == 7  # the augmentations follow
    assert data[0].directions == 'forward' and data[0].pipeline[1]['size'] == (64, 64)
    assert DATASETS.build(dict(data[1])).scene_names == [SINTEL_SCENES[1]]


def test_each_folder_of_configs_tells_its_commands_and_results():
    for folder in sorted({(ROOT / 'configs' / name).parent for name in CONFIGS}):
        text = (folder / 'README.md').read_text(encoding='utf-8')
        missing = [path.name for path in folder.glob('*.py') if path.name not in text]
        assert not missing and 'python tools/train.py' in text, folder


def test_the_config_of_the_verifier_trains_what_it_says(tmp_path):
    """And the weights that come with it fit."""
    write_passes(tmp_path / 'a.npz', StoredPasses(
        np.zeros((2, 96, 128, 3), np.uint8), np.zeros((3, 2, 2, 96, 128), np.float16), np.zeros((3, 2), np.float32),
        np.ones((2, 2, 96, 128), np.float16), np.ones((2, 96, 128), bool)))
    cfg = fill_in(load_config(ROOT / 'configs/verifier/pass_verifier.py', {'passes': str(tmp_path)}))
    check_config(cfg)
    data = DATASETS.build(dict(cfg.train_dataloader.dataset))
    assert data[0, 3]['truth'].shape == (2, 2, 96, 128)
    model = MODELS.build(dict(cfg.model, _scope_='mmrefine'))
    assert isinstance(model, VerifierLearner)
    weights = ROOT / 'configs/verifier/pass_verifier.pth'
    load_estimator(model, weights)
    assert weights.stat().st_size <= 2**20
