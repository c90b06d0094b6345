"""A run goes on from the newest checkpoint that is whole, and says so; else it says in one sentence what to do."""
from __future__ import annotations

import math
import os
import shutil

import pytest
import torch
from mmengine.logging import HistoryBuffer
from small_runs import build, copy_run, files_of, small_config

from mmrefine.apis import train
from mmrefine.engine.hooks.checkpoint_hook import wanted_state
from mmrefine.engine.runtime.resume_point import find_resume_point, resume_fault
from mmrefine.errors import CheckpointError, LabelStoreError


def config(material, work_dir, **more):
    return small_config(material, work_dir, max_iters=3, interval=1, **more)


@pytest.fixture(scope='module')
def whole(material, tmp_path_factory):
    """The work dir of a run of three steps, which keeps its checkpoints of steps 2 and 3."""
    work_dir = tmp_path_factory.mktemp('whole') / 'run'
    train(config(material, work_dir))
    return work_dir


@pytest.fixture(scope='module')
def wanted(material, tmp_path_factory):
    """What the checkpoints of such a run hold, by a run that has not begun."""
    return wanted_state(build(config(material, tmp_path_factory.mktemp('fresh'))))


def change(path, edit):
    """The checkpoint, edited."""
    checkpoint = torch.load(path, weights_only=True)
    edit(checkpoint)
    torch.save(checkpoint, path)


