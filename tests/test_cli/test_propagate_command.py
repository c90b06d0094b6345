"""``mmrefine propagate``: a world that moves by 4 px a frame, by all three ways; files are whole or not there."""
from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Dict

import numpy as np
import pytest
import torch
from exact_tracks import render, translations
from helpers_cli import ROOT, error_of, status_of

import mmrefine.apis.propagated_video as propagating
import mmrefine.apis.propagation_files as propagation_files
from mmrefine.apis import init_model, open_tracker, propagate_masks, propagate_points
from mmrefine.errors import InputError
from mmrefine.evaluation import jaccard
from mmrefine.fileio import open_frames, read_ids, read_image, read_tracks, write_ids, write_image
from mmrefine.fileio.atomic import save_checkpoint
from mmrefine.fileio.images import decode_pixels

FRAMES, SIZE, STEP = 5, (64, 96), 4  # px right a frame, the stride of features
ODD, EVEN = 7, 200  # ids
WAYS = dict(features=('--model', 'corrflow', '--checkpoint', 'corrflow.pth'),
            flow=('--model', 'demo', '--checkpoint', ROOT / 'configs/demo/raft_small_source.pth'),
            tracks=('--model', 'pips_demo', '--checkpoint', ROOT / 'configs/pips/pips_small.pth'))
ways = pytest.mark.parametrize('way', WAYS)
FLOW = WAYS['flow']
# of a config in the folder `place`: for what becomes of files, with a quarter of the iterations
QUICK = ('--model', 'quick.py', *FLOW[2:])


def mask(number, ids=(ODD, EVEN)) -> np.ndarray:
    """Two objects that move with the world."""
    found = np.zeros(SIZE, np.uint8)
    for top, one in ((8, ODD), (36, EVEN)):
        if one in ids:
            found[top:top + 20, 24 + STEP * number:48 + STEP * number] = one
    return found


@pytest.fixture(scope='module')
def place(tmp_path_factory) -> Path:
    """``clip``, masks ``0.png`` to ``4.png``, ``points.csv``, and features of random weights: in a world that moves by
    the stride of the network they move along exactly, but for the border."""
    root = tmp_path_factory.mktemp('place')
    grain = np.random.default_rng(2).normal(0, 0.08, (3, SIZE[0], SIZE[1] + STEP * FRAMES))
    for number, frame in enumerate(render(translations(STEP, 0., FRAMES), SIZE).numpy()):
        frame = frame + grain[:, :, STEP * (FRAMES - number):][:, :, :SIZE[1]]
        picture = (frame.clip(0, 1) * 255).round().astype(np.uint8).transpose(1, 2, 0)
        write_image(root / f'clip/{number:05d}.png', picture)
        write_ids(root / f'{number}.png', mask(number))
    torch.manual_seed(0)
    model = init_model(ROOT / 'configs/corrflow/resnet18_video.py', device='cpu')
    features = model.encode(torch.from_numpy(picture.transpose(2, 0, 1)[None].copy()).float() / 255)[0].flatten(1)
    head, mean, scale = model.estimator.head, features.mean(dim=1), 3 / features.std(dim=1)
    with torch.no_grad():  # features that differ from place to place, as those that were learned do
        head.weight.mul_(scale[:, None, None, None])
        head.bias.sub_(mean).mul_(scale)
    save_checkpoint(root / 'corrflow.pth', dict(state_dict=model.estimator.state_dict(), meta={}))
    (root / 'quick.py').write_text("_base_ = 'mmrefine::demo/raft_small_video.py'\nmodel = dict(test_iters=2)\n")
    (root / 'points.csv').write_text('frame,x,y\n2,40,20\n0,30,44\n4,50,30\n')
    return root


@pytest.fixture(autouse=True)
def here(place, monkeypatch):
    monkeypatch.chdir(place)


def command(out: Path, *more: object) -> tuple:
    return ('propagate', 'clip', '--out', out, *more)


def masks_in(out: Path) -> Dict[int, np.ndarray]:
    return {int(path.stem): read_ids(path) for path in sorted((out / 'masks/clip').iterdir())}


def files_of(out: Path) -> Dict[str, bytes]:
    """All but the video, whose container may carry a date."""
    return {path.relative_to(out).as_posix(): path.read_bytes() for path in sorted(out.rglob('*'))
            if path.is_file() and path.suffix != '.mp4'}


