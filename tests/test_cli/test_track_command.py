"""``mmrefine track``: the files are the tracks, whole or not there, and a stopped run ends like one that was not."""
from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Dict

import numpy as np
import pytest
import torch
from helpers_cli import error_of, rendered, status_of, video_of

import mmrefine.apis.track_queries as track_queries
import mmrefine.apis.tracks as tracking
from mmrefine.apis import open_tracker, tracks_of_video
from mmrefine.config.load import load_config
from mmrefine.fileio import open_frames, read_image, read_tracks, write_image, write_tapvid
from mmrefine.fileio.atomic import save_checkpoint
from mmrefine.geometry import query_grid
from mmrefine.models import TrackRefiner

FRAMES = 6
SIZE = (64, 96)
SMALL = dict(feat_channels=16, mixer_channels=16, mixer_depth=1, encoder_channels=(8, 8, 16, 16))


@pytest.fixture(scope='module')
def place(tmp_path_factory) -> Path:
    """A rendered clip and a tiny tracker: ``clip``, ``tiny.py``, ``tiny.pth``, ``points.csv``."""
    root = tmp_path_factory.mktemp('place')
    shutil.copytree(rendered(root / 'rendered', FRAMES, SIZE), root / 'clip')
    torch.manual_seed(0)
    network = TrackRefiner(dict(type='mmrefine.PIPs', **SMALL)).estimator
    with torch.no_grad():
        network.mixer.leave.weight.mul_(0.02)
    save_checkpoint(root / 'tiny.pth', dict(state_dict=network.state_dict()))
    (root / 'tiny.py').write_text(f"_base_ = 'mmrefine::pips/pips_demo.py'\nmodel = dict(estimator={SMALL}, "
                                  f"test_iters=1)\nload_from = {str(root / 'tiny.pth')!r}\n")
    (root / 'points.csv').write_text('frame,x,y\n0,30,20\n3,50.5,40\n5,10,10\n')
    return root


def command(place: Path, out: Path, *more: object) -> tuple:
    return ('track', place / 'clip', '--model', place / 'tiny.py', '--out', out, *more)


@pytest.fixture(scope='module')
def whole(place, tmp_path_factory) -> Path:
    """The results of a run that nobody disturbed."""
    out = tmp_path_factory.mktemp('whole') / 'out'
    assert status_of(*command(place, out, '--points', place / 'points.csv')) == 0
    return out


def files_of(out: Path) -> Dict[str, bytes]:
    """All but the video, whose container may carry a date."""
    return {path.relative_to(out).as_posix(): path.read_bytes() for path in sorted(out.rglob('*'))
            if path.is_file() and path.suffix != '.mp4'}


def test_the_files_are_the_tracks_of_the_network(place, whole):
    frames = np.stack([read_image(file) for file in sorted((place / 'clip').iterdir())])
    queries = torch.tensor([[0., 20., 30.], [3., 40., 50.5], [5., 10., 10.]])
    wanted = open_tracker(place / 'tiny.py', device='cpu').track(
        torch.from_numpy(frames).permute(0, 3, 1, 2).float() / 255, queries)
    found = read_tracks(whole / 'tracks.npz')
    torch.testing.assert_close(found.points, wanted.points, equal_nan=True, atol=1 / 128 + 1e-6, rtol=0)
    assert torch.equal(found.queries, queries) and found.size == SIZE
    assert torch.equal(found.visible, (wanted.visible > 0.5).float())
    head, *lines = (whole / 'tracks.csv').read_text().splitlines()
    rows = np.array([[float(value) for value in line.split(',')] for line in lines])
    assert head == 'track,frame,x,y,confidence' and len(rows) == 6 + 3 + 1
    assert [tuple(row) for row in rows[:, :2].astype(int)] == [(n, t) for n, first in enumerate((0, 3, 5))
                                                               for t in range(first, 6)]
    for n, t, x, y, confidence in rows:
        at = wanted.points[int(n), int(t)]
        assert abs(x - at[0]) < 1e-3 and abs(y - at[1]) < 1e-3
        assert confidence == pytest.approx(float(wanted.visible[int(n), int(t)]), abs=1e-3)
    record = json.loads((whole / 'tracks.json').read_text())
    assert record['complete'] and record['tracks'] == 3 and record['size'] == list(SIZE)
    assert record['frames'][0] == 'frame_0001' and set(record['digests']) == {'tracks.npz', 'tracks.csv'}
    assert 'what the network says' in record['confidence'] and record['settings']['tracker']['network'] == 'PIPs'
    video = open_frames(whole / 'tracks.mp4')
    assert len(video) == FRAMES and video.size == SIZE


