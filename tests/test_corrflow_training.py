"""CorrFlow's configs mean what they say, and train: a run that goes on ends as one that was not stopped."""
from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from mmengine.config import Config
from small_runs import ROOT, exit_code, in_child, refined_state, run, same_state
from small_trees import status_of

from mmrefine.compat.checkpoints import load_checkpoint_file
from mmrefine.config.check import check_config
from mmrefine.config.load import fill_in, load_config
from mmrefine.engine import SelfTrainingLoop
from mmrefine.fileio import write_image
from mmrefine.models import (ChannelDropout, ColorClassLoss, CorrespondenceLearner, CorrFlowEncoder, CycleColorLoss,
                             GreyInput, ScheduledSampling)
from mmrefine.registry import DATASETS, MODELS
from mmrefine.synthetic import write_clips

FOLDER = ROOT / 'configs/corrflow'
NAMES = sorted(path.relative_to(FOLDER).as_posix() for path in FOLDER.rglob('*.py')
               if not path.stem.endswith('_test'))  # those train nothing
ABLATION = [name for name in NAMES if name.startswith('ablation/')]


@pytest.fixture(scope='module')
def video(tmp_path_factory):
    """``frames`` of two rendered scenes of six frames, and ``lists`` in the layouts of Kinetics and OxUvA."""
    root = tmp_path_factory.mktemp('videos')
    write_clips(root, seeds=(1, 2), num_frames=6, size=(64, 64))
    for name in ('image_{:05d}.jpg', '{:06d}.jpeg'):
        for number in range(1, 14):
            write_image(root / 'lists/vid0001' / name.format(number), np.full((20, 30, 3), 9 * number, np.uint8))
    (root / 'lists.csv').write_text('vid0001,13\n')
    return root


def filled(name, video, **more):
    lists = 'kinetics' in name or 'oxuva' in name
    where = dict(data_root=str(video / 'lists'), list_file=str(video / 'lists.csv')) if lists else dict(
        video=str(video / 'frames'))
    if 'video' in name:
        where['held_out'] = 0.  # nothing to spare in six frames a scene
    if 'davis' in name:
        where['stride'] = 1  # six frames are too few for the config's
    cfg = fill_in(load_config(FOLDER / name, {**where, **more}))
    check_config(cfg)
    return cfg


def test_the_sweeps_below_see_every_config():
    assert len(NAMES) == 10 and len(ABLATION) == 5


@pytest.mark.parametrize('name', NAMES)
def test_a_config_builds_its_network_and_its_clips(name, video):
    cfg = filled(name, video)
    model = MODELS.build(cfg.model)
    hooks = [hook.type for hook in cfg.get('custom_hooks', [])]
    assert isinstance(model, CorrespondenceLearner)
    assert hooks == (['RegressionGuardHook', 'ReportHook'] if 'video' in name else [])
    assert sum(parameter.numel() for parameter in model.parameters()) == 5291648
    data = DATASETS.build(dict(cfg.train_dataloader.dataset))
    item = data[0, 0]
    size = dict(davis=128, kinetics=256, oxuva=256).get(name[len('resnet18_'):-len('.py')], 64)  # no more than there is
    assert item['inputs'].shape == item['data_samples'].plain_frames.shape == (3, 3, size, size)
    assert data.seed == cfg.randomness.seed == 125
    assert cfg.train_cfg == dict(type='SelfTrainingLoop', max_iters=cfg.max_iters)


def parts(model):
    """What of the objective is there: bottleneck, radius, sampling, cycle."""
    first = next(iter(model.losses.values()))
    assert isinstance(first, ColorClassLoss) and first.loss_weight == 1
    sampling = first.sampling and (first.sampling.start, first.sampling.end)
    cycles = [loss.loss_weight for loss in model.losses.values() if isinstance(loss, CycleColorLoss)]
    return type(model.bottleneck), model.radius, sampling, cycles


def test_each_row_of_the_ablation_lacks_one_part(video):
    full = (ChannelDropout, 6, (0.9, 0.6), [0.1])
    lacking = dict(full={}, without_color_dropout={0: GreyInput}, without_restricted_attention={1: None},
                   without_scheduled_sampling={2: None}, without_cycle={3: []})
    assert {f'ablation/{name}.py' for name in lacking} == set(ABLATION)
    whole = filled('ablation/full.py', video)
    for name, change in lacking.items():
        cfg = filled(f'ablation/{name}.py', video)
        assert parts(MODELS.build(cfg.model)) == tuple(change.get(k, part) for k, part in enumerate(full)), name
        for key in ('train_dataloader', 'optim_wrapper', 'param_scheduler', 'train_cfg', 'randomness'):
            assert cfg[key] == whole[key]