@pytest.fixture(scope='module')
def whole(place, tmp_path_factory) -> Path:
    """The results of a run that nobody disturbed."""
    out = tmp_path_factory.mktemp('whole') / 'out'
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        assert status_of(*command(out, '--mask', '2=2.png', *QUICK)) == 0
    return out


@ways
def test_a_mask_from_the_middle_goes_with_the_world_both_ways(way, tmp_path):
    assert status_of(*command(tmp_path, '--mask', '2=2.png', *WAYS[way], '--no-video')) == 0
    found = masks_in(tmp_path)
    assert list(found) == list(range(FRAMES)) and not (tmp_path / 'masks.mp4').exists()
    for number, ids in found.items():
        assert set(np.unique(ids)) == {0, ODD, EVEN}
        for one in (ODD, EVEN):
            # what stays in its place overlaps by 0.5 two frames on; between points of a grid the border is not known
            assert jaccard(ids == one, mask(number) == one) > (0.65 if way == 'tracks' else 0.85), (number, one)
    assert np.array_equal(found[2], mask(2))
    record = json.loads((tmp_path / 'propagate.json').read_text())
    assert record['settings']['by'] == way and record['objects'] == [ODD, EVEN] and record['complete']


@ways
def test_points_go_with_the_world_both_ways(way, tmp_path):
    assert status_of(*command(tmp_path, '--points', 'points.csv', *WAYS[way], '--no-video')) == 0
    found = read_tracks(tmp_path / 'tracks.npz')
    wanted = torch.tensor([[40., 20.], [30., 44.], [50., 30.]])[:, None].repeat(1, FRAMES, 1)
    wanted[..., 0] += STEP * (torch.arange(FRAMES) - torch.tensor([[2], [0], [4]]))
    assert float((found.points - wanted).norm(dim=2).max()) < 2  # px
    assert len((tmp_path / 'tracks.csv').read_text().splitlines()) == 1 + 3 * FRAMES
    assert json.loads((tmp_path / 'propagate.json').read_text())['tracks'] == 3


def test_files_are_what_python_gives_and_the_video_shows_them(whole):
    model = open_tracker(*QUICK[1::2], device='cpu')
    found = propagate_masks('clip', {2: mask(2)}, model)
    pictures = [read_image(path) for path in sorted(Path('clip').iterdir())]
    again = propagate_masks(pictures, {2: '2.png'}, model, by='flow')
    assert np.array_equal(found, again) and np.array_equal(found, np.stack(list(masks_in(whole).values())))
    colors = decode_pixels((whole / 'masks/clip/00002.png').read_bytes())
    assert colors[10, 40].tolist() == [128, 128, 128]  # the 7th of DAVIS' palette
    video = open_frames(whole / 'masks.mp4')
    assert len(video) == FRAMES and video.size == SIZE
    changed = np.abs(video[2].astype(int) - pictures[2]).max(axis=2) > 40
    assert changed[mask(2) == EVEN].mean() > 0.5 and changed[mask(2) == 0].mean() < 0.2
    tracks = propagate_points('clip', [[2, 20., 40.]], model)
    assert tracks.points.shape == (1, FRAMES, 2) and float(tracks.points[0, 4, 0]) == pytest.approx(48, abs=1)


def test_later_masks_add_and_correct_objects(tmp_path):
    more = mask(3, (EVEN, ))
    more[more == 0] = 255  # says nothing of all else
    write_ids(tmp_path / 'more.png', more)
    write_ids(tmp_path / 'first.png', mask(1, (ODD, )))
    write_ids(tmp_path / 'gone.png', mask(4, (EVEN, )))
    arguments = command(tmp_path / 'out', *QUICK, '--no-video', '--mask', f'1={tmp_path}/first.png')
    assert status_of(*arguments, f'3={tmp_path}/more.png', '--mask', f'4={tmp_path}/gone.png') == 0
    found = masks_in(tmp_path / 'out')
    assert [set(np.unique(ids)) - {0} for ids in found.values()] == [{ODD}, {ODD}, {ODD}, {ODD, EVEN}, {EVEN}]
    assert np.array_equal(found[3] == EVEN, mask(3) == EVEN) and np.array_equal(found[4], mask(4, (EVEN, )))


def test_settings_of_features_reach_them(tmp_path):
    found = {}
    for name, options in dict(plain=(), memory=('--memory', 2, '--top-k', 3), hard=('--hard', )).items():
        assert status_of(*command(tmp_path / name, '--mask', '0.png', *WAYS['features'], '--no-video', *options)) == 0
        settings = json.loads((tmp_path / name / 'propagate.json').read_text())['settings']
        found[name] = [settings[key] for key in ('memory', 'top_k', 'hard')]
        assert jaccard(masks_in(tmp_path / name)[4] == ODD, mask(4) == ODD) > 0.85
    assert found == dict(plain=[0, None, False], memory=[2, 3, False], hard=[0, None, True])