def flip(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


class Call:
    """Pickles as a call."""

    def __reduce__(self):
        return os.mkdir, ('made_by_a_checkpoint', )


DAMAGES = {
    'is empty': (lambda path: path.write_bytes(b''), 'the checkpoint is empty'),
    'is cut': (lambda path: os.truncate(path, path.stat().st_size // 2), 'the checkpoint is cut off or damaged'),
    'has a flipped bit': (flip, 'the checkpoint is cut off or damaged'),
    'is a folder': (lambda path: (path.unlink(), path.mkdir()), 'found a folder, wanted a checkpoint file'),
    'is a web page': (lambda path: path.write_bytes(b'<html>'), 'is a web page'),
    'runs code': (lambda path: torch.save(dict(state_dict=Call()), path), 'refused, because it holds Python code'),
    'runs the code of a config': (lambda path: change(path, lambda c: c['meta'].update(
        config='import os; os.mkdir("made_by_a_checkpoint")')), "its 'meta' holds a 'config'"),
    'has no meta': (lambda path: change(path, lambda c: c.pop('meta')), "it has no 'meta', so it is not a"),
    'has a step below 0': (lambda path: change(path, lambda c: c['meta'].update(iter=-1)), "its 'meta' has no valid"),
    'has no step': (lambda path: change(path, lambda c: c['meta'].pop('iter')), "its 'meta' has no valid 'iter'"),
    'has no message hub': (lambda path: change(path, lambda c: c.pop('message_hub')), "it has no 'message_hub'"),
    'has half a message hub': (lambda path: change(path, lambda c: c['message_hub'].pop('log_scalars')),
                               "its 'message_hub' has no valid 'log_scalars'"),
    'has no optimizer': (lambda path: change(path, lambda c: c.pop('optimizer')), "it has no 'optimizer'"),
    'has no schedules': (lambda path: change(path, lambda c: c.pop('param_schedulers')),
                         "it has no 'param_schedulers'"),
    'has no weights': (lambda path: change(path, lambda c: c.update(state_dict={})), 'it: wanted parameter names'),
    'has an expanded optimizer': (lambda path: change(path, lambda c: c['optimizer']['state'][0].update(
        exp_avg=torch.zeros(1).expand(10**12))), "'optimizer.state.0.exp_avg' is expanded"),
}


def put(checkpoint, place, value):
    """Set a value of a checkpoint by dotted keys."""
    *keys, last = (int(key) if key.isdigit() else key for key in place.replace('mmrefine', 'message_hub.runtime_info.'
                                                                                           'mmrefine').split('.'))
    for key in keys:
        checkpoint = checkpoint[key]
    if value is None:
        del checkpoint[last]
    else:
        checkpoint[last] = value


def odd_log():
    """More values than counts."""
    log = HistoryBuffer([1., 2.], [1, 1])
    log._count_history = log._count_history[:1]
    return log


# place -> value of another structure (None: gone), and what is said of it
OTHERS = [
    ('optimizer.param_groups', [], "'optimizer.param_groups' must be a list of 1 values, got []"),
    ('optimizer.param_groups.0.lr', 'fast', "'optimizer.param_groups.0.lr' must be a finite number, got 'fast'"),
    ('optimizer.param_groups.0.lr', math.nan, "'optimizer.param_groups.0.lr' must be a finite number, got nan"),
    ('optimizer.param_groups.0.betas', 5, "'optimizer.param_groups.0.betas' must be a list of 2 values, got 5"),
    ('optimizer.param_groups.0.amsgrad', 'no', "'optimizer.param_groups.0.amsgrad' must be of the type bool, got 'no'"),
    ('optimizer.param_groups.0.initial_lr', None, "'optimizer.param_groups.0' must be a dict with 'initial_lr', got {"),
    ('optimizer.param_groups.0.params', [0, 1], "'optimizer.param_groups.0.params' must be a list of "),
    ('optimizer.state', [], "'optimizer.state' must be a dict, got []"),
    ('optimizer.state', None, "'optimizer' must be a dict with 'state', got {"),
    ('optimizer.state.0', 5, "'optimizer.state.0' must be a dict with 'step', got 5"),
    ('optimizer.state.0.exp_avg', None, "'optimizer.state.0' must be a dict with 'exp_avg', got {"),
    ('optimizer.state.0.exp_avg', torch.zeros(7), "'optimizer.state.0.exp_avg' must be finite numbers of the shape ("),
    ('optimizer.state.0.step', torch.tensor(math.inf), "'optimizer.state.0.step' must be a finite number, got tensor("),
    ('optimizer.param_groups.0.betas', (2., 2.), "'optimizer' cannot be used ("),
    ('optimizer.state.0.step', torch.tensor(-5.), "'optimizer' cannot be used ("),
    ('optimizer.param_groups.0.params.1', 0, "'optimizer' cannot be used (ValueError: 'its groups have other"),
    ('param_schedulers.0.param_name', 'nope', "'param_schedulers.0.param_name' must be 'lr', got 'nope'"),
    ('mmrefine_labels.quality', dict(scene='x'), "mmrefine_labels.quality' must be a dict with 'verdict', got {"),
    ('param_schedulers', {}, "'param_schedulers' must be a list of 1 values, got {}"),
    ('param_schedulers', [], "'param_schedulers' must be a list of 1 values, got []"),
    ('param_schedulers.0', [], "'param_schedulers.0' must be a dict with '"),
    ('param_schedulers.0.step', 5, "'param_schedulers.0' must be a dict without 'step', got {"),
    ('param_schedulers.0.last_step', 'x', "'param_schedulers.0.last_step' must be a whole number, got 'x'"),
    ('param_schedulers.0.last_step', 1.5, "'param_schedulers.0.last_step' must be a whole number, got 1.5"),
    ('param_schedulers.0._last_value', [], "'param_schedulers.0._last_value' must be a list of 1 values, got []"),
    ('param_schedulers.0.anneal_func', HistoryBuffer.min, "'param_schedulers.0.anneal_func' must be the function "),
    ('message_hub.log_scalars.train/loss', 5, "'message_hub.log_scalars.train/loss' must be a log of numbers, got 5"),
    ('message_hub.log_scalars.train/loss', odd_log(), "'message_hub.log_scalars.train/loss' must be a log of numbers"),
    ('message_hub.resumed_keys.iter', 5, "'message_hub.resumed_keys.iter' must be a bool, got 5"),
    ('message_hub.runtime_info.keep_ckpt_ids', 5, "keep_ckpt_ids' must be a list, got 5"),
    ('message_hub.runtime_info.keep_ckpt_ids', ['x'], "keep_ckpt_ids.0' must be a whole number, got 'x'"),
    ('mmrefine_guard', 5, "mmrefine_guard' must be a dict with 'verdict', got 5"),
    ('mmrefine_guard', dict(verdict=[], reason=''), "mmrefine_guard.verdict' must be of the type str, got []"),
    ('mmrefine_guard_looks', 5, "mmrefine_guard_looks' must be a list, got 5"),
    ('mmrefine_guard_looks', [5], "mmrefine_guard_looks.0' must be a dict with 'iter', got 5"),
    ('mmrefine_guard_looks', [dict(iter='x', change_percent=0.)],
     "mmrefine_guard_looks.0.iter' must be a whole number, got 'x'"),
    ('mmrefine_guard_looks', [dict(iter=1, change_percent=[])],
     "mmrefine_guard_looks.0.change_percent' must be a float, got []"),
    ('mmrefine_labels', [], "mmrefine_labels' must be a dict with 'store', got []"),
    ('mmrefine_labels.store', 5, "mmrefine_labels.store' must be of the type str, got 5"),
    ('mmrefine_labels.summary', 5, "mmrefine_labels.summary' must be a dict, got 5"),
    ('mmrefine_run', dict(train_seconds='x'), "mmrefine_run.train_seconds' must be a finite number, got 'x'"),
    ('mmrefine_original', 5, "mmrefine_original' must be of the type str, got 5"),
    ('meta.seed', 'x', "'meta.seed' must be a whole number, got 'x'"),
]
DAMAGES.update({f'has another {place} ({at})': (lambda path, place=place, value=value: change(
    path, lambda c: put(c, place, value)), sentence) for at, (place, value, sentence) in enumerate(OTHERS)})


@pytest.mark.parametrize('how', DAMAGES)
def test_a_run_whose_last_checkpoint(whole, wanted, tmp_path, monkeypatch, capsys, how):
    monkeypatch.chdir(tmp_path)
    damage, sentence = DAMAGES[how]
    work_dir = copy_run(whole, tmp_path / 'run')
    damage(work_dir / 'iter_3.pth')
    assert find_resume_point(work_dir, wanted, log=print) == work_dir / 'iter_2.pth'
    line, = capsys.readouterr().out.splitlines()
    assert line.startswith(f'{work_dir}/iter_3.pth') and line.endswith('; going on from iter_2.pth instead')
    assert sentence in line and not (tmp_path / 'made_by_a_checkpoint').exists()
    assert (work_dir / 'last_checkpoint').read_text() == str(work_dir / 'iter_2.pth')


def test_the_run_then_ends_as_one_whose_checkpoints_are_whole(material, whole, tmp_path, capfd):
    work_dir = copy_run(whole, tmp_path / 'run')
    (work_dir / 'refined.pth').unlink()
    os.truncate(work_dir / 'iter_3.pth', 1000)
    train(config(material, work_dir, resume=True))
    assert 'going on from iter_2.pth instead' in capfd.readouterr().out
    assert (work_dir / 'refined.pth').read_bytes() == (whole / 'refined.pth').read_bytes()
    assert files_of(work_dir / 'labels') == files_of(whole / 'labels')


@pytest.mark.parametrize('note', [b'', b'\0', b'\xff\xfe', b'/gone/iter_9.pth', b'.', b'x' * 5000])
def test_a_damaged_last_checkpoint_is_written_anew(whole, tmp_path, note):
    work_dir = copy_run(whole, tmp_path / 'run')
    (work_dir / 'last_checkpoint').write_bytes(note)
    assert find_resume_point(work_dir) == work_dir / 'iter_3.pth'
    assert (work_dir / 'last_checkpoint').read_text() == str(work_dir / 'iter_3.pth')


def test_without_any_whole_checkpoint_the_newest_fault_is_told_with_what_to_do(material, whole, tmp_path):
    work_dir = copy_run(whole, tmp_path / 'run')
    for step in (2, 3):
        (work_dir / f'iter_{step}.pth').write_bytes(b'')
    with pytest.raises(CheckpointError, match=r'iter_3.pth: the checkpoint is empty .*; bring a checkpoint back from a '
                                              'copy, or delete .*last_checkpoint to train again from the beginning'):
        train(config(material, work_dir, resume=True))
    for path in work_dir.glob('iter_*'):
        path.unlink()
    with pytest.raises(CheckpointError, match='last_checkpoint: the checkpoint that it names is gone'):
        find_resume_point(work_dir)
    (work_dir / 'last_checkpoint').unlink()
    assert find_resume_point(work_dir) is None


def test_what_a_config_does_not_save_is_not_asked_for(whole, material, tmp_path):
    checkpoint = torch.load(whole / 'iter_3.pth', weights_only=True)
    checkpoint['optimizer']['state'].pop(0)  # of a parameter that has got no gradient yet
    states = {'optimizer', 'param_schedulers'}
    for saved in (set(), {'optimizer'}, {'param_schedulers'}, states):
        hook = dict(interval=1, save_optimizer='optimizer' in saved, save_param_scheduler='param_schedulers' in saved)
        wanted = wanted_state(build(config(material, tmp_path, default_hooks=dict(checkpoint=hook))))
        assert states & wanted.keys() == saved
        assert resume_fault({k: v for k, v in checkpoint.items() if k not in states - saved}, wanted) is None


def test_a_run_goes_on_from_an_older_state_where_the_last_one_is_of_another_network(material, whole, tmp_path, capfd):
    work_dir = copy_run(whole, tmp_path / 'run')
    (work_dir / 'refined.pth').unlink()
    change(work_dir / 'iter_3.pth', lambda c: c['optimizer'].update(param_groups=[]))
    train(config(material, work_dir, resume=True))
    assert "its 'optimizer.param_groups' must be a list of 1 values, got []; going on from iter_2.pth instead" in (
        capfd.readouterr().out)
    assert (work_dir / 'refined.pth').read_bytes() == (whole / 'refined.pth').read_bytes()


def test_a_run_without_any_sound_state_says_so_in_one_sentence(material, whole, tmp_path):
    work_dir = copy_run(whole, tmp_path / 'run')
    for step in (2, 3):
        change(work_dir / f'iter_{step}.pth', lambda c: c['param_schedulers'][0].update(last_step='x'))
    with pytest.raises(CheckpointError, match=r"iter_3.pth: the run cannot go on from it, its 'param_schedulers.0."
                                              r"last_step' must be a whole number, got 'x'; bring a checkpoint back"):
        train(config(material, work_dir, resume=True))


LOSSES = {
    'the manifest is gone': (lambda labels: (labels / 'manifest.json').unlink(), 'holds 0 labels and no manifest.json'),
    'the manifest is damaged': (lambda labels: (labels / 'manifest.json').write_text('{'), 'manifest.json: cannot be '
                                                                                           'read'),
    'all is gone': (shutil.rmtree, 'there is no such folder'),
}


@pytest.mark.parametrize('what', LOSSES)
def test_a_resumed_run_without_its_labels_names_a_remedy_that_works(material, whole, tmp_path, what):
    lose, sentence = LOSSES[what]
    work_dir = copy_run(whole, tmp_path / 'run')
    for name in ('iter_3.pth', 'refined.pth'):
        (work_dir / name).unlink()
    lose(work_dir / 'labels')
    with pytest.raises(LabelStoreError) as refused:
        train(config(material, work_dir, resume=True))
    labels, note = work_dir / 'labels', work_dir / 'last_checkpoint'
    assert sentence in str(refused.value) and str(refused.value).endswith(
        f', and the run that is resumed needs these labels; bring its files back from a copy, or delete {labels} and '
        f'{note}: the same command then makes the labels again and trains from the beginning')
    shutil.rmtree(labels, ignore_errors=True)
    note.unlink()
    train(config(material, work_dir, resume=True))
    assert (work_dir / 'refined.pth').read_bytes() == (whole / 'refined.pth').read_bytes()
    assert files_of(labels) == files_of(whole / 'labels')
