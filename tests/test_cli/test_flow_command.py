"""``mmrefine flow``: the files are the motion, whole or not there, and a stopped run ends like one that was not."""
from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Dict

import numpy as np
import pytest
import torch
from helpers_cli import error_of, rendered, status_of, video_of

import mmrefine.apis.flow as flowing
from mmrefine.apis import flow_of_video, inference_flow, open_model
from mmrefine.fileio import open_frames, read_flow, read_image
from mmrefine.geometry import cycle_error, cycle_tolerance
from mmrefine.structures import Look

FRAMES = 10
OPTIONS = ('--model', 'demo', '--iters', '2')


@pytest.fixture(scope='module')
def folder(tmp_path_factory) -> Path:
    """Ten rendered frames of an odd size."""
    return rendered(tmp_path_factory.mktemp('clip'), FRAMES, (47, 61))


@pytest.fixture(scope='module')
def whole(folder, tmp_path_factory) -> Path:
    """The results of a run that nobody disturbed."""
    out = tmp_path_factory.mktemp('whole') / 'out'
    assert status_of('flow', folder, *OPTIONS, '--out', out) == 0
    return out


def files_of(out: Path) -> Dict[str, bytes]:
    """All but the video, whose container may carry a date."""
    return {path.relative_to(out).as_posix(): path.read_bytes() for path in sorted(out.rglob('*'))
            if path.is_file() and path.suffix != '.mp4'}


def same_video(one: Path, other: Path) -> bool:
    first, second = open_frames(one), open_frames(other)
    return len(first) == len(second) and all(np.array_equal(first[i], second[i]) for i in range(len(first)))


def test_the_files_are_the_motion_of_the_network(folder, whole):
    model = open_model('demo')
    model.test_iters = 2
    frames = [read_image(file) for file in sorted(folder.iterdir())]
    assert sorted(path.name for path in (whole / 'flow').iterdir()) == [f'frame_{i:04d}.png' for i in range(1, FRAMES)]
    for i in (0, 4, FRAMES - 2):
        there, back = (torch.from_numpy(inference_flow(model, frames[a], frames[b])).permute(2, 0, 1)[None]
                       for a, b in ((i, i + 1), (i + 1, i)))
        name = f'frame_{i + 1:04d}.png'
        flow, valid = read_flow(whole / 'flow' / name)
        assert valid.all() and np.abs(flow - there[0].permute(1, 2, 0).numpy()).max() <= 1 / 128 + 1e-3
        error, tolerance = cycle_error(there, back)[0, 0], cycle_tolerance(there, back, 0.01, 0.5)[0, 0]
        sure = read_image(whole / 'confidence' / name)[..., 0]
        np.testing.assert_allclose(sure, (255 * torch.exp(-(error / tolerance)**2)).numpy(), atol=1.)
        hidden = read_image(whole / 'occlusion' / name)[..., 0]
        clear = (error / tolerance - 1).abs().numpy() > 1e-3
        assert (set(np.unique(hidden)) <= {0, 255}
                and np.array_equal((hidden > 0)[clear], (error > tolerance).numpy()[clear]))
        assert sure[hidden > 0].max(initial=0) <= 94 <= sure[hidden == 0].min(initial=255)


def test_the_record_and_the_video_have_one_scale(whole):
    record = json.loads((whole / 'flow.json').read_text())
    flows = [read_flow(path)[0] for path in sorted((whole / 'flow').iterdir())]
    chosen = [flows[int(i)] for i in np.linspace(0, FRAMES - 2, flowing.SAMPLE)]
    lengths = np.concatenate([np.hypot(*np.moveaxis(flow[::4, ::4], 2, 0)).ravel() for flow in chosen])
    assert record['max_motion'] == pytest.approx(max(np.percentile(lengths, 98), 0.5), rel=1e-5)
    assert record['complete'] and record['pairs'] == FRAMES - 1 and record['size'] == [47, 61]
    assert record['settings']['iters'] == 2 and record['settings']['scales'] == [1.]
    assert len(open_frames(whole / 'flow.mp4')) == FRAMES - 1


