"""Stops at the wrong moment, readers that go away, disks that are read-only: no traceback, and nothing is lost."""
from __future__ import annotations

import contextlib
import errno
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from helpers_cli import DEMO_WEIGHTS, SIZE, error_of, rendered, status_of

import mmrefine.fileio.atomic as atomic
from mmrefine.apis.brief_runner import ResumingRunner
from mmrefine.apis.exit_status import run_command
from mmrefine.compat.checkpoints import load_checkpoint_file
from mmrefine.engine.hooks.report_hook import ReportHook
from mmrefine.fileio.lock import LOCK

# the guard looks at one candidate, with one warp for each pair and one rendered sample
OPTIONS = ['--model', 'demo', '--checkpoint', DEMO_WEIGHTS, '--set', 'model.train_iters=1', 'model.test_iters=1',
           'labeler.view.scales=(1.,)', 'labeler.balance=None', f'crop_size={SIZE}'.replace(' ', ''), 'batch_size=1',
           'custom_hooks.1.general=1', 'custom_hooks.1.steps=(1.,)', 'custom_hooks.1.warps=1']


@pytest.fixture(scope='module')
def frames(tmp_path_factory):
    """A folder of eight rendered frames."""
    return rendered(tmp_path_factory.mktemp('frames'), 8)


@pytest.fixture(scope='module')
def finished(frames, tmp_path_factory):
    """The folder of a finished run of two steps."""
    out = tmp_path_factory.mktemp('finished') / 'out'
    assert status_of('refine', frames, *OPTIONS, '--out', out, '--steps', 2) == 0
    return out


def test_a_stop_that_a_library_turns_into_another_error_is_a_stop(capsys):
    def stopped(number):
        try:
            raise KeyboardInterrupt(*number)
        except BaseException:
            raise SyntaxError('Failed to format the config file')

    for number, status in (((), 130), ((signal.SIGTERM, ), 143)):
        with pytest.raises(SystemExit) as end:
            run_command(lambda: stopped(number), 'go on')
        assert end.value.code == status and capsys.readouterr().err == 'stopped; go on\n'
    with pytest.raises(SyntaxError):
        run_command(lambda: exec('('))


def test_a_stop_within_code_that_is_made_from_text_keeps_its_status(tmp_path):
    (tmp_path / 'stopped.py').write_text(
        'import signal\nfrom mmrefine.apis.exit_status import run_command\n'
        "run_command(lambda: exec('signal.raise_signal(signal.SIGTERM)'))\n")
    end = subprocess.run([sys.executable, '-m', 'stopped'], cwd=tmp_path, stderr=subprocess.PIPE)
    assert end.returncode == 143 and end.stderr.startswith(b'stopped; ')


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize('seconds', [0.7, 1.8])
def test_a_stop_in_the_first_seconds(frames, tmp_path, number, seconds):
    process = subprocess.Popen(
        [sys.executable, '-m', 'mmrefine', 'refine', frames, *OPTIONS, '--out', tmp_path / 'out', '--steps', '2000'],
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
        # a shell's background job begins with Ctrl-C ignored
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler))
    time.sleep(seconds)
    process.send_signal(number)
    stderr = process.communicate(timeout=60)[1]
    # minus the signal: before Python had come to our code
    assert process.returncode in (128 + number, -number)
    assert b'Failed to format' not in stderr and (b'Traceback' not in stderr or process.returncode < 0)


@pytest.mark.parametrize('arguments', [['doctor'], ['refine']])
def test_a_reader_that_goes_away_ends_the_command_quietly(frames, tmp_path, arguments):
    if arguments == ['refine']:
        arguments = ['refine', frames, *OPTIONS, '--out', tmp_path / 'out', '--steps', '2']
    with subprocess.Popen([sys.executable, '-m', 'mmrefine', *map(str, arguments)], stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE) as process:
        process.stdout.close()
        stderr = process.stderr.read()
    assert process.returncode == 128 + signal.SIGPIPE
    assert b'Traceback' not in stderr and b'Broken' not in stderr and b'Logging error' not in stderr, stderr


def test_what_a_kill_leaves_among_pictures_is_swept(frames, finished, tmp_path, monkeypatch):
    out = tmp_path / 'out'
    monkeypatch.setattr(ReportHook, '_record', lambda *args, **more: 1 / 0)  # the run ends before its report
    with pytest.raises(ZeroDivisionError):
        status_of('refine', frames, *OPTIONS, '--out', out, '--steps', 2)
    monkeypatch.undo()
    for folder in ('pictures/refined/pairs', 'label_sheets', '.'):
        (out / folder).mkdir(parents=True, exist_ok=True)
        (out / folder / '.mmrefine-0123456789abcdef.tmp').write_bytes(b'half')
    assert status_of('refine', frames, *OPTIONS, '--out', out, '--steps', 2) == 0
    assert status_of('labels', frames, *OPTIONS, 'max_iters=2', '--out', out, '--sheets', 1) == 0
    assert not list(out.rglob('.mmrefine-*'))


