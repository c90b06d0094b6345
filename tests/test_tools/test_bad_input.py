"""What a user can get wrong on the command line: exit status 1, one line that says what to do, nothing half-written."""
from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
from mmengine.fileio import LocalBackend
from small_trees import ROOT, SIZE, TINY, TINY_VIDEO, status_of, write_video
from torch.utils.data import DataLoader

import mmrefine.fileio.store.label_store as label_store
from mmrefine.apis.commands import run_command
from mmrefine.compat.checkpoints import load_checkpoint_file
from mmrefine.datasets import FramePairs
from mmrefine.engine import SelfTrainingLoop
from mmrefine.fileio.atomic import save_checkpoint
from mmrefine.fileio.images import write_image
from mmrefine.fileio.lock import LOCK
from mmrefine.labeling import FlowLabeler

SMALL_VIDEO = ROOT / 'configs/refine/raft_small_video.py'
RAFT_SINTEL = ROOT / 'configs/refine/raft_sintel.py'


@pytest.fixture
def failed(tmp_path, capsys, weights):
    """Run the train tool, which must fail without a trace; its sentence.
    ``video`` and further options by keyword or text.
    """

    def run(config, *options, labelled=False, **values):
        work_dir = tmp_path / 'work_dir'
        values.setdefault('load_from', weights['raft' if 'sintel' in str(config) else 'small'])
        given = [*(TINY if 'sintel' in str(config) else TINY_VIDEO), *options,
                 *(f'{key}={value}' for key, value in values.items())]
        assert status_of('train', config, '--work-dir', work_dir, '--cfg-options', *given) == 1
        return sentence_of(capsys.readouterr().err, work_dir, labelled)

    return run


def sentence_of(stderr, work_dir, labelled=False):
    """The one line behind ``error:``; and nothing half-written in the work dir,
    which may hold whole labels if ``labelled``.
    """
    errors = [line for line in stderr.splitlines() if line.startswith('error: ')]
    assert len(errors) == 1 and stderr.rstrip().endswith(errors[0]) and 'Traceback' not in stderr
    if work_dir.exists():
        written = [path.name for path in work_dir.rglob('*') if path.is_file()]
        assert not {'refined.pth', 'report.json'} & set(written) and ('manifest.json' in written) is labelled
        assert not [name for name in written if name.startswith('.') and name != LOCK]
    return errors[0][len('error: '):]


def noise(seed=0, size=SIZE):
    return np.random.default_rng(seed).integers(0, 255, (*size, 3), dtype=np.uint8)


def folder(root, *frames):
    for i, frame in enumerate(frames):
        write_image(root / f'frame_{i}.png', frame)
    return root


def test_a_missing_folder(failed, tmp_path):
    found = failed(SMALL_VIDEO, video=tmp_path / 'nowhere')
    assert found == f'{tmp_path / "nowhere"}: there is no such file or folder; check the path'


def test_a_missing_data_root_of_a_benchmark(failed, tmp_path):
    for scene in ('alley_1', 'each'):
        found = failed(RAFT_SINTEL, data_root=tmp_path / 'Sintel', scene=scene)
        assert found.startswith(f'{tmp_path / "Sintel" / "training"}: there is no such folder')


def test_a_scene_that_does_not_exist(failed, trees):
    found = failed(RAFT_SINTEL, data_root=trees['sintel'], scene='aley_1')
    assert "scenes names 'aley_1', which is not among its 2 scene(s); did you mean alley_1?" in found


def test_a_scene_with_one_frame(failed, tmp_path):
    folder(tmp_path / 'video' / 'good', noise(), noise(1))
    folder(tmp_path / 'video' / 'short', noise())
    found = failed(SMALL_VIDEO, video=tmp_path / 'video')
    assert (str(tmp_path / 'video' / 'short') in found
            and 'holds only frame_0.png, motion needs at least 2 frames' in found)


def test_frames_of_different_sizes(failed, tmp_path):
    found = failed(SMALL_VIDEO, video=folder(tmp_path / 'video', noise(), noise(1, (64, 80))))
    assert 'frame_0.png is 96 x 64 and frame_1.png is 80 x 64; put each size into its own folder' in found