def test_a_finished_folder_is_left_alone_and_a_damaged_one_is_mended(folder, whole, tmp_path, capsys):
    found = flow_of_video(folder, 'demo', out=whole, iters=2)
    assert [(scene.pairs, scene.made) for scene in found] == [(FRAMES - 1, 0)]
    out = tmp_path / 'out'
    first = flow_of_video(folder, 'demo', out=out, iters=2, draw=False)[0]
    assert first.made == FRAMES - 1 and first.video is None and not (out / 'flow.mp4').exists()
    for name in ('flow/frame_0003.png', 'confidence/frame_0005.png', 'occlusion/frame_0005.png'):
        (out / name).unlink()
    (out / 'flow' / '.mmrefine-0123456789abcdef.tmp').write_text('half')
    assert status_of('flow', folder, *OPTIONS, '--out', out) == 0
    assert f'9 pairs (2 made now) in {out}; shown in {out / "flow.mp4"}' in capsys.readouterr().out
    assert files_of(out) == files_of(whole) and same_video(out / 'flow.mp4', whole / 'flow.mp4')


def cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def swap(path: Path) -> None:
    """Put the file of another pair there, which is whole."""
    path.write_bytes(next(file for file in sorted(path.parent.iterdir()) if file != path).read_bytes())


@pytest.mark.parametrize('harm, name', [
    (cut, 'flow/frame_0002.png'), (swap, 'flow/frame_0002.png'), (swap, 'confidence/frame_0003.png'),
    (swap, 'occlusion/frame_0009.png'), (lambda path: path.write_bytes(b''), 'flow/frame_0001.png')])
def test_a_file_that_is_not_as_it_was_written_is_made_again_and_told(folder, whole, tmp_path, capsys, harm, name):
    out = copied(whole, tmp_path / 'out')
    harm(out / name)
    assert status_of('flow', folder, *OPTIONS, '--out', out) == 0
    text = capsys.readouterr().out
    assert f'frames: 1 files are not as they were written, the first is {out / name}; their pairs are made again' in (
        text.replace(folder.name, 'frames')) and '(1 made now)' in text
    assert files_of(out) == files_of(whole) and same_video(out / 'flow.mp4', whole / 'flow.mp4')


def test_a_folder_without_digests_is_left_alone_but_for_files_that_are_not_whole(folder, whole, tmp_path, capsys):
    out = copied(whole, tmp_path / 'out')
    record = json.loads((out / 'flow.json').read_text())
    del record['digests']
    (out / 'flow.json').write_text(json.dumps(record))
    swap(out / 'flow/frame_0004.png')
    before = files_of(out)
    assert status_of('flow', folder, *OPTIONS, '--out', out) == 0
    assert '(0 made now)' in capsys.readouterr().out and files_of(out) == before
    cut(out / 'flow/frame_0004.png')
    assert status_of('flow', folder, *OPTIONS, '--out', out) == 0
    assert '(1 made now)' in capsys.readouterr().out and files_of(out) == files_of(whole)


def copied(whole: Path, out: Path) -> Path:
    shutil.copytree(whole, out)
    return out


def test_flow_that_was_made_otherwise_is_refused_with_what_differs(folder, whole, capsys):
    before = files_of(whole)
    sentence = error_of(capsys, 'flow', folder, '--model', 'demo', '--iters', '3', '--two-passes', '--out', whole)
    assert sentence.startswith(
        f'{whole}: holds flow that was made with other settings (iters was 2, is 3; scales was [1.0], is [1.0, 2.0])')
    assert files_of(whole) == before


def test_a_video_that_it_has_not_written_is_not_overwritten(folder, tmp_path, capsys):
    (tmp_path / 'flow.mp4').write_bytes(b'mine')
    sentence = error_of(capsys, 'flow', folder, *OPTIONS, '--out', tmp_path)
    assert sentence.startswith(f'{tmp_path / "flow.mp4"}: was not written by mmrefine flow, or its flow.json is lost')
    assert [path.name for path in tmp_path.iterdir()] == ['flow.mp4']
    assert (tmp_path / 'flow.mp4').read_bytes() == b'mine'


