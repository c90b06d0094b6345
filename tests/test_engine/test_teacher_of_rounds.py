"""The teacher of later rounds: the running average of the student, through a run and through a kill."""
import os
import re
import shutil
import signal

import numpy as np
import pytest
import torch
from small_runs import (SIZE, copy_run, exit_code, files_of, in_child, in_two_processes, refined_state, run, same_state,
                        small_config, small_model, start_weights)

from mmrefine.apis import make_labels, train
from mmrefine.engine import SelfTrainingLoop
from mmrefine.engine.hooks.pseudo_label_hook import TEACHER_STATE
from mmrefine.errors import CheckpointError, ConfigError, StaleLabelsError
from mmrefine.fileio import LabelStore, write_flow
from mmrefine.fileio.digest import digest_of_state
from mmrefine.models.teachers.student import StudentAverage

AVERAGE = dict(type='StudentAverage', momentum=.3, warmup=1)


def config(material, work_dir, teacher=AVERAGE, **more):
    """Two rounds of three steps; checkpoints after 2, 4 and 6 steps."""
    cfg = small_config(material, work_dir, max_iters=6, rounds=2, relabel='every_round', interval=2, **more)
    cfg.custom_hooks[0].teacher = teacher
    return cfg


@pytest.fixture(scope='module')
def whole(material, tmp_path_factory):
    """The work dir of a run that nobody disturbed, and the weights of its student after each step."""
    work_dir, weights = tmp_path_factory.mktemp('whole') / 'run', []
    step = SelfTrainingLoop.run_iter

    def noting(self, batch):
        step(self, batch)
        weights.append({key: value.clone() for key, value in self.runner.model.estimator.state_dict().items()})

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SelfTrainingLoop, 'run_iter', noting)
        run(config(material, work_dir))
    return work_dir, weights


def test_round_0_is_labelled_by_the_start_and_round_1_by_the_average(material, whole):
    work_dir, weights = whole
    start = torch.load(material / 'start.pth', weights_only=True)['state_dict']
    average = dict(weights[0])                               # warm-up: the student after step 1
    for student in weights[1:3]:
        average = {key: torch.lerp(value, student[key], .3) if value.is_floating_point() else student[key] for key,
                   value in average.items()}
    found = [LabelStore.open(work_dir / name).fingerprint['teacher'] for name in ('labels', 'labels_round1')]
    assert found == [digest_of_state(start), digest_of_state(average)]


@pytest.mark.parametrize('step, resumed_at', [(3, 2), (4, 3), (5, 4)])
def test_a_run_killed_in_a_step_and_resumed_ends_with_the_same_labels_and_weights(material, whole, tmp_path, step,
                                                                                  resumed_at):
    work_dir, _ = whole

    def killed():
        original = SelfTrainingLoop.run_iter

        def deadly(self, batch):
            if self.iter == step - 1:
                os.kill(os.getpid(), signal.SIGKILL)
            original(self, batch)

        SelfTrainingLoop.run_iter = deadly
        run(config(material, tmp_path))

    assert exit_code(in_child(killed)) == -signal.SIGKILL
    assert (tmp_path / 'last_checkpoint').read_text().endswith(f'iter_{resumed_at}.pth')
    assert exit_code(in_child(lambda: run(config(material, tmp_path, resume=True)))) == 0
    for name in ('labels', 'labels_round1'):
        assert files_of(tmp_path / name) == files_of(work_dir / name), name
    assert same_state(refined_state(tmp_path), refined_state(work_dir))
    state, wanted = (torch.load(root / 'iter_6.pth', weights_only=False)[TEACHER_STATE]
                     for root in (tmp_path, work_dir))
    assert same_state(state, wanted) and int(state['steps']) > 1


def test_two_processes_average_to_the_same_teacher_in_both(material, tmp_path):
    half = dict(train_dataloader=dict(batch_size=1), launcher='pytorch')
    assert in_two_processes(lambda rank: run(config(material, tmp_path, **half))) == [0, 0]
    assert LabelStore.open(tmp_path / 'labels_round1').is_complete()


def test_a_checkpoint_without_the_average_is_not_resumed_with_one_and_its_own_teacher_goes_on(material, whole,
                                                                                              tmp_path):
    run(small_config(material, tmp_path / 'copy', max_iters=6, rounds=2, relabel='every_round', interval=2))
    for number in (4, 6):
        assert TEACHER_STATE not in torch.load(tmp_path / f'copy/iter_{number}.pth', weights_only=False)
    found = [LabelStore.open(root / 'labels_round1').fingerprint['teacher'] for root in (tmp_path / 'copy', whole[0])]
    assert found[0] != found[1]
    work_dir = copy_run(tmp_path / 'copy', tmp_path / 'resumed')
    (work_dir / 'last_checkpoint').write_text(str(work_dir / 'iter_4.pth'))
    with pytest.raises(CheckpointError, match="has no 'mmrefine_teacher', which StudentAverage needs to go on; resume "
                                              'with the teacher'):
        run(config(material, work_dir, resume=True))