def test_a_finished_folder_is_left_alone_and_a_damaged_one_is_mended(place, whole, tmp_path, capsys, monkeypatch):
    out = tmp_path / 'out'
    shutil.copytree(whole, out)
    points = ('--points', place / 'points.csv')
    with monkeypatch.context() as patch:  # nothing is computed
        patch.setattr(tracking._Follower, '__call__', None)
        patch.setattr(tracking, 'write_video', None)
        found, = tracks_of_video(place / 'clip', place / 'tiny.py', out=out, points=place / 'points.csv')
    assert (found.tracks, found.frames, found.made) == (3, FRAMES, False) and files_of(out) == files_of(whole)
    (out / 'tracks.mp4').write_bytes(b'no')
    assert status_of(*command(place, out, *points)) == 0
    assert '3 tracks through 6 frames (there already)' in capsys.readouterr().out
    assert len(open_frames(out / 'tracks.mp4')) == FRAMES
    for harm, name in ((lambda path: os.truncate(path, 100), 'tracks.npz'), (Path.unlink, 'tracks.csv')):
        harm(out / name)
        (out / 'tracks.mp4').unlink()
        (out / '.mmrefine-0123456789abcdef.tmp').write_text('half')
        assert status_of(*command(place, out, *points)) == 0
        text = capsys.readouterr().out
        assert f'3 tracks through 6 frames (made now) in {out}; shown in {out / "tracks.mp4"}' in text
        assert ('tracks.npz is not as it was written; the tracks are made again' in text) is (name == 'tracks.npz')
        assert files_of(out) == files_of(whole) and (out / 'tracks.mp4').is_file()
    sentence = error_of(capsys, *command(place, out, '--grid', 32))
    assert sentence.startswith(f'{out}: holds tracks that were made with other settings (points was 3 (')
    (out / 'tracks.json').unlink()
    assert error_of(capsys, *command(place, out, *points)).startswith(f'{out / "tracks.npz"}: was not written by')


@pytest.mark.parametrize('where', ['frame', 'table', 'drawing'])
def test_a_run_that_is_stopped_goes_on_and_ends_like_one_that_was_not(place, whole, tmp_path, monkeypatch, where):
    calls = []
    owner, name = {'frame': (tracking, 'as_frames'), 'table': (tracking, 'digests_of'),
                   'drawing': (tracking, 'draw_trails')}[where]
    original = getattr(owner, name)

    def stopping(*args, **kwargs):
        calls.append(1)
        if len(calls) == (1 if where == 'table' else 3):
            raise KeyboardInterrupt
        return original(*args, **kwargs)

    monkeypatch.setattr(owner, name, stopping)
    arguments = command(place, tmp_path, '--points', place / 'points.csv')
    assert status_of(*arguments) == 130 and not json.loads((tmp_path / 'tracks.json').read_text())['complete']
    assert (tmp_path / 'tracks.npz').exists() is (where != 'frame')
    monkeypatch.undo()
    if where != 'frame':  # what is there is not made again
        monkeypatch.setattr(tracking._Follower, '__call__', None)
    assert status_of(*arguments) == 0 and files_of(tmp_path) == files_of(whole)
    assert (tmp_path / 'tracks.mp4').is_file() and not [path for path in tmp_path.rglob('.*')]


@pytest.mark.parametrize('name', ['tracks.mp4', 'tracks.csv', 'tracks.npz'])
def test_a_file_that_it_has_not_written_is_not_overwritten(place, tmp_path, capsys, name):
    (tmp_path / name).write_bytes(b'mine')  # such as the table of points, or the video itself
    assert f'{tmp_path / name}: was not written by mmrefine track' in error_of(capsys, *command(place, tmp_path))
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {name: b'mine'}


