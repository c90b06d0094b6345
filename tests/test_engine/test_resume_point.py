"""A run goes on from the newest checkpoint that is whole, and says so; else it says in one sentence what to do."""
from __future__ import annotations

import os
import shutil

import pytest
import torch
from small_runs import copy_run, files_of, small_config

from mmrefine.apis import train
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
                         "it has no valid 'param_schedulers'"),
    'has no weights': (lambda path: change(path, lambda c: c.update(state_dict={})), 'it: wanted parameter names'),
    'has an expanded optimizer': (lambda path: change(path, lambda c: c['optimizer']['state'][0].update(
        exp_avg=torch.zeros(1).expand(10**12))), "'optimizer.state.0.exp_avg' is expanded"),
}


@pytest.mark.parametrize('how', DAMAGES)
def test_a_run_whose_last_checkpoint(material, whole, tmp_path, monkeypatch, capsys, how):
    monkeypatch.chdir(tmp_path)
    damage, sentence = DAMAGES[how]
    work_dir = copy_run(whole, tmp_path / 'run')
    damage(work_dir / 'iter_3.pth')
    assert find_resume_point(work_dir, log=print) == work_dir / 'iter_2.pth'
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


def test_what_a_config_does_not_save_is_not_asked_for(whole):
    checkpoint = torch.load(whole / 'iter_3.pth', weights_only=True)
    assert resume_fault(checkpoint) is None
    del checkpoint['optimizer'], checkpoint['param_schedulers']
    assert resume_fault(checkpoint, optimizer=False, schedules=False) is None
    assert 'optimizer' in str(resume_fault(checkpoint, schedules=False))


def test_an_optimizer_of_another_network_is_refused_when_the_run_is_resumed(material, whole, tmp_path):
    work_dir = copy_run(whole, tmp_path / 'run')
    shutil.copy(work_dir / 'iter_2.pth', work_dir / 'iter_3.pth')
    change(work_dir / 'iter_3.pth', lambda c: c['optimizer'].update(param_groups=[]))
    with pytest.raises(CheckpointError, match=r'iter_3.pth: the run cannot go on from it \(ValueError: .*\); delete '
                                              'this file to go on from an older checkpoint'):
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
