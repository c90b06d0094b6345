"""A run that is killed at any moment and resumed ends like one that was not."""
from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest
from mmengine.fileio import LocalBackend
from small_runs import exit_code, files_of, in_child, refined_state, run, same_state, small_config

import mmrefine.engine.hooks.checkpoint_hook as checkpoint_hook
import mmrefine.fileio.store.label_store as label_store
from mmrefine.compat.checkpoints import load_checkpoint_file
from mmrefine.engine import ReportHook, SelfTrainingLoop
from mmrefine.engine.hooks.report_hook import RUN_INFO
from mmrefine.fileio.atomic import save_checkpoint


def config(material, work_dir, **more):
    """Two rounds of three steps, each with its own labels; checkpoints after 2, 4 and 6 steps, and after round 0."""
    return small_config(material, work_dir, max_iters=6, rounds=2, relabel='every_round', interval=2, **more)


@pytest.fixture(scope='module')
def whole(material, tmp_path_factory):
    """The work dir of a run that nobody disturbed."""
    work_dir = tmp_path_factory.mktemp('whole')
    assert exit_code(in_child(lambda: run(config(material, work_dir, report=True)))) == 0
    return work_dir


def at_call(owner, name, number, action):
    """Do ``action`` when ``owner.name`` is called for the ``number``-th time, before it."""
    original, calls = getattr(owner, name), []

    def counting(*args, **kwargs):
        calls.append(args)
        if len(calls) == number:
            action()
        return original(*args, **kwargs)

    setattr(owner, name, counting)
    return calls


