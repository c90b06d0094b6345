"""Both stages for tracks: a tracker labels rendered clips and learns from its labels; runs that go on are the same."""
from __future__ import annotations

import os
import signal

import numpy as np
import pytest
import torch
from mmengine.config import Config
from small_runs import ROOT, build, exit_code, in_child, refined_state, run, same_state, small_model

from mmrefine.compat.checkpoints import load_checkpoint_file
from mmrefine.engine import SelfTrainingLoop
from mmrefine.engine.hooks.rounds_hook import ROUNDS_INFO
from mmrefine.errors import ConfigError, StaleLabelsError
from mmrefine.fileio.atomic import save_checkpoint
from mmrefine.fileio.store.label_store import LabelStore
from mmrefine.models import TrackRefiner
from mmrefine.synthetic import write_clips

SIZE, FRAMES = (64, 96), 18
ESTIMATOR = dict(type='mmrefine.PIPs', feat_channels=16, mixer_channels=16, mixer_depth=1,
                 encoder_channels=(8, 8, 16, 16))
MODEL = dict(type='TrackRefiner', estimator=ESTIMATOR, train_iters=2, test_iters=2,
             losses=[dict(type='TrackSequenceLoss'), dict(type='ScoreMapLoss')])


@pytest.fixture(scope='module')
def video(tmp_path_factory):
    root = tmp_path_factory.mktemp('clips')
    write_clips(root, seeds=(1, 2), num_frames=FRAMES, size=SIZE, tracks=32)
    torch.manual_seed(3)
    network = TrackRefiner(ESTIMATOR).estimator
    save_checkpoint(root / 'start.pth', dict(state_dict=network.state_dict(), meta={}))
    return root


def config(video, work_dir, max_iters=4, interval=100, truth=False):
    cfg = Config.fromfile(ROOT / 'configs/_base_/default_runtime.py')
    data = dict(type='FrameClips', data_root=str(video / 'frames'))
    first = dict(type='LoadTrackTruth') if truth else dict(type='LoadTracks')
    pipeline = [first, dict(type='RandomCrop', size=(48, 64)), dict(type='RandomFlip'), dict(type='ClipDrift'),
                dict(type='ClipOcclude', sides=(4, 12)), dict(type='SampleTracks', count=16), dict(type='PackClip')]
    label = dict(
        type='PseudoLabelHook', dataset=dict(data), labeler=dict(
            type='TrackLabeler', view=dict(type='DirectTracks'), queries=dict(type='GridQueries', step=12),
            filters=[dict(type='TrackCycleFilter', threshold=60.), dict(type='TrackInsideFilter')]))
    train = dict(data, pipeline=pipeline, **(dict(truth_root=str(video / 'tracks')) if truth else {}))
    cfg.merge_from_dict(dict(
        work_dir=str(work_dir), load_from=str(video / 'start.pth'), model=MODEL,
        train_dataloader=dict(batch_size=2, num_workers=0, sampler=dict(type='DrawSampler', shuffle=True),
                              dataset=train),
        train_cfg=dict(type='SelfTrainingLoop', max_iters=max_iters),
        optim_wrapper=dict(type='OptimWrapper', optimizer=dict(type='AdamW', lr=1e-3), clip_grad=dict(max_norm=1.)),
        param_scheduler=dict(type='OneCycleLR', eta_max=1e-3, total_steps=6, by_epoch=False),
        default_hooks=dict(logger=dict(interval=1), checkpoint=dict(interval=interval)),
        custom_hooks=[] if truth else [label], randomness=dict(seed=125)))
    return cfg