def test_a_finished_folder_is_left_alone_and_a_damaged_one_is_mended(whole, tmp_path, capsys, monkeypatch):
    out = tmp_path / 'out'
    shutil.copytree(whole, out)
    arguments = command(out, '--mask', '2=2.png', *QUICK)
    with monkeypatch.context() as patch:
        patch.setattr(propagating, 'masks_along', None)
        patch.setattr(propagating, 'write_video', None)
        assert status_of(*arguments) == 0 and files_of(out) == files_of(whole)
    assert 'clip: 2 objects in 5 frames (there already)' in capsys.readouterr().out
    for harm in (lambda path: os.truncate(path, 60), Path.unlink):
        harm(out / 'masks/clip/00003.png')
        assert status_of(*arguments) == 0 and files_of(out) == files_of(whole)
    other = error_of(capsys, *command(out, '--mask', '1=1.png', *QUICK))
    assert other.startswith(f'{out}: holds masks or tracks that were made with other settings (masks was')
    assert 'made with other settings' in error_of(capsys, *command(out, '--points', 'points.csv', *QUICK))
    assert files_of(out) == files_of(whole)


def test_a_mask_that_was_corrected_by_hand_is_not_overwritten(whole, tmp_path, capsys):
    out, path = tmp_path / 'out', tmp_path / 'out/masks/clip/00003.png'
    shutil.copytree(whole, out)
    write_ids(path, mask(3, (ODD, )))
    kept = files_of(out)
    sentence = error_of(capsys, *command(out, '--mask', '2=2.png', *QUICK))
    assert sentence.startswith(f'{path}: was changed since it was written') and files_of(out) == kept
    assert status_of(*command(tmp_path / 'new', '--mask', '2=2.png', f'3={path}', '--no-video', *QUICK)) == 0
    assert np.array_equal(masks_in(tmp_path / 'new')[3], mask(3, (ODD, )))


@pytest.mark.parametrize('again', [False, True])
@pytest.mark.parametrize('number', [1, 3])  # written before the run was stopped, and not
def test_nor_is_one_that_was_corrected_after_an_interruption(whole, tmp_path, capsys, number, again):
    out, path = tmp_path / 'out', tmp_path / f'out/masks/clip/{number:05d}.png'
    if again:  # all are made again, as one is missing
        shutil.copytree(whole, out)
        (out / 'masks/clip/00000.png').unlink()
    stop_at_third(propagation_files, 'write_bytes', out)
    write_ids(path, mask(number, (ODD, )))
    kept = files_of(out)
    with open(out / 'propagate.written', 'ab') as file:
        file.write(b'\n["masks/clip/0000')  # a line that a full disk has cut off
    sentence = error_of(capsys, *command(out, '--mask', '2=2.png', *QUICK))
    assert sentence.startswith(f'{path}: was changed since it was written')
    assert all((out / name).read_bytes() == data for name, data in kept.items() if name.endswith('.png'))
    path.unlink()
    assert status_of(*command(out, '--mask', '2=2.png', *QUICK)) == 0 and files_of(out) == files_of(whole)


def test_nor_is_one_that_was_corrected_while_the_video_was_drawn(whole, tmp_path, capsys, monkeypatch):
    path, original = tmp_path / 'masks/clip/00003.png', propagating.draw_masks

    def correcting(*args):
        write_ids(path, mask(3, (ODD, )))
        return original(*args)

    monkeypatch.setattr(propagating, 'draw_masks', correcting)
    assert status_of(*command(tmp_path, '--mask', '2=2.png', *QUICK)) == 0
    assert error_of(capsys, *command(tmp_path, '--mask', '2=2.png', *QUICK)).startswith(f'{path}: was changed since')


@pytest.mark.parametrize('name', ['masks/clip/00004.png', 'masks.mp4'])
def test_a_file_that_it_has_not_written_is_not_overwritten(tmp_path, capsys, name):
    (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / name).write_bytes(b'mine')
    assert f'{tmp_path / name}: was not written by mmrefine propagate' in error_of(
        capsys, *command(tmp_path, '--mask', '0.png', *QUICK))
    assert [path.read_bytes() for path in tmp_path.rglob('*') if path.is_file()] == [b'mine']


