"""Whole runs on labelled and unlabelled clips together, of a few steps."""
from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest
from mmengine.dist import get_rank
from small_runs import (SIZE, build, exit_code, files_of, in_child, in_two_processes, refined_state, run, same_state,
                        small_config)

from mmrefine.engine import SelfTrainingLoop
from mmrefine.errors import ConfigError, InputError
from mmrefine.synthetic import write_clips

STEPS, ROUNDS = 6, 3
FADING = dict(labelled=[(0., 0.5), (1., 0.1)])
AUGMENTED = [dict(type='RandomCrop', size=(48, 64)), dict(type='RandomFlip'), dict(type='PackPair')]


@pytest.fixture(scope='module')
def source(tmp_path_factory):
    """A folder with two rendered clips of six frames of the source style (frames/, flow/)."""
    root = tmp_path_factory.mktemp('source')
    write_clips(root, seeds=(5, 6), num_frames=6, size=SIZE, style='source')
    return root


def parts_of(material: Path, source: Path):
    frames = dict(type='FramePairs', data_root=str(material / 'frames'))
    truth = dict(type='FramePairs', data_root=str(source / 'frames'), truth_root=str(source / 'flow'))
    return dict(labelled=dict(truth, pipeline=[dict(type='LoadTruth'), *AUGMENTED]),
                unlabelled=dict(frames, pipeline=[dict(type='LoadLabel'), *AUGMENTED]))


def config(material, source, work_dir, shares=FADING, batch_size=4, **more):
    """Three rounds of two steps, with labels of their own; the truth fades out."""
    cfg = small_config(material, work_dir, max_iters=STEPS, rounds=ROUNDS, relabel='every_round', interval=1, **more)
    cfg.custom_hooks[0].labeler.filters = [dict(type='CycleFilter', alpha=0.5, beta=20.)]  # random weights must pass
    weights = dict(unlabelled=[(0., 0.5), (0.5, 1.)])
    cfg.train_dataloader.dataset = dict(type='MixedPairs', parts=parts_of(material, source), loss_weights=weights)
    cfg.train_dataloader.sampler = dict(type='MixedSampler', shares=shares)
    cfg.train_dataloader.batch_size = batch_size
    return cfg


@pytest.fixture(scope='module')
def whole(material, source, tmp_path_factory):
    """The work dir of a run that nobody disturbed."""
    work_dir = tmp_path_factory.mktemp('whole')
    run(config(material, source, work_dir, report=True))
    return work_dir


def test_labels_are_made_of_the_unlabelled_part_only_and_anew_in_each_round(whole):
    for store in ('labels', 'labels_round1', 'labels_round2'):
        labels = [name for name in files_of(whole / store) if name.endswith('.png')]
        assert len(labels) == 4 and all(name.startswith('target_') for name in labels)
    assert files_of(whole / 'labels') != files_of(whole / 'labels_round1')


def test_the_log_has_figures_and_share_of_each_part(whole):
    log, = whole.glob('*/vis_data/scalars.json')
    steps = [line for line in map(json.loads, log.read_text().splitlines()) if 'share_labelled' in line]
    assert len(steps) == STEPS
    # 0.5, 0.43, 0.37, 0.3, … of four pairs add up to 2, 3.73, 5.2, 6.4, 7.33, 8 pairs
    assert [4 * line['share_labelled'] for line in steps] == [2, 2, 1, 1, 1, 1]
    assert {'epe_to_label_labelled', 'epe_to_label_unlabelled', 'label_share_unlabelled'} <= set(steps[0])
    assert steps[0]['label_share_labelled'] == 1
    assert steps[-1]['share_unlabelled'] == pytest.approx(1 - steps[-1]['share_labelled'])


def test_the_report_judges_what_it_is_told_to(whole):
    report = json.loads((whole / 'report.json').read_text())
    assert report['groups']['refined']['pairs'] == 4 and report['labels']['labels'] == 4
    assert set(report['labels']['scenes']) == {'target_0001', 'target_0002'}