@pytest.mark.parametrize('key, value, sentence', [
    ('steps', 'x', "'mmrefine_teacher.steps' must be a finite number, got 'x'"),
    ('steps', None, "'mmrefine_teacher' must be a dict with 'steps', got {"),
    ('module.estimator.encoder.conv1.weight', torch.zeros(3), "conv1.weight' must be finite numbers of the shape ("),
])
def test_a_damaged_average_is_one_sentence(material, whole, tmp_path, key, value, sentence):
    work_dir = copy_run(whole[0], tmp_path / 'resumed')
    checkpoint = torch.load(work_dir / 'iter_4.pth', weights_only=False)
    assert key in checkpoint[TEACHER_STATE]
    checkpoint[TEACHER_STATE] = {k: v if k != key else value for k, v in checkpoint[TEACHER_STATE].items()
                                 if k != key or value is not None}
    torch.save(checkpoint, work_dir / 'iter_4.pth')
    (work_dir / 'last_checkpoint').write_text(str(work_dir / 'iter_4.pth'))
    with pytest.raises(CheckpointError, match='is damaged, its ' + '.*' + re.escape(sentence)):
        run(config(material, work_dir, resume=True))


def test_a_checkpoint_with_the_average_is_not_resumed_without_one(material, whole, tmp_path):
    work_dir = copy_run(whole[0], tmp_path / 'resumed')
    (work_dir / 'last_checkpoint').write_text(str(work_dir / 'iter_4.pth'))
    with pytest.raises(CheckpointError, match="has a 'mmrefine_teacher' of another teacher than StudentCopy; resume"):
        run(small_config(material, work_dir, max_iters=6, rounds=2, relabel='every_round', interval=2, resume=True))


def test_stage_1_alone_begins_with_the_student_as_a_training_does(material, whole, tmp_path, monkeypatch):
    calls = []
    for name in ('start', 'frozen'):
        original = getattr(StudentAverage, name)
        monkeypatch.setattr(StudentAverage, name, lambda self, student, name=name, original=original: (
            calls.append(name), original(self, student))[1])
    make_labels(config(material, tmp_path / 'run'))
    assert calls == ['start', 'frozen']
    assert files_of(tmp_path / 'run/labels') == files_of(whole[0] / 'labels')


def test_a_checkpoint_of_another_run_starts_a_new_average(material, whole, tmp_path):
    cfg = config(material, tmp_path, load_from=str(whole[0] / 'iter_6.pth'))
    cfg.train_cfg.max_iters, cfg.train_cfg.rounds = 1, 1
    run(cfg)
    start = LabelStore.open(tmp_path / 'labels').fingerprint['teacher']
    assert start == digest_of_state(refined_state(whole[0]))


def test_stored_motion_teaches_a_student_that_starts_from_nothing(material, tmp_path):
    for scene in (material / 'frames').iterdir():
        names = sorted(path.stem for path in scene.iterdir())
        for one, two, way in [pair for a, b in zip(names, names[1:]) for pair in ((a, b, 1), (b, a, -1))]:
            flow = np.full((*SIZE, 2), 2. * way, np.float32)
            write_flow(tmp_path / 'motion' / scene.name / f'{one}__{two}.flo', flow)
    cfg = small_config(material, tmp_path / 'run', max_iters=1, load_from=None)
    with pytest.raises(ConfigError, match='load_from is not set, so the labels would come from random weights'):
        train(cfg)
    cfg.custom_hooks[0].teacher = dict(type='StoredMotion', root=str(tmp_path / 'motion'))
    train(cfg)
    store = LabelStore.open(tmp_path / 'run/labels')
    assert len(store.keys()) == 4
    for key in store.keys():
        label = store.read(key)
        assert (label.flow[:, label.weight[0] > 0] == 2.).all() and label.weight[:, :-2, :-2].all()
        assert not label.weight[:, -2:].any() and not label.weight[..., -2:].any()  # leaves the frame


def other_network(material, weights):
    return dict(type='OtherNetwork', model=small_model(), checkpoint=str(material / weights))