def stop_at_third(module, where: str, out: Path) -> None:
    """Run the command, which is interrupted when it calls a function for the third time."""
    calls, original = [], getattr(module, where)

    def stopping(*args):
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return original(*args)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, where, stopping)
        assert status_of(*command(out, '--mask', '2=2.png', *QUICK)) == 130
    assert not json.loads((out / 'propagate.json').read_text())['complete']


@pytest.mark.parametrize('module, where', [(propagation_files, 'write_bytes'), (propagating, 'draw_masks')])
def test_a_run_that_is_stopped_goes_on_and_ends_like_one_that_was_not(whole, tmp_path, module, where):
    stop_at_third(module, where, tmp_path)
    assert status_of(*command(tmp_path, '--mask', '2=2.png', *QUICK)) == 0 and files_of(tmp_path) == files_of(whole)
    assert (tmp_path / 'masks.mp4').is_file() and not list(tmp_path.rglob('.*'))


@pytest.mark.parametrize('given', ['--mask', '--points'])
def test_frames_that_are_too_small_for_a_network_leave_no_files_behind(tmp_path, capsys, monkeypatch, given):
    monkeypatch.chdir(tmp_path)
    for number in range(2):
        write_image(f'small/{number}.png', np.full((8, 8, 3), 99, np.uint8))
    write_ids('mask.png', np.eye(8, dtype=np.uint8))
    Path('points.csv').write_text('frame,x,y\n0,4,4\n')
    arguments = ('propagate', 'small', given, 'mask.png' if given == '--mask' else 'points.csv', '--out', 'out')
    assert 'frames of 8x8 px (height x width) are too small for PIPs' in error_of(capsys, *arguments, *WAYS['tracks'])
    assert not Path('out').exists()


def test_a_failed_start_removes_nothing_of_others(tmp_path, capsys, monkeypatch):
    path, original = tmp_path / 'masks/clip/00002.png', propagation_files.write_bytes

    def failing(name, data):
        if name.stem == '00004':
            write_ids(path, mask(2, (ODD, )))
            raise InputError('cannot be read')
        original(name, data)

    (tmp_path / 'masks').mkdir()
    (tmp_path / 'masks/notes.txt').write_text('mine')
    monkeypatch.setattr(propagation_files, 'write_bytes', failing)
    assert error_of(capsys, *command(tmp_path, '--mask', '2=2.png', *QUICK)) == 'cannot be read'
    assert {name for name in files_of(tmp_path)} == {'masks/clip/00002.png', 'masks/notes.txt'}
    assert np.array_equal(read_ids(path), mask(2, (ODD, )))


def test_a_dry_run_forecasts_and_writes_nothing(tmp_path, capsys):
    for given, said in ((('--mask', '2=2.png'), 'for masks of 5 frames'), (('--points', 'points.csv'), 'for 3 tracks')):
        assert status_of(*command(tmp_path / 'out', *given, *QUICK, '--dry-run')) == 0
        assert said in capsys.readouterr().out and not (tmp_path / 'out').exists()


def test_masks_end_at_corrupt_frames_and_gaps(tmp_path, capsys):
    shutil.copytree('clip', tmp_path / 'clip')
    (tmp_path / 'clip/00001.png').write_bytes(b'')
    (tmp_path / 'clip/00004.png').rename(tmp_path / 'clip/00009.png')
    arguments = ('propagate', tmp_path / 'clip', *QUICK, '--skip-corrupt', '--no-video', '--out', tmp_path / 'out')
    assert status_of(*arguments, '--mask', '2=2.png') == 0 and list(masks_in(tmp_path / 'out')) == [2, 3]
    assert 'clip: 3 of 5 frames get no mask, as corrupt frames or gaps' in capsys.readouterr().out
    assert error_of(capsys, *arguments, '--mask', '1=1.png').startswith(
        '1.png: frame 1 of clip (00001) is corrupt; name the mask of another frame')
    out = (*arguments[:-1], tmp_path / 'points')
    assert status_of(*out, '--points', 'points.csv') == 0
    assert read_tracks(tmp_path / 'points/tracks.npz').points.isfinite().all(dim=2).tolist() == [
        [False, False, True, True, False], [True, False, False, False, False], [False, False, False, False, True]]