def test_a_grid_begins_in_the_frame_that_is_named(place, tmp_path):
    assert status_of(*command(place, tmp_path / 'a', '--grid', 24, '--frame', 2, '--no-video')) == 0
    found = read_tracks(tmp_path / 'a/tracks.npz')
    grid = query_grid(SIZE, 24, 12)
    assert torch.equal(found.points[:, 2], grid) and bool(found.points[:, :2].isnan().all())
    assert bool((found.queries[:, 0] == 2).all()) and bool(found.points[:, 2:].isfinite().all())
    assert not (tmp_path / 'a/tracks.mp4').exists()


def test_tracks_end_before_corrupt_frames_and_gaps(place, tmp_path, capsys):
    folder = tmp_path / 'clip'
    shutil.copytree(place / 'clip', folder)
    (folder / 'frame_0003.png').write_bytes(b'')
    (folder / 'frame_0006.png').rename(folder / 'frame_0009.png')
    (tmp_path / 'points.csv').write_text('frame,x,y\n0,30,20\n3,50,40\n5,20,20\n')
    arguments = ('track', folder, '--model', place / 'tiny.py', '--points', tmp_path / 'points.csv', '--no-video')
    assert '1 of 6 frames are corrupt' in error_of(capsys, *arguments, '--out', tmp_path / 'out')
    assert status_of(*arguments, '--skip-corrupt', '--out', tmp_path / 'out') == 0
    known = read_tracks(tmp_path / 'out/tracks.npz').points.isfinite().all(dim=2)
    assert known.tolist() == [[True, True, False, False, False, False], [False, False, False, True, True, False],
                              [False, False, False, False, False, True]]
    (tmp_path / 'points.csv').write_text('frame,x,y\n2,30,20\n')
    assert ('points.csv: line 2: frame 2 of clip (frame_0003) is corrupt; correct it or leave it out' in error_of(
        capsys, *arguments, '--skip-corrupt', '--out', tmp_path / 'out2'))


def test_each_scene_has_its_points_and_a_video_its_times(place, tmp_path, capsys):
    clips = tmp_path / 'clips'
    clips.mkdir()
    for name in ('a', 'b', 'c'):
        video_of(place / 'clip', clips / f'{name}.avi')
    (tmp_path / 'points.csv').write_text('scene,frame,x,y\na,0,30,20\nb,1,40,30\na,2,10,10\n')
    arguments = ('track', clips, '--model', place / 'tiny.py', '--points', tmp_path / 'points.csv', '--no-video')
    assert status_of(*arguments, '--out', tmp_path / 'out') == 0
    assert f'c: left out, {tmp_path / "points.csv"} has no points of it' in capsys.readouterr().out
    assert read_tracks(tmp_path / 'out/a/tracks.npz').queries.tolist() == [[0, 20, 30], [2, 10, 10]]
    assert read_tracks(tmp_path / 'out/b/tracks.npz').queries.tolist() == [[1, 30, 40]]
    assert not (tmp_path / 'out/c').exists()
    record = json.loads((tmp_path / 'out/a/tracks.json').read_text())
    assert record['times'] == {f'frame_{i:06d}': pytest.approx(i / 10) for i in range(FRAMES)}
    (tmp_path / 'points.csv').write_text('scene,frame,x,y\nd,0,30,20\n')
    assert ('line 2 names the scene d, and those of the video are a, b, c; correct it or leave it out' in
            error_of(capsys, *arguments, '--out', tmp_path / 'out'))


def test_a_dry_run_forecasts_and_writes_nothing(place, tmp_path, capsys):
    assert status_of(*command(place, tmp_path / 'out', '--grid', 24, '--dry-run')) == 0
    assert 'for 6 tracks through 6 frames (from small frames)' in capsys.readouterr().out
    assert not (tmp_path / 'out').exists()


def test_a_dry_run_of_long_narrow_frames_does_not_shrink_them_below_what_the_network_takes(place, tmp_path, capsys):
    for number in range(3):
        write_image(tmp_path / 'strip' / f'{number}.png', np.zeros((36, 600, 3), np.uint8))
    assert status_of('track', tmp_path / 'strip', '--model', place / 'tiny.py', '--out', tmp_path / 'out', '--dry-run',
                     '--grid', 200) == 0
    assert 'for 3 tracks through 3 frames' in capsys.readouterr().out