@pytest.mark.parametrize('step, workers', [(4, 0), (5, 2)])  # in the middle of round 1, and at the end of it
def test_a_run_that_is_killed_and_resumed_ends_with_the_same_weights(material, source, whole, tmp_path, step, workers):
    loader = dict(num_workers=workers, persistent_workers=workers > 0)

    def killed():
        run_iter, calls = SelfTrainingLoop.run_iter, []

        def dying(self, batch):
            calls.append(batch)
            if len(calls) == step:
                os.kill(os.getpid(), signal.SIGKILL)
            run_iter(self, batch)

        SelfTrainingLoop.run_iter = dying
        run(config(material, source, tmp_path / 'run', train_dataloader=loader))

    assert exit_code(in_child(killed)) == -signal.SIGKILL
    assert Path((tmp_path / 'run/last_checkpoint').read_text()).name == f'iter_{step - 1}.pth'
    run(config(material, source, tmp_path / 'run', train_dataloader=loader, resume=True))
    assert same_state(refined_state(tmp_path / 'run'), refined_state(whole))


@pytest.mark.parametrize('name', ['labelled', 'unlabelled'])
def test_all_of_one_part_is_training_on_it_alone_to_the_bit(material, source, whole, tmp_path, name):
    mixed = config(material, source, tmp_path / 'mixed', {**dict(labelled=0., unlabelled=0.), name: 1.})
    mixed.train_dataloader.dataset.loss_weights = {}
    alone = config(material, source, tmp_path / 'alone')
    alone.train_dataloader.dataset = parts_of(material, source)[name]
    alone.train_dataloader.sampler = dict(type='DrawSampler', shuffle=True)
    for cfg in (mixed, alone):
        cfg.train_cfg.rounds = 1
        cfg.custom_hooks = cfg.custom_hooks if name == 'unlabelled' else []
        run(cfg)
    assert same_state(refined_state(tmp_path / 'mixed'), refined_state(tmp_path / 'alone'))
    assert not same_state(refined_state(tmp_path / 'mixed'), refined_state(whole))


def test_two_processes_share_the_draws_of_one_and_each_batch_has_both_parts(material, source, tmp_path):
    def work(batch_size, **more):
        runner = build(config(material, source, tmp_path / f'run{batch_size}', dict(labelled=0.5), batch_size, **more))
        step, parts = runner.model.train_step, []

        def recording(data, optim_wrapper):
            parts.append([(sample.part.name, sample.key) for sample in data['data_samples']])
            (tmp_path / f'drawn{batch_size}_{get_rank()}').write_text(json.dumps(parts))
            return step(data, optim_wrapper)

        runner.model.train_step = recording
        runner.train()

    assert exit_code(in_child(lambda: work(4))) == 0
    assert in_two_processes(lambda rank: work(2, launcher='pytorch')) == [0, 0]
    whole, first, second = (json.loads((tmp_path / f'drawn{name}').read_text()) for name in ('4_0', '2_0', '2_1'))
    assert len(whole) == STEPS
    for batch, one, two in zip(whole, first, second):
        assert sorted(one + two) == sorted(batch)
        assert [[name for name, _ in part] for part in (one, two)] == [['labelled', 'unlabelled']] * 2


@pytest.mark.parametrize('judge, message', [
    (dict(type='ReportHook', groups=dict(refined=None)), 'ReportHook.groups.refined judges on 12 frames'),
    (dict(type='RegressionGuardHook', dataset=None), 'RegressionGuardHook.dataset judges on 6 frames'),
])
def test_a_run_that_would_be_judged_on_what_it_knows_is_refused(material, source, tmp_path, judge, message):
    cfg = config(material, source, tmp_path)
    data = dict(type='FramePairs', data_root=str(source / 'frames'), pipeline=[dict(type='PackPair')])
    held = dict(data, held_out=0.5, held=True)
    cfg.custom_hooks = [dict(judge, groups=dict(refined=data)) if 'groups' in judge else dict(judge, dataset=held)]
    with pytest.raises(ConfigError, match=message):
        run(cfg)
    assert not (tmp_path / 'labels').exists()


def test_truth_that_is_missing_stops_the_run_before_anything_is_labelled(material, source, tmp_path):
    cfg = config(material, source, tmp_path)
    cfg.train_dataloader.dataset.parts.labelled.truth_root = str(material / 'flow')
    with pytest.raises(InputError, match='parts.labelled: 10 of 10 frame pairs have no ground truth in .*/flow'):
        run(cfg)
    assert not (tmp_path / 'labels').exists()