def test_ctrl_c_ends_with_130_and_the_same_command_ends_like_one_that_nobody_stopped(folder, whole, tmp_path):
    out = tmp_path / 'out'
    command = [sys.executable, '-W', 'ignore', '-m', 'mmrefine', 'flow', str(folder), *OPTIONS, '--out', str(out)]
    # a shell's background job begins with Ctrl-C ignored
    child = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True,
                             preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler) and None)
    deadline = time.monotonic() + 120
    while not list(out.glob('occlusion/frame_*')) and child.poll() is None and time.monotonic() < deadline:
        time.sleep(0.002)
    child.send_signal(signal.SIGINT)
    stderr = child.communicate(timeout=60)[1]
    assert (child.returncode, stderr.strip().splitlines()[-1]) == (130, 'stopped; the same command goes on from here')
    assert 'Traceback' not in stderr
    there = files_of(out)
    assert 0 < len([name for name in there if name.startswith('flow/')]) < FRAMES - 1
    assert all(there[name] == files_of(whole)[name] for name in there if name.endswith('.png'))  # whole, or not there
    assert not [name for name in there if '/.' in name] and status_of(*command[5:]) == 0
    assert files_of(out) == files_of(whole) and same_video(out / 'flow.mp4', whole / 'flow.mp4')


@pytest.mark.parametrize('moment', [1, 5, 9])
def test_a_run_that_is_stopped_while_it_asks_or_draws_goes_on(folder, whole, tmp_path, monkeypatch, moment):
    owner, name = (flowing, 'motion_view') if moment == 5 else (flowing._Maker, '__call__')
    original, calls = getattr(owner, name), []

    def stopping(*args, **kwargs):
        calls.append(1)
        if len(calls) == moment:
            raise KeyboardInterrupt
        return original(*args, **kwargs)

    monkeypatch.setattr(owner, name, stopping)
    command = ('flow', folder, *OPTIONS, '--out', tmp_path)
    assert status_of(*command) == 130 and not (tmp_path / 'flow.mp4').exists()
    monkeypatch.undo()
    assert status_of(*command) == 0
    assert files_of(tmp_path) == files_of(whole) and same_video(tmp_path / 'flow.mp4', whole / 'flow.mp4')
    assert not [path for path in tmp_path.rglob('.*')]


@pytest.mark.parametrize('format', ['flo', 'npz'])
def test_the_formats_hold_the_same_motion(folder, whole, tmp_path, format):
    two = tmp_path / 'two'
    two.mkdir()
    for name in ('frame_0001.png', 'frame_0002.png'):
        (two / name).write_bytes((folder / name).read_bytes())
    assert status_of('flow', two, *OPTIONS, '--format', format, '--out', tmp_path / 'out') == 0
    path = tmp_path / 'out' / 'flow' / f'frame_0001.{format}'
    flow = np.load(path, allow_pickle=False)['flow'] if format == 'npz' else read_flow(path)[0]
    assert (flow.dtype == np.float32
            and np.abs(flow - read_flow(whole / 'flow/frame_0001.png')[0]).max() <= 1 / 128 + 1e-6)
    assert len(open_frames_or_one(tmp_path / 'out' / 'flow.mp4')) == 1


def open_frames_or_one(path: Path) -> list:
    """Frames of a video that may have one only, which is no motion to others."""
    import cv2
    capture, frames = cv2.VideoCapture(str(path)), []
    while True:
        ok, frame = capture.read()
        if not ok:
            return frames
        frames.append(frame)


def test_two_looks_start_from_the_first(folder, whole, tmp_path):
    two = tmp_path / 'two'
    two.mkdir()
    for name in ('frame_0001.png', 'frame_0002.png'):
        (two / name).write_bytes((folder / name).read_bytes())
    assert status_of('flow', two, *OPTIONS, '--two-looks', '--no-video', '--out', tmp_path / 'out') == 0
    flow = read_flow(tmp_path / 'out/flow/frame_0001.png')[0]
    assert not np.array_equal(flow, read_flow(whole / 'flow/frame_0001.png')[0])
    assert json.loads((tmp_path / 'out/flow.json').read_text())['settings']['scales'] == [1., 2.]