@pytest.mark.parametrize('table, sentence', [
    ('frame,x,y\n0,30,20\n1,95.6,20\n', 'line 3: x 95.6, y 20 lies outside of the frames of clip, which are 64x96 px'),
    ('frame,x,y\n0,30,-0.6\n', 'line 2: x 30, y -0.6 lies outside of the frames of clip'),
    ('frame,x,y\n6,30,20\n', 'line 2: clip has the frames 0 to 5, got frame 6; correct it or leave it out'),
    ('frame,x,y\n-1,30,20\n', "line 2 must be the number of a frame from 0, x and y in px, got '-1,30,20'"),
    ('frame,x,y\n1,nan,20\n', 'line 2 must be the number of a frame from 0'),
    ('frame,x,y\n', 'names no points; write one a line below the first one, which is frame,x,y'),
    ('', 'the file is empty; copy or export it again'),
    ('t,x,y\n1,2,3\n', "lacks the column frame; the first line must be frame,x,y, got 't,x,y'"),
    ('frame, x, y\n1, 2, 3\n', "lacks the column x; the first line must be frame,x,y, got 'frame, x, y'"),
])
def test_points_that_cannot_be_followed_are_named_by_line(place, tmp_path, capsys, table, sentence):
    (tmp_path / 'points.csv').write_text(table)
    found = error_of(capsys, *command(place, tmp_path / 'out', '--points', tmp_path / 'points.csv'))
    assert found.startswith(f'{tmp_path / "points.csv"}: {sentence}') and not (tmp_path / 'out').exists()


@pytest.mark.parametrize('changes, sentence', [
    (dict(size=np.int32([480, 854])), 'its tracks are px of frames of 480x854 (height x width), and those of clip are '
                                      '64x96; give tracks of frames of that size, or a .csv of points'),
    (dict(queries=np.float32([[0, 20, 30], [1.5, 40, 50], [5, 10, 10]])), 'track 1 begins at frame 1.5, which must be'),
    (dict(tracks=np.zeros((0, FRAMES, 2), 'f4'), visible=np.zeros((0, FRAMES), bool), queries=np.zeros((0, 3), 'f4')),
     'names no points; take a file with tracks'),
])
def test_tracks_whose_queries_do_not_fit_the_video_are_refused(place, whole, tmp_path, capsys, changes, sentence):
    np.savez(tmp_path / 'points.npz', **{**np.load(whole / 'tracks.npz'), **changes})
    found = error_of(capsys, *command(place, tmp_path / 'out', '--points', tmp_path / 'points.npz'))
    assert found.startswith(f'{tmp_path / "points.npz"}: {sentence}') and not (tmp_path / 'out').exists()


def test_points_may_be_those_of_tapvid(place, whole, tmp_path):
    tracks = read_tracks(whole / 'tracks.npz')
    tracks.visible[:] = tracks.points.isfinite().all(dim=2)  # a point of TAP-Vid begins where it is first seen
    write_tapvid(tmp_path / 'theirs.npz', tracks)
    assert status_of(*command(place, tmp_path / 'out', '--points', tmp_path / 'theirs.npz', '--no-video')) == 0
    torch.testing.assert_close(read_tracks(tmp_path / 'out/tracks.npz').queries, tracks.queries, atol=0.01, rtol=0)