def test_the_student_under_another_name_gives_the_same_labels_and_the_manifest_says_who_it_was(material, tmp_path):
    shutil.copy(material / 'start.pth', tmp_path / 'other.pth')
    teachers = dict(copy=None, other=other_network(tmp_path, 'other.pth'))
    stores = {}
    for name, teacher in teachers.items():
        cfg = small_config(material, tmp_path / name, max_iters=1)
        cfg.custom_hooks[0].teacher = teacher
        run(cfg)
        stores[name] = LabelStore.open(tmp_path / name / 'labels')
    copy, other = (store.manifest for store in stores.values())
    assert copy['files'] == other['files'] and copy['fingerprint'] == other['fingerprint']
    assert (copy['extra'].pop('labelled_by'), other['extra'].pop('labelled_by')) == (
        'RAFT with the weights of start.pth', 'RAFT with the weights of other.pth')
    assert copy['extra'] == other['extra']
    assert same_state(refined_state(tmp_path / 'copy'), refined_state(tmp_path / 'other'))


def test_a_run_taught_by_another_network_keeps_its_own_start_and_is_not_resumed_with_another_teacher(material,
                                                                                                     tmp_path):
    for seed in (4, 5):
        start_weights(tmp_path / f'{seed}.pth', seed)

    def config_of(seed, work_dir=tmp_path / 'run', **more):
        cfg = small_config(material, work_dir, max_iters=4, interval=2, **more)
        cfg.custom_hooks[0].teacher = other_network(tmp_path, f'{seed}.pth')
        return cfg

    run(config_of(4))
    digest = {name: digest_of_state(torch.load(path, weights_only=True)['state_dict']) for name, path in (
        ('start', material / 'start.pth'), ('before', tmp_path / 'run/teacher.pth'), ('teacher', tmp_path / '4.pth'))}
    # `teacher.pth` is what the student was, whoever taught it
    assert digest['before'] == digest['start'] != digest['teacher']
    store = LabelStore.open(tmp_path / 'run/labels')
    assert store.fingerprint['teacher'] == digest['teacher']
    assert store.manifest['extra']['labelled_by'] == 'RAFT with the weights of 4.pth'
    wanted = refined_state(tmp_path / 'run')
    resumed = copy_run(tmp_path / 'run', tmp_path / 'resumed')
    for root in (tmp_path / 'run', resumed):
        (root / 'last_checkpoint').write_text(str(root / 'iter_2.pth'))
    with pytest.raises(StaleLabelsError, match=r'learned from labels of teacher \w+, and PseudoLabelHook\.teacher is '
                                               r'RAFT with the weights of 5\.pth, teacher \w+; resume with the'):
        run(config_of(5, resume=True))
    (tmp_path / '4.pth').unlink()  # nobody asks it any more
    run(config_of(4, work_dir=resumed, resume=True))
    assert same_state(refined_state(resumed), wanted)


def test_a_run_of_several_teachers_is_not_resumed_with_others(material, tmp_path):
    for seed in (4, 5):
        start_weights(tmp_path / f'{seed}.pth', seed)

    def config_of(*seeds, **more):
        cfg = small_config(material, tmp_path / 'run', max_iters=4, interval=2, **more)
        cfg.custom_hooks[0].labeler.view = dict(type='ArbitratedView', scales=(1., ), flip=False)
        cfg.custom_hooks[0].teacher = [AVERAGE, *(other_network(tmp_path, f'{seed}.pth') for seed in seeds)]
        return cfg

    run(config_of(4))
    store = LabelStore.open(tmp_path / 'run/labels')
    start, other = (digest_of_state(torch.load(path, weights_only=True)['state_dict'])
                    for path in (material / 'start.pth', tmp_path / '4.pth'))
    assert store.fingerprint['teacher'] == f'{start}+{other}'
    assert store.manifest['extra']['labelled_by'] == (
        'RAFT with the weights of start.pth and RAFT with the weights of 4.pth')
    wanted = refined_state(tmp_path / 'run')
    (tmp_path / 'run/last_checkpoint').write_text(str(tmp_path / 'run/iter_2.pth'))
    with pytest.raises(StaleLabelsError, match=r'learned from labels of teacher \w+\+\w+, and PseudoLabelHook\.teacher '
                                               r'is RAFT with the weights of 5\.pth, teacher \w+; resume with the'):
        run(config_of(5, resume=True))
    with pytest.raises(StaleLabelsError, match=r'PseudoLabelHook\.teacher is a list of 3; resume with the teacher'):
        run(config_of(4, 4, resume=True))
    run(config_of(4, resume=True))
    assert same_state(refined_state(tmp_path / 'run'), wanted)


def test_labels_of_another_teacher_in_the_folder_are_refused(material, tmp_path):
    make_labels(small_config(material, tmp_path / 'run'))
    start_weights(tmp_path / '4.pth', 4)
    cfg = small_config(material, tmp_path / 'run')
    cfg.custom_hooks[0].teacher = other_network(tmp_path, '4.pth')
    with pytest.raises(StaleLabelsError, match='teacher'):
        make_labels(cfg)