def test_each_scene_of_a_folder_gets_a_folder_and_a_video_its_times(tmp_path, capsys):
    clips = tmp_path / 'clips'
    clips.mkdir()
    for seed in (1, 2):
        video_of(rendered(tmp_path / str(seed), 3, seed=seed), clips / f'clip{seed}.avi')
    assert status_of('flow', clips, *OPTIONS, '--no-video', '--out', tmp_path / 'out') == 0
    assert [line.partition(':')[0] for line in capsys.readouterr().out.splitlines()
            if 'made now' in line] == ['clip1', 'clip2']
    for name in ('clip1', 'clip2'):
        record = json.loads((tmp_path / 'out' / name / 'flow.json').read_text())
        assert record['rate'] == 10 and record['times'] == {f'frame_{i:06d}': pytest.approx(i / 10) for i in range(3)}
        assert len(list((tmp_path / 'out' / name / 'flow').iterdir())) == 2


def test_corrupt_frames_are_listed_and_left_out_only_if_the_user_says_so(folder, tmp_path, capsys):
    copy = tmp_path / 'copy'
    copy.mkdir()
    for file in sorted(folder.iterdir())[:6]:
        data = file.read_bytes()
        (copy / file.name).write_bytes(data[:len(data) // 2] if file.stem == 'frame_0003' else data)
    command = ('flow', copy, *OPTIONS, '--no-video', '--out', tmp_path / 'out')
    sentence = error_of(capsys, *command)
    assert ('1 of 6 frames are corrupt: frame_0003 (number 2: truncated' in sentence
            and sentence.endswith('--skip-corrupt'))
    listed = json.loads((tmp_path / 'out/corrupt_frames.json').read_text())
    assert [(frame['number'], frame['name']) for frame in listed['copy']['corrupt']] == [(2, 'frame_0003')]
    assert not (tmp_path / 'out/flow').exists()
    assert status_of(*command, '--skip-corrupt') == 0
    assert 'frame_0003 (number 2: truncated' in capsys.readouterr().out  # not silently
    assert [path.stem for path in sorted((tmp_path / 'out/flow').iterdir())] == ['frame_0001', 'frame_0004',
                                                                                 'frame_0005']
    (copy / 'frame_0003.png').write_bytes((folder / 'frame_0003.png').read_bytes())
    assert 'frames was ' in error_of(capsys, *command) and not (tmp_path / 'out/corrupt_frames.json').exists()


@pytest.mark.parametrize('argv, sentence', [
    (('none.mp4', '--model', 'demo'), 'none.mp4: there is no such file or folder'),
    (('clip', '--model', 'rafft'), 'rafft: there is no such model or config file; did you mean raft?'),
    (('clip', '--model', 'demo', '--checkpoint', 'none.pth'), 'none.pth: found nothing, wanted a checkpoint file'),
    (('clip', '--model', 'raft', '--checkpoint', 'http://127.0.0.1:9/none.pth'),
     'http://127.0.0.1:9/none.pth: cannot be downloaded ('),
    (('clip', '--model', 'demo', '--format', 'flo5'),
     '--format flo5 needs h5py, which is not installed; take --format flo, which'),
])
def test_what_is_wrong_is_one_sentence(folder, tmp_path, monkeypatch, capsys, argv, sentence):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, 'h5py', None)
    os.symlink(folder, tmp_path / 'clip')
    assert sentence in error_of(capsys, 'flow', *argv)
    assert not (tmp_path / 'work_dirs').exists()


def test_weights_that_give_nan_are_refused_by_pair(folder, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(flowing.CascadeView, 'look',
                        lambda view, teacher, batch: Look(*torch.full((2, 1, 2, 47, 61), float('nan'))))
    assert 'the motion from frame_0001 to frame_0002 is nan or infinite' in error_of(capsys, 'flow', folder, *OPTIONS,
                                                                                     '--out', tmp_path)
    assert not (tmp_path / 'flow').exists()


def test_a_command_that_failed_before_its_first_flow_does_not_lock_the_folder(folder, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(flowing.CascadeView, 'look',
                        lambda view, teacher, batch: Look(*torch.full((2, 1, 2, 47, 61), float('nan'))))
    assert 'is nan' in error_of(capsys, 'flow', folder, *OPTIONS, '--out', tmp_path)
    assert 'is nan' in error_of(capsys, 'flow', folder, *OPTIONS, '--format', 'flo', '--out', tmp_path)
    assert json.loads((tmp_path / 'flow.json').read_text())['settings']['format'] == 'flo'