def test_labels_are_good_for_any_schedule(frames, tmp_path, capsys):
    out = tmp_path / 'out'
    assert status_of('labels', frames, *OPTIONS, '--out', out) == 0
    made = {path: path.stat().st_mtime_ns for path in (out / 'labels').rglob('*.png')}
    assert status_of('refine', frames, *OPTIONS, 'optim_wrapper.optimizer.lr=1e-5', '--out', out, '--steps', 3) == 0
    assert made and all(path.stat().st_mtime_ns == time for path, time in made.items())
    # but not for another labeler, nor is a training for another schedule
    shutil.copytree(out / 'labels', tmp_path / 'other/labels')
    shutil.copy(out / 'run.json', tmp_path / 'other')
    sentence = error_of(capsys, 'refine', frames, *OPTIONS, 'labeler.directions=forward', '--out', tmp_path / 'other')
    assert 'the labels there were made with other labeler' in sentence
    assert 'holds a run of other settings (max_iters was 3, is 4' in error_of(
        capsys, 'refine', frames, *OPTIONS, 'optim_wrapper.optimizer.lr=1e-5', '--out', out, '--steps', 4)


def test_a_finished_run_is_shown_from_a_disk_that_is_read_only(frames, finished, capsys, monkeypatch):
    def refuse(*args, **more):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    before = {path: path.read_bytes() for path in finished.rglob('*') if path.is_file() and path.name != LOCK}
    monkeypatch.setattr(atomic, 'open', refuse, raising=False)
    monkeypatch.setattr(Path, 'unlink', refuse)
    assert status_of('refine', frames, *OPTIONS, '--out', finished, '--steps', 2) == 0
    assert 'this run is finished already' in capsys.readouterr().out
    assert status_of('report', finished) == 0
    text = capsys.readouterr().out
    assert 'overall' in text and 'guard: ' in text
    assert f'{finished}/report.json: cannot be written (Read-only file system)' in text
    assert before == {path: path.read_bytes() for path in before}


def test_one_bad_frame_of_six_says_why_it_is_not_enough_and_goes_on_without_the_guard(frames, tmp_path, capsys):
    for number, file in enumerate(sorted(frames.iterdir())[:6]):
        (tmp_path / 'v').mkdir(exist_ok=True)
        data = file.read_bytes()
        (tmp_path / f'v/{number}.png').write_bytes(data[:300] if number == 2 else data)
    command = ['refine', tmp_path / 'v', *OPTIONS]
    more = ['--out', tmp_path / 'out', '--steps', 2, '--skip-corrupt']
    assert ('no scene has enough frame pairs, or clips, to keep the last back for the guard and to leave 2 that share '
            'no frame with it (the most is 3, without those that are left out); '
            'give it longer scenes, or set held_out=0') in error_of(
                capsys, *command, *more)
    assert status_of(*command, 'held_out=0', *more) == 0


def test_a_damaged_result_of_a_finished_run_is_told_and_made_again_with_its_report(finished, frames, tmp_path, capsys):
    out = tmp_path / 'out'
    shutil.copytree(finished, out)
    whole = (out / 'refined.pth').read_bytes()
    (out / 'refined.pth').write_bytes(whole[:1000])
    command = ['refine', frames, *OPTIONS, '--out', out, '--steps', 2]
    for options in ([], ['--dry-run']):
        assert error_of(capsys, *command, *options) == (
            f'{out}/refined.pth: is damaged, although the run that wrote it is finished; put a whole copy of it back, '
            'or delete report.json beside it: the same command then makes both again')
    (out / 'report.json').unlink()
    assert status_of(*command) == 0
    assert (out / 'refined.pth').read_bytes() == whole


def test_the_damaged_result_of_one_scene_is_told_too(tmp_path, capsys):
    rendered(tmp_path / 'v', 8, seed=1)
    folder = rendered(tmp_path / 'v', 8, seed=2).parent
    command = ['refine', folder, *OPTIONS, 'scene=each', '--out', tmp_path / 'out', '--steps', 1]
    assert status_of(*command) == 0
    path = sorted((tmp_path / 'out').glob('*/refined.pth'))[1]
    path.write_bytes(path.read_bytes()[:1000])
    assert error_of(capsys, *command).startswith(f'{path}: is damaged, although the run')
    (path.parent / 'report.json').unlink()
    assert status_of(*command) == 0 and load_checkpoint_file(path)


@pytest.mark.skipif(not Path('/dev/full').exists(), reason='no device that is always full')
def test_a_log_that_cannot_be_written_is_told_once_with_its_path(tmp_path, capsys):
    runner = ResumingRunner.__new__(ResumingRunner)
    runner._log_dir, runner._timestamp, runner._experiment_name = str(tmp_path), 'now', 'full_disk'
    logger = runner.build_logger(log_file='/dev/full')
    try:
        logger.info('one')
        logger.info('two')
    finally:
        for handler in logger.handlers:
            with contextlib.suppress(OSError):
                handler.close()
    said = capsys.readouterr().err
    assert said.count('warning: /dev/full: cannot be written (No space left on device), so this log ends here') == 1
    assert 'Traceback' not in said and 'Logging error' not in said