def test_a_broken_image(failed, tmp_path):
    video = folder(tmp_path / 'video', noise(), noise(1), noise(2))
    data = (video / 'frame_2.png').read_bytes()
    (video / 'frame_2.png').write_bytes(data[:len(data) // 2])
    found = failed(SMALL_VIDEO, video=video)
    assert found.startswith(str(video / 'frame_2.png'))


def test_an_error_of_a_data_loading_process_is_one_line_too(tmp_path, capsys):
    video = folder(tmp_path / 'video', noise(), noise(1))
    pairs = FramePairs(video)
    (video / 'frame_1.png').write_bytes(b'\x89PNG\r\n\x1a\n')

    def main():
        next(iter(DataLoader(pairs, num_workers=1)))
        return 0

    with warnings.catch_warnings():
        warnings.simplefilter('ignore', DeprecationWarning)  # fork beside threads: none of ours holds a lock
        with pytest.raises(SystemExit) as stopped:
            run_command(main)
    assert stopped.value.code == 1
    assert sentence_of(capsys.readouterr().err, tmp_path / 'none').startswith(str(video / 'frame_1.png'))


def test_a_full_disk_is_one_line_too(capsys):

    def main():
        raise OSError(errno.ENOSPC, 'No space left on device', 'work_dirs/x/config.py')

    with pytest.raises(SystemExit) as stopped:
        run_command(main)
    assert stopped.value.code == 1
    found = sentence_of(capsys.readouterr().err, Path('none'))
    assert found.startswith('work_dirs/x/config.py: the disk is full; free some space')


@pytest.mark.parametrize('owner, name, number, labelled, sentence', [
    (label_store, 'write_bytes', 3, False,
     'labels/v/frame_1__frame_0: no room left'),  # after the list of what is wanted
    (LocalBackend, 'put', 1, True, 'iter_1.pth: no room left'),
])
def test_a_disk_that_fills_up_during_a_run(failed, tmp_path, monkeypatch, owner, name, number, labelled, sentence):
    before_call(monkeypatch, owner, name, number, raise_full)
    found = failed(SMALL_VIDEO, labelled=labelled, video=folder(tmp_path / 'v', noise(), noise(1)))
    assert found.startswith(f'{tmp_path}/work_dir/{sentence}')
    assert not list((tmp_path / 'work_dir').rglob('*.pth')) or name == 'put'


def raise_full():
    raise OSError(errno.ENOSPC, 'No space left on device')


def before_call(monkeypatch, owner, name, number, action):
    """Do ``action`` just before ``owner.name`` is called for the ``number``-th time."""
    original, calls = getattr(owner, name), []

    def counting(*args, **kwargs):
        calls.append(1)
        if len(calls) == number:
            action()
        return original(*args, **kwargs)

    monkeypatch.setattr(owner, name, counting)


@pytest.mark.parametrize('number, status, owner, name', [
    (signal.SIGINT, 130, SelfTrainingLoop, 'run_iter'),
    (signal.SIGTERM, 143, FlowLabeler, 'label'),
])
def test_a_stopped_run_says_how_to_go_on_and_goes_on(tmp_path, weights, capsys, monkeypatch, number, status, owner,
                                                     name):
    video = folder(tmp_path / 'v', *(noise(i) for i in range(4)))
    argv = [SMALL_VIDEO, '--work-dir', tmp_path / 'run', '--cfg-options', *TINY_VIDEO, 'max_iters=3',
            'default_hooks.checkpoint.interval=1', 'custom_hooks.0.batch_size=1', f'video={video}',
            f'load_from={weights["small"]}']
    before_call(monkeypatch, owner, name, 2, lambda: os.kill(os.getpid(), number))
    handler = signal.getsignal(signal.SIGTERM)
    interrupt = signal.signal(signal.SIGINT,
                              signal.default_int_handler)  # a shell's background job begins with Ctrl-C ignored
    try:
        assert status_of('train', *argv) == status
    finally:
        signal.signal(signal.SIGINT, interrupt)
    stderr = capsys.readouterr().err
    assert stderr.splitlines()[-1] == 'stopped; the same command goes on from here, a training with --resume'
    assert 'Traceback' not in stderr and signal.getsignal(signal.SIGTERM) == handler
    written = {path.name for path in (tmp_path / 'run').rglob('*') if path.is_file()}
    assert not {'refined.pth', 'report.json'} & written
    assert not [entry for entry in written if entry.startswith('.') and entry != LOCK]
    assert ('iter_1.pth' in written) is (name == 'run_iter') and ('manifest.json' in written) is (name == 'run_iter')
    monkeypatch.undo()
    assert status_of('train', *argv, '--resume') == 0
    assert load_checkpoint_file(tmp_path / 'run' / 'refined.pth')['meta']['iter'] == 3


def test_a_bug_of_ours_keeps_its_traceback():

    def main():
        raise RuntimeError('a bug')

    with pytest.raises(RuntimeError, match='a bug'):
        run_command(main)


def test_a_broken_video(failed, tmp_path):
    write_video(tmp_path / 'video.avi', [noise(i) for i in range(6)])
    data = (tmp_path / 'video.avi').read_bytes()
    (tmp_path / 'video.avi').write_bytes(data[:len(data) // 2])
    found = failed(SMALL_VIDEO, video=tmp_path / 'video.avi')
    assert found.startswith(f'{tmp_path / "video.avi"}: the video cannot be used')
    assert '(truncated: ' in found


def test_a_missing_checkpoint(failed, tmp_path):
    found = failed(SMALL_VIDEO, video=folder(tmp_path / 'v', noise(), noise(1)), load_from=tmp_path / 'none.pth')
    assert found.startswith(
        f'{tmp_path / "none.pth"}: there is no such checkpoint (load_from of {SMALL_VIDEO}); put it there')


def test_a_checkpoint_of_another_network(failed, tmp_path, weights):
    found = failed(SMALL_VIDEO, video=folder(tmp_path / 'v', noise(), noise(1)), load_from=weights['raft'])
    assert found.startswith(f'{weights["raft"]}: these are not the weights of the configured RAFT')
    assert 'of another shape' in found


def changed_weights(weights, path, factor, tensor='encoder.conv1.weight'):
    """A checkpoint of RAFT-small in which a tensor, by default the first, is multiplied."""
    checkpoint = load_checkpoint_file(weights['small'])
    checkpoint['state_dict'][tensor].mul_(factor)
    save_checkpoint(path, checkpoint)
    return path


def test_a_store_made_by_another_teacher(failed, tmp_path, weights):
    video = folder(tmp_path / 'v', noise(), noise(1))
    options = [*TINY_VIDEO, f'video={video}', f'load_from={weights["small"]}']
    assert status_of('make_labels', SMALL_VIDEO, '--work-dir', tmp_path / 'work_dir', '--cfg-options', *options) == 0
    found = failed(SMALL_VIDEO, labelled=True, video=video,
                   load_from=changed_weights(weights, tmp_path / 'other.pth', 2.))
    assert found.startswith(f'{tmp_path / "work_dir" / "labels"}: ') and 'made with other teacher (found ' in found


def test_weights_that_are_nan(failed, tmp_path, weights):
    broken = changed_weights(weights, tmp_path / 'nan.pth', float('nan'))
    found = failed(SMALL_VIDEO, video=folder(tmp_path / 'v', noise(), noise(1)), load_from=broken)
    assert found.startswith(f"{broken}: 'encoder.conv1.weight' holds nan or infinite values")


def test_a_teacher_that_answers_nan(failed, tmp_path, weights):
    broken = changed_weights(weights, tmp_path / 'nan.pth', 1e38, 'decoder.flow_pred.predict_layer.weight')  # finite
    found = failed(SMALL_VIDEO, video=folder(tmp_path / 'v', noise(), noise(1)), load_from=broken)
    assert found.startswith('v/frame_0__frame_1: the teacher') and 'nan' in found


def test_no_checkpoint_at_all(failed, tmp_path):
    found = failed(SMALL_VIDEO, video=folder(tmp_path / 'v', noise(), noise(1)), load_from=None)
    assert 'load_from is not set, so the labels would come from random weights' in found


def test_a_variable_that_is_not_set(failed):
    found = failed(SMALL_VIDEO)
    assert found == (f'{SMALL_VIDEO}: label_data.data_root needs video, which is not set; add --cfg-options video=…')


def test_keys_that_do_not_exist_are_reported_together_from_file_and_command_line(failed, tmp_path):
    config = tmp_path / 'mine.py'
    config.write_text(f"_base_ = '{SMALL_VIDEO}'\n"
                      "optim_wraper = dict(type='OptimWrapper')\n"
                      'train_dataloader = dict(batchsize=3, sampler=dict(shufle=True))\n'
                      "label_data = dict(type='FramePair')\n"
                      'randomness = dict(sed=1)\n')
    found = failed(config, 'model.train_iter=3', 'vido=a.mp4', 'custom_hooks.7.type=X',
                   'custom_hooks.0.labeler.floor=0.1')
    assert found.startswith(f'{config}: ')
    for problem in (
            "there is no top-level key 'optim_wraper'; did you mean 'optim_wrapper'?",
            "train_dataloader: train_dataloader has no key 'batchsize'; did you mean 'batch_size'?",
            "train_dataloader.sampler: DrawSampler has no key 'shufle'; did you mean 'shuffle'?",
            "label_data: there is no 'FramePair'; did you mean FramePairs",
            "randomness: randomness has no key 'sed'; did you mean 'seed'?",
            "model: FlowRefiner has no key 'train_iter'; did you mean 'train_iters'?",
            "--cfg-options vido: the config has no key 'vido'; did you mean video?",
            "--cfg-options custom_hooks.7.type: custom_hooks is a list of 3, so the next part must be 0 to 2, got '7'",
            "--cfg-options custom_hooks.0.labeler.floor: custom_hooks.0.labeler is '{labeler}', which has no keys; "
            'override labeler.floor instead'):
        assert problem in found


def test_a_key_of_the_base_class_is_known_and_another_is_not(failed, trees):
    found = failed(RAFT_SINTEL, 'label_data.seed=3', 'label_data.pas_name=clean', data_root=trees['sintel'],
                   scene='alley_1')
    assert found == f"{RAFT_SINTEL}: label_data: SintelPairs has no key 'pas_name'; did you mean 'pass_name'?"


def test_a_schedule_that_ends_before_the_training(failed, tmp_path):
    found = failed(SMALL_VIDEO, 'train_cfg.max_iters=5000', video=folder(tmp_path / 'v', noise(), noise(1)))
    assert 'total_steps=6 end before train_cfg.max_iters=5000; set the top-level max_iters' in found


@pytest.mark.parametrize('option, sentence', [
    ('labeler.directions=sideways', "'sideways'"),
    ('model.losses.0.gamma=3', 'gamma must lie in (0, 1], got 3'),
    ('max_iters=0', 'max_iters'),
    ('batch_size=0', 'batch_size'),
    ('optim_wrapper.optimizer.lr=-1', 'optim_wrapper.optimizer.lr must be finite and not negative, got -1'),
    ('optim_wrapper.optimizer.weight_decay=-1', 'ValueError: Invalid weight_decay value: -1'),
    ('param_scheduler.pct_start=2', 'pct_start'),
])
def test_a_value_that_cannot_be_meant(failed, tmp_path, option, sentence):
    assert sentence in failed(SMALL_VIDEO, option, video=folder(tmp_path / 'v', noise(), noise(1)))


def test_a_config_file_that_is_missing_or_broken(failed, tmp_path):
    assert failed(tmp_path / 'none.py').startswith(f'{tmp_path / "none.py"}: there is no such config file')
    broken = tmp_path / 'broken.py'
    broken.write_text('model = dict(\n')
    assert failed(broken).startswith(f'{broken}: cannot be read as a config (SyntaxError: ')
    broken.write_text("_base_ = 'mmflow::_base_/models/rafft.py'\n")
    found = failed(broken)
    assert found.startswith(f'{broken}: cannot be read as a config (') and 'rafft.py' in found


def test_no_label_survives(failed, tmp_path, monkeypatch):
    config = tmp_path / 'strict.py'
    config.write_text(
        f"_base_ = '{SMALL_VIDEO}'\nlabeler = dict(filters=[dict(type='CycleFilter', alpha=0., beta=0.)])\n")
    pruned = [option for option in TINY_VIDEO if not option.startswith('labeler.filters')]
    monkeypatch.setattr(sys.modules[__name__], 'TINY_VIDEO', pruned)
    found = failed(config, labelled=True, video=folder(tmp_path / 'v', noise(), noise(1)))
    assert 'only 0.000% of the motion survived the checks' in found and 'delete this folder and run again' in found


def test_the_real_command_prints_one_line_and_exits_with_1(tmp_path):
    done = subprocess.run(
        [sys.executable, str(ROOT / 'tools/train.py'), str(SMALL_VIDEO), '--work-dir', str(tmp_path / 'work_dir'),
         '--cfg-options', f'video={tmp_path / "no.mp4"}', 'max_itrs=3'],
        capture_output=True, text=True, timeout=300)
    assert done.returncode == 1 and done.stdout == ''
    assert done.stderr == (f"error: {SMALL_VIDEO}: --cfg-options max_itrs: the config has no key 'max_itrs'; "
                           'did you mean max_iters?\n')


def test_render_refuses_what_it_cannot_render(tmp_path, capsys):
    assert status_of('render', tmp_path / 'world', '--seeds', 3, 3) == 1
    assert sentence_of(capsys.readouterr().err,
                       tmp_path / 'world') == '--seeds must be FIRST END with 0 <= FIRST < END, got 3 3'
    assert status_of('render', tmp_path / 'world', '--seeds', 3, 5, '--frames', 0) == 1
    assert '0' in sentence_of(capsys.readouterr().err, tmp_path / 'world')
    assert status_of('render', tmp_path / 'world', '--tracks', -1) == 1
    assert sentence_of(capsys.readouterr().err, tmp_path / 'world') == ('tracks is -1; wanted at least 0.; correct '
                                                                        '--frames, --size or --tracks')
    assert status_of('render', tmp_path / 'world', '--seeds', 3, 5, '--frames', 2, '--size', 32, 48, '--style',
                     'source', '--tracks', 4, '--sparse') == 0
    assert capsys.readouterr().out == f'{tmp_path / "world"}: 2 scenes, source_0003 to source_0004\n'
    assert len(list((tmp_path / 'world' / 'frames').glob('*/*.png'))) == 4
    assert len(list((tmp_path / 'world' / 'tracks').glob('*.npz'))) == 2
    assert len(list((tmp_path / 'world' / 'flow_sparse').glob('*/*.png'))) == 2