def die_at_call(owner, name, number, half_first=False):
    """SIGKILL this process when ``owner.name`` is called for the ``number``-th time."""

    def die():
        if half_first:  # LocalBackend.put(self, data, path)
            _, data, path = calls[-1][:3]
            Path(path).write_bytes(data[:len(data) // 2])
        os.kill(os.getpid(), signal.SIGKILL)

    calls = at_call(owner, name, number, die)


# a store takes 1 call of write_json to begin, 4 for the labels, 1 to end
MOMENTS = {
    'while the third label is written': (label_store, 'write_json', 4, 0),
    'in step 2, before any checkpoint': (SelfTrainingLoop, 'run_iter', 2, 0),
    'in step 3': (SelfTrainingLoop, 'run_iter', 3, 2),
    'while round 1 is labelled': (label_store, 'write_json', 9, 3),
    'in the last step': (SelfTrainingLoop, 'run_iter', 6, 4),
    'between a checkpoint and its entry': (checkpoint_hook, 'write_bytes', 3, 3),
    'while the report is made': (ReportHook, '_record', 1, 6),
}


@pytest.mark.parametrize('moment', MOMENTS)
def test_a_run_killed(material, whole, tmp_path, moment):
    owner, name, number, resumed_at = MOMENTS[moment]
    report = resumed_at == 6  # it costs as much as the rest

    def killed():
        die_at_call(owner, name, number)
        run(config(material, tmp_path, report=report))

    assert exit_code(in_child(killed)) == -signal.SIGKILL
    last = tmp_path / 'last_checkpoint'
    assert (Path(last.read_text()).name if last.exists() else 'iter_0.pth') == f'iter_{resumed_at}.pth'
    if report:
        labels_seconds = add_seconds(tmp_path / 'iter_6.pth', 100)
    assert exit_code(in_child(lambda: run(config(material, tmp_path, report=report, resume=True)))) == 0
    expect_the_same_end(tmp_path, whole)
    if report:  # of labels that were made before the kill, too
        found, wanted = (json.loads((folder / 'report.json').read_text()) for folder in (tmp_path, whole))
        assert found['groups'] == wanted['groups'] and found['labels'] == wanted['labels']
        assert found['settings']['load_from'] == wanted['settings']['load_from'] == str(material / 'start.pth')
        assert found['timings']['labels_seconds'] == labels_seconds > 0 and found['timings']['train_seconds'] > 100
        assert {'mmcv', 'mmflow'} <= set(found['versions'])
        assert found['labels']['store'] == 'labels_round1' and found['timings']['resumed_at_iter'] == 6
        assert len(list(tmp_path.glob('pictures/*/*.png'))) == len(wanted['pictures']) == 4


def add_seconds(path, more):
    """Let the run of a checkpoint have trained for longer; the time that its labels took."""
    checkpoint = load_checkpoint_file(path)
    known = checkpoint['message_hub']['runtime_info'][RUN_INFO]
    assert 0 < known['train_seconds'] < 100
    known['train_seconds'] += more
    save_checkpoint(path, checkpoint)
    return known['labels_seconds']


@pytest.mark.parametrize('step, workers', [(1, 0), (5, 0), (5, 1)])
def test_a_run_interrupted_at_an_odd_step_loses_none(material, whole, tmp_path, step, workers):
    loader = dict(train_dataloader=dict(num_workers=workers, persistent_workers=workers > 0))

    def interrupted():
        signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job begins with Ctrl-C ignored
        os.setpgid(0, 0)
        # a terminal sends it to the processes that load data, too
        at_call(SelfTrainingLoop, 'run_iter', step, lambda: os.killpg(0, signal.SIGINT))
        with pytest.raises(KeyboardInterrupt):
            run(config(material, tmp_path, **loader))

    assert exit_code(in_child(interrupted)) == 0
    kept = {1: [1], 5: [4, 5]}[step]
    assert sorted(path.name for path in tmp_path.glob('iter_*')) == [f'iter_{number}.pth' for number in kept]
    assert Path((tmp_path / 'last_checkpoint').read_text()).name == f'iter_{step}.pth'
    assert exit_code(in_child(lambda: run(config(material, tmp_path, resume=True, **loader)))) == 0
    expect_the_same_end(tmp_path, whole)
    assert sorted(path.name for path in tmp_path.glob('iter_*')) == ['iter_4.pth' if step == 1 else 'iter_5.pth',
                                                                     'iter_6.pth']


def test_what_a_model_draws_is_drawn_again(material, tmp_path):
    """Starts and positions come from torch's global generator, whose state no checkpoint has."""
    losses = [dict(type='MaskedSequenceLoss'), dict(type='ContrastiveFlowLoss', mode='sampled', positions=8)]
    drawing = dict(losses=losses, train_start=dict(type='RandomStart'))

    def short(name, **more):
        return small_config(material, tmp_path / name, max_iters=3, interval=2, model=drawing, **more)

    def killed():
        die_at_call(SelfTrainingLoop, 'run_iter', 3)
        run(short('killed'))

    assert exit_code(in_child(lambda: run(short('whole')))) == 0
    assert exit_code(in_child(killed)) == -signal.SIGKILL
    assert exit_code(in_child(lambda: run(short('killed', resume=True)))) == 0
    assert (tmp_path / 'killed/refined.pth').read_bytes() == (tmp_path / 'whole/refined.pth').read_bytes()


def expect_the_same_end(work_dir, whole):
    for name in ('refined.pth', 'teacher.pth'):
        assert (work_dir / name).read_bytes() == (whole / name).read_bytes(), name
    for name in ('labels', 'labels_round1'):
        assert files_of(work_dir / name) == files_of(whole / name), name
    assert not list(work_dir.rglob('.mmrefine-*'))


def test_half_a_checkpoint_never_gets_a_name(material, whole, tmp_path):
    def killed():
        die_at_call(LocalBackend, 'put', 2, half_first=True)
        run(config(material, tmp_path))

    assert exit_code(in_child(killed)) == -signal.SIGKILL
    assert [path.name for path in tmp_path.glob('iter_*')] == ['iter_2.pth']
    assert len(list(tmp_path.glob('.mmrefine-*'))) == 1
    assert exit_code(in_child(lambda: run(config(material, tmp_path, resume=True)))) == 0
    expect_the_same_end(tmp_path, whole)


def test_the_rounds_have_different_labels_and_old_checkpoints_go(whole):
    one, two = files_of(whole / 'labels'), files_of(whole / 'labels_round1')
    assert one.keys() == two.keys() and one['fingerprint.json'] != two['fingerprint.json']
    png = 'target_0001/frame_0001__frame_0002.png'
    assert one[png] != two[png]
    assert sorted(path.name for path in whole.glob('iter_*')) == ['iter_4.pth', 'iter_6.pth']


def test_a_worker_process_changes_nothing(material, whole, tmp_path):
    # a persistent worker keeps its copy of the data, which must not go on with the labels of round 0
    in_worker = dict(train_dataloader=dict(num_workers=1, persistent_workers=True))
    assert exit_code(in_child(lambda: run(config(material, tmp_path, **in_worker)))) == 0
    assert same_state(refined_state(tmp_path), refined_state(whole))