def test_labels_of_two_rounds_are_compared_over_the_tracks_that_both_keep(video, tmp_path):
    cfg = config(video, tmp_path, max_iters=2)
    cfg.train_cfg.rounds, cfg.custom_hooks[0].relabel = 2, 'every_round'
    first, second = run(cfg).message_hub.runtime_info[ROUNDS_INFO]
    stores = [LabelStore.open(tmp_path / name) for name in ('labels', 'labels_round1')]
    both = either = 0
    for key in stores[0].keys():
        one, other = ({tuple(query) for query in store.read(key).queries.tolist()} for store in stores)
        both, either = both + len(one & other), either + len(one | other)
    assert first['agreement'] is None and second['agreement']['common'] == pytest.approx(both / either, abs=1e-6)
    assert 0 < second['agreement']['epe_mean'] < 50 and second['verdict'] == 'not compared'
    assert second['kept'] == pytest.approx(stores[1].manifest['extra']['summary']['kept'], abs=1e-5)


def test_a_tracker_learns_from_its_own_tracks_and_a_resumed_run_ends_the_same(video, tmp_path):
    run(config(video, tmp_path / 'whole'))
    store = LabelStore.open(tmp_path / 'whole/labels')
    assert store.codec.kind == 'tracks' and len(store.manifest['pairs']) == 4
    label = store.read('target_0001/frame_0001__frame_0008@1')
    assert label.points.shape[1:] == (8, 2) and len(label.points) > 5 and label.size == SIZE
    with np.load(next((tmp_path / 'whole/labels').rglob('*.npz'))) as plain:
        assert set(plain.files) == {'tracks', 'visible', 'queries', 'size'}
    before, after = load_checkpoint_file(video / 'start.pth')['state_dict'], refined_state(tmp_path / 'whole')
    assert set(before) == set(after) and any(not torch.equal(before[key], after[key]) for key in before)

    def killed():
        steps = SelfTrainingLoop.run_iter
        calls = []

        def dying(*args):
            calls.append(args)
            if len(calls) == 3:
                os.kill(os.getpid(), signal.SIGKILL)
            return steps(*args)

        SelfTrainingLoop.run_iter = dying
        run(config(video, tmp_path / 'parts', interval=2))

    assert exit_code(in_child(killed)) == -signal.SIGKILL
    cfg = config(video, tmp_path / 'parts', interval=2)
    cfg.resume = True
    run(cfg)
    assert same_state(after, refined_state(tmp_path / 'parts'))


def test_a_resumed_run_refuses_labels_of_other_clips_and_clips_of_another_length_are_refused_at_once(video, tmp_path):
    run(config(video, tmp_path / 'a', max_iters=2, interval=1))
    other = config(video, tmp_path / 'a')
    other.resume = True
    for part in (other.train_dataloader.dataset, other.custom_hooks[0].dataset):
        part.scenes = 'target_0001'
    with pytest.raises(StaleLabelsError, match='learned from other clips than those .* held_out'):
        run(other)
    long = config(video, tmp_path / 'b')
    for part in (long.train_dataloader.dataset, long.custom_hooks[0].dataset):
        part.frames = 9
    with pytest.raises(ConfigError, match='clips of 9 frames, and the network learns from 8; set frames=8'):
        run(long)
    flow = config(video, tmp_path / 'c')
    flow.model = dict(small_model(), type='ChainedFlow', losses=[])
    flow.load_from = None
    with pytest.raises(ConfigError, match='clips of 8 frames, and the network learns from 2'):
        run(flow)
    assert not (tmp_path / 'b/labels').exists() and not (tmp_path / 'c/labels').exists()


def test_a_tracker_learns_from_true_tracks(video, tmp_path):
    runner = run(config(video, tmp_path, truth=True))
    assert not (tmp_path / 'labels').exists() and runner.iter == 4


def test_labels_of_the_same_clips_are_the_same_bytes(video, tmp_path):
    for name in 'ab':
        runner = build(config(video, tmp_path / name))
        runner.load_or_resume()
        hook = next(hook for hook in runner.hooks if type(hook).__name__ == 'PseudoLabelHook')
        hook.label(runner, tmp_path / name / 'labels')
    found = [{path.relative_to(tmp_path / name): path.read_bytes() for path in (tmp_path / name / 'labels').rglob('*')
              if path.is_file()} for name in 'ab']
    assert found[0] == found[1] and sum(path.suffix == '.npz' for path in found[0]) == 4