def test_kinetics_trains_as_the_paper_says(video):
    cfg = filled('resnet18_kinetics.py', video)
    assert parts(MODELS.build(cfg.model)) == (ChannelDropout, 6, (0.9, 0.6), [0.1]) and cfg.model.warp is None
    assert MODELS.build(cfg.model).bottleneck.prob == 0.7
    assert cfg.optim_wrapper.optimizer == dict(type='Adam', lr=2e-4, betas=(0.9, 0.999))
    assert 'clip_grad' not in cfg.optim_wrapper and cfg.train_dataloader.batch_size == 6 and cfg.max_iters == 1000000
    assert cfg.param_scheduler == dict(type='MultiStepLR', milestones=[400000, 600000, 800000], gamma=0.5,
                                       by_epoch=False)
    data = cfg.train_dataloader.dataset
    assert (data.frames, data.stride, tuple(data.resize)) == (3, 4, (256, 256))
    jitter, pack = data.pipeline
    assert [jitter[key] for key in ('brightness', 'contrast', 'saturation', 'hue')] == [0.1] * 4
    assert (jitter.asymmetric, jitter.prob, jitter.keep_plain, pack.type) == (1., 0.1, True, 'PackClip')
    by_clips = filled('resnet18_kinetics.py', video, **{'param_scheduler.milestones': [66667, 100000, 133333, 166667]})
    # the code's rule: clips, of which a step has six
    assert [6 * step // 1000 for step in by_clips.param_scheduler.milestones] == [400, 600, 799, 1000]


SMALL = {'crop_size': (32, 32), 'batch_size': 2, 'max_iters': 4, 'default_hooks.logger.interval': 1,
         'model.estimator.out_channels': 16, 'train_pipeline.2.prob': 0.5}


def small_run(video, work_dir, interval=100, **more):
    cfg = filled('resnet18_demo.py', video, **SMALL, **more)
    cfg = Config(cfg.to_dict())
    cfg.model.warp = dict(type='CropWarp', shift=4.)
    cfg.work_dir, cfg.default_hooks.checkpoint.interval = str(work_dir), interval
    return cfg


def losses_of(work_dir):
    logs = sorted(work_dir.glob('*/vis_data/scalars.json'))
    lines = [json.loads(line) for log in logs for line in log.read_text().splitlines()]
    return [line['loss_color_class'] for line in lines]


def test_a_run_that_goes_on_is_the_same_as_one_that_did_not_stop(video, tmp_path, monkeypatch):
    chances, drawn = [], ScheduledSampling.forward
    monkeypatch.setattr(ScheduledSampling, 'forward', lambda self: chances.append(self.chance) or drawn(self))
    run(small_run(video, tmp_path / 'whole'))
    whole = refined_state(tmp_path / 'whole')

    def stopped():
        steps = SelfTrainingLoop.run_iter

        def stopping(self, batch):
            if self.iter == 2:
                raise KeyboardInterrupt
            steps(self, batch)

        SelfTrainingLoop.run_iter = stopping
        try:
            run(small_run(video, tmp_path / 'parts', interval=2))
        except KeyboardInterrupt:
            pass

    assert exit_code(in_child(stopped)) == 0
    assert not (tmp_path / 'parts/refined.pth').exists()
    cfg = small_run(video, tmp_path / 'parts', interval=2)
    cfg.resume = True
    run(cfg)
    falling = [0.9, 0.825, 0.75, 0.675]  # by a quarter of the way from 0.9 to 0.6 in each of four steps
    assert chances == pytest.approx(falling + falling[2:])
    assert same_state(whole, refined_state(tmp_path / 'parts'))
    assert losses_of(tmp_path / 'whole') == losses_of(tmp_path / 'parts')
    before = load_checkpoint_file(tmp_path / 'whole/teacher.pth')['state_dict']
    assert set(before) == set(whole) == set(CorrFlowEncoder(out_channels=16).state_dict())
    assert not torch.equal(before['conv1.weight'], whole['conv1.weight'])


def test_the_command_trains_the_demo_and_its_network_goes_on_on_another_video(video, tmp_path):
    options = ['crop_size=(32,32)', 'batch_size=2', 'max_iters=2', 'optim_wrapper.precision=bfloat16',
               'default_hooks.logger.interval=1', f'video={video / "frames"}']
    more = [f'load_from={tmp_path / "one/refined.pth"}', 'num_workers=0', 'held_out=0.']
    for name, folder, last in (('demo', 'one', []), ('video', 'two', more)):
        argv = [FOLDER / f'resnet18_{name}.py', '--work-dir', tmp_path / folder, '--cfg-options', *options, *last]
        assert status_of('train', *argv) == 0
    trained, start = refined_state(tmp_path / 'one'), load_checkpoint_file(tmp_path / 'two/teacher.pth')['state_dict']
    assert same_state(trained, start) and not same_state(trained, refined_state(tmp_path / 'two'))


def test_a_video_that_is_shorter_than_a_clip_is_refused(video, tmp_path, capsys):
    status = status_of('train', FOLDER / 'resnet18_demo.py', '--work-dir', tmp_path / 'a', '--cfg-options',
                       f'video={video / "frames"}', 'stride=4')
    assert status != 0 and 'has 6 frames, and a clip of 3 frames with stride=4 needs 9' in capsys.readouterr().err