def test_tracks_and_their_queries_are_points_to_follow(tmp_path):
    assert status_of(*command(tmp_path / 'a', '--points', 'points.csv', *QUICK, '--no-video')) == 0
    for name, out in (('track', 'b'), ('propagate', 'c')):
        assert status_of(name, 'clip', '--out', tmp_path / out, '--points', tmp_path / 'a/tracks.npz', *QUICK,
                         '--no-video') == 0
    first, *others = (read_tracks(tmp_path / name / 'tracks.npz') for name in 'abc')
    assert all(torch.equal(other.queries, first.queries) for other in others)
    assert torch.equal(others[1].points, first.points)


@pytest.mark.parametrize('given, sentence', [
    (('--mask', 'wide.png'), 'wide.png: the mask is 64x97 px, and the frames of clip are 64x96 px (height x width)'),
    (('--mask', '0.png', '3=wide.png'), 'wide.png: the mask is 64x97 px, that of frame 0 is 64x96 px'),
    (('--mask', '5=0.png'), '0.png: belongs to frame 5, and clip has the frames 0 to 4; correct the number'),
    (('--mask', 'none.png'), 'none.png: shows no object, all of it is background (0) or void (255)'),
    (('--mask', 'clip/00000.png'), 'clip/00000.png: has colours outside the palette of DAVIS'),
    (('--mask', 'missing.png'), 'missing.png: '),
    (('--points', 'outside.csv'), 'outside.csv: line 2: x 96, y 20 lies outside of the frames of clip'),
    (('--points', 'bad.npz'), 'bad.npz: cannot be read as tracks'),
    (('--mask', '0.png', '--memory', 3), 'memory can be set for propagation by features only, and this is by flow'),
    (('--mask', '0.png', '--by', 'features'), 'propagation by features needs a network that learned correspondences'),
])
def test_what_is_wrong_is_one_sentence(place, tmp_path, capsys, given, sentence):
    write_ids('wide.png', np.pad(mask(0), ((0, 0), (0, 1))))
    write_ids('none.png', np.zeros(SIZE, np.uint8))
    Path('outside.csv').write_text('frame,x,y\n0,96,20\n')
    Path('bad.npz').write_bytes(b'nothing')
    assert error_of(capsys, *command(tmp_path / 'out', *given, *QUICK)).startswith(sentence)
    assert not list(tmp_path.rglob('*.png')) and not list(tmp_path.rglob('tracks.*'))


def test_videos_and_weights_that_cannot_be_used_are_named(tmp_path, capsys):
    for name in ('a', 'b'):
        shutil.copytree('clip', tmp_path / 'clips' / name)
    several = error_of(capsys, 'propagate', tmp_path / 'clips', '--mask', '0.png', *QUICK)
    assert several.startswith('the masks belong to one scene, and the video has 2, such as a; name one of them')
    (tmp_path / 'one').mkdir()
    shutil.copy('clip/00000.png', tmp_path / 'one')
    assert 'holds 1 frame, and motion needs at least 2' in error_of(
        capsys, 'propagate', tmp_path / 'one', '--mask', '0.png', *QUICK)
    state = torch.load('corrflow.pth', weights_only=True)['state_dict']
    next(value for key, value in state.items() if value.dim() == 4)[:] = 3e38  # finite, as a checkpoint must be
    save_checkpoint(tmp_path / 'odd.pth', dict(state_dict=state))
    odd = ('--model', 'corrflow', '--checkpoint', tmp_path / 'odd.pth', '--no-video')
    assert 'clip: the labels of frame 1 are not finite; check that the' in error_of(
        capsys, *command(tmp_path / 'out', '--mask', '0.png', *odd))
    assert status_of('propagate', 'clip', '--mask', '0.png', '0=1.png', *QUICK) == 2
    assert 'argument --mask: 0.png and 0=1.png are both of frame 0' in capsys.readouterr().err
    assert status_of('propagate', '--mask', '0.png', 'clip', *QUICK) == 2
    assert 'VIDEO stands before --mask' in capsys.readouterr().err
    assert status_of('propagate', 'clip', *QUICK, '--mask', '-1=0.png') == 2
    assert 'FRAME=FILE after it, with the number of the frame from 0' in capsys.readouterr().err
    for number in ('-1', '+1', '1.5'):
        assert status_of('propagate', 'clip', *QUICK, f'--mask={number}=0.png') == 2
        assert f'argument --mask: {number}=0.png: the number of a frame must be a whole one from 0, got {number}' in (
            capsys.readouterr().err)
    assert status_of('propagate', 'clip', '--mask', '0.png', '--points', 'points.csv', *QUICK) == 2
    assert status_of('propagate', 'clip', *QUICK) == 2