def test_what_is_wrong_is_one_sentence(place, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    one = tmp_path / 'one'
    one.mkdir()
    shutil.copy(place / 'clip/frame_0001.png', one)
    tiny = ('--model', place / 'tiny.py')
    assert 'holds 1 frame, and motion needs at least 2' in error_of(capsys, 'track', one, *tiny)
    both = error_of(capsys, *command(place, tmp_path / 'out', '--points', place / 'points.csv', '--grid', 8))
    assert '--points names points and their frames' in both
    assert error_of(capsys, *command(place, tmp_path / 'out', '--frame', 6)) == (
        '--frame 6: clip has the frames 0 to 5, got frame 6; name another frame')
    weights = error_of(capsys, 'track', place / 'clip')  # PIPs
    assert 'pips-mmrefine.pth: the weights to start from are not there; they are the reference_model' in weights
    assert 'https://github.com/aharley/pips' in weights and weights.endswith('with --model pips_demo')
    monkeypatch.setattr(track_queries, 'MOST_NUMBERS', 2 * 5 * FRAMES)
    assert 'clip: 6 points in 6 frames are more than one file holds' in error_of(
        capsys, *command(place, tmp_path / 'out', '--grid', 24))
    assert not (tmp_path / 'out').exists() and not (tmp_path / 'work_dirs').exists()


def test_weights_that_give_nan_are_refused_and_do_not_lock_the_folder(place, tmp_path, capsys):
    state = torch.load(place / 'tiny.pth', weights_only=True)['state_dict']
    state['mixer.leave.bias'] += 3e38  # finite, as a checkpoint must be
    save_checkpoint(tmp_path / 'odd.pth', dict(state_dict=state))
    arguments = command(place, tmp_path / 'out', '--points', place / 'points.csv')
    sentence = error_of(capsys, *arguments, '--checkpoint', tmp_path / 'odd.pth')
    assert sentence.startswith(f'{place / "clip"}: the tracker gives points that are not finite in the frames')
    assert not (tmp_path / 'out').exists()
    assert status_of(*arguments, '--no-video') == 0


def test_frames_that_are_too_small_are_refused_with_the_video_and_leave_nothing_behind(place, tmp_path, capsys):
    for number in range(3):
        write_image(tmp_path / 'small' / f'{number}.png', np.zeros((20, 28, 3), np.uint8))
    (tmp_path / 'points.csv').write_text('frame,x,y\n0,10,10\n')
    arguments = ('track', tmp_path / 'small', '--model', place / 'tiny.py', '--out', tmp_path / 'out', '--points',
                 tmp_path / 'points.csv')
    assert error_of(capsys, *arguments).startswith(
        f'{tmp_path / "small"}: frames of 20x28 px (height x width) are too small for PIPs')
    assert not (tmp_path / 'out').exists()
    assert status_of(*arguments, '--resize', 40, 56, '--no-video') == 0
    told = capsys.readouterr().out
    assert 'for 1 track through 3 frames' in told and 'small: 1 track through 3 frames (made now)' in told


def test_any_flow_network_is_chained(place, tmp_path):
    (tmp_path / 'flow.py').write_text("_base_ = 'mmrefine::demo/raft_small_video.py'\nmodel = dict(test_iters=2)\n")
    assert status_of('track', place / 'clip', '--model', tmp_path / 'flow.py', '--points', place / 'points.csv',
                     '--max-frames', 6, '--no-video', '--out', tmp_path / 'out') == 0
    record = json.loads((tmp_path / 'out/tracks.json').read_text())
    assert record['confidence'].startswith('1 as long as') and record['settings']['tracker']['iters'] == 2
    assert load_config(tmp_path / 'flow.py').model.type == 'FlowRefiner'
    rows = (tmp_path / 'out/tracks.csv').read_text().splitlines()[1:]
    assert len(rows) == 10 and {row.rpartition(',')[2] for row in rows} <= {'0.000', '1.000'}


def test_a_chain_of_several_steps_is_asked_for_told_and_another_setting(place, tmp_path, capsys):
    (tmp_path / 'flow.py').write_text("_base_ = 'mmrefine::demo/raft_small_video.py'\nmodel = dict(test_iters=2)\n")
    arguments = ('track', place / 'clip', '--model', tmp_path / 'flow.py', '--points', place / 'points.csv',
                 '--no-video', '--out', tmp_path / 'out', '--steps')
    assert status_of(*arguments, 1, 2, 'first') == 0
    record = json.loads((tmp_path / 'out/tracks.json').read_text())
    assert record['confidence'].startswith('1 where a row of steps leads')
    assert record['settings']['tracker']['steps'] == [1, 2, 'first']
    assert 'never taken' not in capsys.readouterr().out
    count = len(list((place / 'clip').iterdir()))
    assert status_of(*arguments[:-3], '--dry-run', '--steps', 1, count - 1, count, 1000) == 0
    assert f'--steps {count} 1000: never taken, as the longest scene has {count} frames\n' in capsys.readouterr().out
    assert 'holds tracks that were made with other settings' in error_of(capsys, *arguments, 1)


def test_a_threshold_hides_points_and_the_files_have_their_errors(place, whole, tmp_path, capsys):
    points = ('--points', place / 'points.csv')
    wide, out = tmp_path / 'wide', tmp_path / 'out'
    assert status_of(*command(place, wide, *points, '--max-error', 1000, '--no-video')) == 0
    with np.load(wide / 'tracks.npz') as arrays, np.load(whole / 'tracks.npz') as plain:
        error, seen = arrays['error'], arrays['visible']
        assert list(plain) == [name for name in arrays if name != 'error']
        assert all(arrays[name].tobytes() == plain[name].tobytes() for name in plain)
    assert np.array_equal(np.isnan(error), np.arange(FRAMES) < np.array([[0], [3], [5]]))
    most = float(np.median(error[error > 0]))
    assert status_of(*command(place, out, *points, '--max-error', most, '--no-video')) == 0
    found = read_tracks(out / 'tracks.npz')
    assert np.array_equal(found.visible.numpy() > 0, seen & (error <= most)) and 0 < found.visible.sum() < seen.sum()
    head, *lines = (out / 'tracks.csv').read_text().splitlines()
    assert head == 'track,frame,x,y,confidence,error' and len(lines) == 6 + 3 + 1
    for line, old in zip(lines, (whole / 'tracks.csv').read_text().splitlines()[1:]):
        track, frame, *_, confidence, off = map(float, line.split(','))
        expected = float(error[int(track), int(frame)])
        assert off == pytest.approx(expected, abs=1e-3)
        assert line.startswith(old) if expected <= most else confidence == 0
    record = json.loads((out / 'tracks.json').read_text())
    assert record['settings']['max_error'] == most and record['settings']['errors']['by'] == 'round trips'
    assert record['error'].startswith('px, how far the point') and 'at most' in record['max_error']
    plain_record = json.loads((whole / 'tracks.json').read_text())
    assert not {'max_error', 'error'} & set(plain_record) and not {'max_error', 'errors'} & set(
        plain_record['settings'])
    capsys.readouterr()
    assert status_of(*command(place, out, *points, '--max-error', most, '--no-video')) == 0
    assert 'there already' in capsys.readouterr().out
    for other in ((), ('--max-error', 1000)):
        assert 'holds tracks that were made with other settings' in error_of(
            capsys, *command(place, out, *points, *other))


def test_errors_of_chained_flow_rise_along_each_point(place, tmp_path, capsys):
    (tmp_path / 'flow.py').write_text("_base_ = 'mmrefine::demo/raft_small_video.py'\nmodel = dict(test_iters=2)\n")
    arguments = ('track', place / 'clip', '--model', tmp_path / 'flow.py', '--points', place / 'points.csv',
                 '--no-video', '--max-error')
    assert status_of(*arguments, 4, '--out', tmp_path / 'out') == 0
    found = read_tracks(tmp_path / 'out/tracks.npz')
    assert bool((found.error[0].diff() > 0).all()) and found.error[[0, 1, 2], [0, 3, 5]].tolist() == [0, 0, 0]
    assert not bool(((found.visible > 0) & ~(found.error <= 4)).any())
    assert json.loads((tmp_path / 'out/tracks.json').read_text())['settings']['errors']['by'] == 'steps'
    assert error_of(capsys, *arguments, 0, '--out', tmp_path / 'bad').startswith('--max-error must be')
    assert not (tmp_path / 'bad').exists()


@pytest.mark.parametrize('options, sentence', [
    (('--steps', 2, 4), 'steps must have 1 or first among them'),
    (('--judge', 'verifier'), 'judge decides among several steps; name them'),
    (('--steps', 1, 2), 'tiny.py: steps and judge are of flow that is chained'),
])
def test_steps_that_cannot_be_taken_are_refused(place, tmp_path, capsys, options, sentence):
    assert sentence in error_of(capsys, *command(place, tmp_path / 'out', *options))
    assert not (tmp_path / 'out').exists()
