"""Real footage through the commands: bad scenes among good ones, gaps, and what is not footage at all."""
from __future__ import annotations

import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from helpers_cli import error_of, rendered, status_of

from mmrefine.apis import inference_flow, open_model
from mmrefine.apis.video_run import prepare_run
from mmrefine.config.load import complete, hooks_of
from mmrefine.errors import ConfigError
from mmrefine.fileio import read_flow, read_image, write_image
from mmrefine.registry import DATASETS

OPTIONS = ('--model', 'demo', '--iters', '1', '--no-video')


@pytest.fixture(scope='module')
def clip(tmp_path_factory) -> Path:
    """Seven rendered frames."""
    return rendered(tmp_path_factory.mktemp('clip'), 7)


@pytest.fixture
def bad(clip, tmp_path) -> Path:
    """A good scene among an empty video, a folder of one frame, a folder of broken frames, frames of two sizes, and
    masks."""
    root = tmp_path / 'videos'
    for scene in ('good', 'one', 'broken', 'sizes', 'masks'):
        shutil.copytree(clip, root / scene)
    (root / 'empty.mp4').touch()
    for file in sorted((root / 'one').iterdir())[1:]:
        file.unlink()
    for file in (root / 'broken').iterdir():
        file.write_bytes(file.read_bytes()[:99])
    write_image(root / 'sizes' / 'frame_0003.png', np.zeros((9, 9, 3), np.uint8))
    return root


def test_scenes_that_cannot_be_used_are_left_out_and_listed_only_if_the_user_says_so(bad, tmp_path, capsys):
    command = ('flow', bad, *OPTIONS, '--out', tmp_path / 'out')
    assert error_of(capsys, *command).endswith('leave out such scenes with --skip-corrupt')
    assert status_of(*command, '--skip-corrupt') == 0
    said = capsys.readouterr().out
    for sentence in ('empty.mp4: the video cannot be used', 'one: holds 1 frame,', 'broken: 7 of 7 frames are corrupt',
                     'sizes: frames differ in size', f'left out: {bad}/masks, which holds labels'):
        assert sentence in said
    assert [path.name for path in sorted((tmp_path / 'out').iterdir())] == ['good', 'left_out.json']
    listed = json.loads((tmp_path / 'out' / 'left_out.json').read_text())
    assert [Path(one['path']).name for one in listed] == ['masks', 'broken', 'empty.mp4', 'one', 'sizes']
    assert all(one['reason'] for one in listed)


def test_a_run_without_the_bad_scenes_has_the_data_of_the_good_one_alone(bad, tmp_path):
    cfg, _ = prepare_run(bad, 'demo', tmp_path / 'out', overrides={'held_out': 0.2}, skip_corrupt=True)
    hook, = hooks_of(complete(cfg), 'PseudoLabelHook')
    assert DATASETS.build(hook['dataset']).scene_names == ['good']
    again, _ = prepare_run(bad, 'demo', tmp_path / 'out', overrides={'held_out': 0.2}, skip_corrupt=True, resume=True)
    assert again.to_dict() == {**cfg.to_dict(), 'resume': True}


def test_nothing_good_is_an_error_even_with_skip_corrupt(bad, tmp_path, capsys):
    for scene in ('good', 'sizes'):
        shutil.rmtree(bad / scene)
    assert 'none of the 3 scenes can be used' in error_of(
        capsys, 'flow', bad, *OPTIONS, '--out', tmp_path / 'out', '--skip-corrupt')


def test_no_flow_is_written_across_a_gap_and_the_log_says_it(clip, tmp_path, capsys):
    frames = tmp_path / 'frames'
    frames.mkdir()
    for at, file in zip((1, 2, 3, 4, 60, 61, 62), sorted(clip.iterdir())):
        shutil.copy(file, frames / f'{at}.png')
    assert status_of('flow', frames, *OPTIONS, '--out', tmp_path / 'out') == 0
    assert 'have a gap (4 is followed by 60); no motion is estimated across it' in capsys.readouterr().out
    assert sorted(int(path.stem) for path in (tmp_path / 'out/flow').iterdir()) == [1, 2, 3, 60, 61]
    assert json.loads((tmp_path / 'out/flow.json').read_text())['pairs'] == 5


def test_several_videos_on_one_line_are_scenes_and_pictures_one_of_them(clip, tmp_path):
    files = sorted(clip.iterdir())
    for part, chosen in (('a', files[:3]), ('b', files[3:6])):
        (tmp_path / part / 'clip').mkdir(parents=True)
        for file in chosen:
            shutil.copy(file, tmp_path / part / 'clip' / file.name)
    out = tmp_path / 'out'
    assert status_of('flow', tmp_path / 'a/clip', tmp_path / 'b/clip', files[0], files[2], *OPTIONS, '--out', out) == 0
    written = {path.relative_to(out).as_posix() for path in out.rglob('flow/*')}
    assert written == {'clip/flow/frame_0001.png', 'clip/flow/frame_0002.png', 'b/clip/flow/frame_0004.png',
                       'b/clip/flow/frame_0005.png', 'frame_0001__frame_0003/flow/frame_0001.png'}


def test_the_motion_of_two_pictures_is_that_of_the_network(clip, tmp_path):
    files = sorted(clip.iterdir())
    assert status_of('flow', files[4], files[1], *OPTIONS, '--format', 'flo', '--out', tmp_path / 'out') == 0
    model = open_model('demo')
    model.test_iters = 1
    wanted = inference_flow(model, *(read_image(files[at]) for at in (4, 1)))  # in the order of the command line
    assert np.abs(read_flow(tmp_path / 'out/flow/frame_0005.flo')[0] - wanted).max() < 1e-3


def test_a_part_of_a_video_at_another_size_has_motion_in_its_px(clip, tmp_path):
    command = ('flow', clip, *OPTIONS, '--out', tmp_path / 'out', '--start', '1f', '--end', '6f', '--stride', '2',
               '--resize', '32', '48')
    assert status_of(*command) == 0
    record = json.loads((tmp_path / 'out/flow.json').read_text())
    assert record['size'] == [32, 48] and record['reading'] == dict(start='1f', end='6f', stride=2, resize=[32, 48])
    assert [path.stem for path in sorted((tmp_path / 'out/flow').iterdir())] == ['frame_0002', 'frame_0004']
    assert read_flow(tmp_path / 'out/flow/frame_0002.png')[0].shape == (32, 48, 2)


def test_a_run_reads_what_the_command_says_in_all_its_data_and_a_folder_remembers_it(clip, tmp_path):
    reading = dict(stride=2, resize=[32, 48])
    cfg, _ = prepare_run([clip], 'demo', tmp_path / 'out', overrides={'held_out': 0.}, reading=reading, resume=True)
    filled = complete(cfg)
    parts = [hooks_of(filled, 'PseudoLabelHook')[0]['dataset'], filled.train_dataloader.dataset]
    for part in parts:
        data = DATASETS.build(dict(part, pipeline=[]))
        assert data.size(data.scene_names[0]) == (32, 48)
        names = {pair['key'].partition('/')[2] for pair in data.pairs}
        assert names >= {'frame_0001__frame_0003', 'frame_0005__frame_0007'}
    (tmp_path / 'out' / 'iter_1.pth').touch()
    with pytest.raises(ConfigError, match='holds a run of other settings .*reading'):
        prepare_run([clip], 'demo', tmp_path / 'out', overrides={'held_out': 0.}, resume=True)


@pytest.mark.parametrize('option, sentence', [
    (('--start', 'soon'), "start must be seconds such as 90 or 90.5"),
    (('--start', '2'), 'start=2: pictures have no times; give the number of a frame, such as 120f'),
    (('--max-frames', '1'), 'max_frames must be a whole number, at least 2, got 1'),
    (('--range', '5', '5'), 'range must be two grey levels, the lower one first'),
    (('--end', '1f'), 'end=1f leaves 1 of 7 frames'),
])
def test_an_invalid_choice_of_frames_is_one_sentence(clip, tmp_path, capsys, option, sentence):
    assert sentence in error_of(capsys, 'flow', clip, *OPTIONS, '--out', tmp_path / 'out', *option)


def test_the_range_of_deep_pictures_is_told_and_can_be_chosen(clip, tmp_path, capsys):
    deep = tmp_path / 'deep'
    deep.mkdir()
    for file in sorted(clip.iterdir())[:3]:
        (deep / file.name).write_bytes(cv2.imencode('.png', read_image(file).astype(np.uint16) * 16)[1].tobytes())
    levels = [16 * int(np.stack([read_image(file) for file in sorted(clip.iterdir())[:3]]).max()), 16 * 0]
    command = ('flow', deep, *OPTIONS, '--out')
    assert status_of(*command, tmp_path / 'own') == 0
    assert f'to {levels[0]} become 0 to 255 in all its frames (--range' in capsys.readouterr().out
    assert status_of(*command, tmp_path / 'chosen', '--range', '0', '4080') == 0
    assert 'the grey levels 0 to 4080 become' in capsys.readouterr().out
    # with the range of the 8-bit pictures the motion is theirs, to the bit
    plain = tmp_path / 'plain'
    plain.mkdir()
    for file in sorted(clip.iterdir())[:3]:
        write_image(plain / file.name, read_image(file)[..., ::-1])  # OpenCV wrote the deep ones in its order
    assert status_of('flow', plain, *OPTIONS, '--out', tmp_path / 'of_plain') == 0
    flows = [sorted((tmp_path / name / 'flow').iterdir()) for name in ('chosen', 'of_plain')]
    assert all(one.read_bytes() == two.read_bytes() for one, two in zip(*flows))


@pytest.mark.parametrize('command', [('flow', *OPTIONS), ('labels', '--model', 'demo'), ('refine', '--model', 'demo')])
def test_a_dry_run_lists_scenes_and_what_is_left_out_and_writes_nothing(bad, tmp_path, capsys, command):
    out = tmp_path / 'out'
    assert status_of(command[0], bad, *command[1:], '--out', out, '--skip-corrupt', '--dry-run') == 0
    said = capsys.readouterr().out.splitlines()
    assert 'good: 7 frames of 64 x 48' in said and not out.exists()
    assert f'left out: {bad}/masks, which holds labels such as masks, depth or flow, by its name' in said
    assert (command[0] == 'flow') != any('frame pairs to label' in line for line in said)


def test_a_video_too_short_for_the_guard_is_refused_before_anything_is_loaded(clip, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr('mmrefine.apis.runs._build', lambda *args: pytest.fail('it began'))
    sentence = error_of(capsys, 'refine', clip, '--model', 'demo', '--max-frames', '3', '--out', tmp_path / 'out')
    assert 'no scene has enough frame pairs, or clips, to keep the last back for the guard' in sentence


def test_two_cameras_in_one_folder_are_said_to_be_two_scenes(clip, tmp_path, capsys):
    cameras = tmp_path / 'cameras'
    cameras.mkdir()
    for at, file in enumerate(sorted(clip.iterdir())[:2]):
        for camera in ('left', 'right'):
            shutil.copy(file, cameras / f'{camera}_{at}.png')
    assert status_of('flow', cameras, *OPTIONS, '--out', tmp_path / 'out', '--dry-run') == 0
    assert (f'{cameras}: its pictures are 2 series by their names, each of which is a scene (they begin with '
            'left_0.png, right_0.png)') in capsys.readouterr().out.splitlines()


def test_a_dry_run_names_corrupt_frames_and_no_list_that_it_does_not_write(clip, tmp_path, capsys):
    folder = tmp_path / 'frames'
    shutil.copytree(clip, folder)
    file = folder / 'frame_0003.png'
    file.write_bytes(file.read_bytes()[:500])
    command = ('flow', folder, *OPTIONS, '--out', tmp_path / 'out', '--dry-run')
    sentence = error_of(capsys, *command)
    assert '1 of 7 frames are corrupt: frame_0003 (number 2: ' in sentence and 'corrupt_frames.json' not in sentence
    assert status_of(*command, '--skip-corrupt') == 0
    said = capsys.readouterr().out
    assert 'frame_0003 (number 2: ' in said and 'corrupt_frames.json' not in said
    assert status_of(*command[:-1], '--skip-corrupt') == 0
    assert f'(all are listed in {tmp_path}/out/corrupt_frames.json)' in capsys.readouterr().out


def test_pictures_called_like_labels_without_others_beside_them_are_told_in_one_line(clip, tmp_path, capsys):
    for name in ('one', 'two'):
        for at, file in enumerate(sorted(clip.iterdir())):
            write_image(tmp_path / name / f'ground_truth_{at:04d}.png', read_image(file))
    wanted = (f'{tmp_path / "one"}: its pictures are called like labels (ground_truth_0000.png, …){{}}; as there are '
              'no others beside them, they are read as frames; if they are labels, name the folder of the frames '
              'instead')
    for folder, more in ((tmp_path / 'one', ''), (tmp_path, ', and so are those of 1 more scenes')):
        capsys.readouterr()
        assert status_of('flow', folder, *OPTIONS, '--out', tmp_path.parent / 'out', '--dry-run') == 0
        text = capsys.readouterr().out
        assert wanted.format(more) in text.splitlines() and text.count('called like labels') == 1
    assert status_of('flow', clip, *OPTIONS, '--out', tmp_path.parent / 'out', '--dry-run') == 0
    assert 'called like labels' not in capsys.readouterr().out


@pytest.mark.parametrize('value, sentence', [
    ('crop_size=(0,0)', 'RandomCrop.size must be (height, width) in px, each from 2 to 65535'),
    ('crop_size=(-64,64)', 'RandomCrop.size must be (height, width) in px, each from 2 to 65535'),
    ('crop_size=(64,64,64)', 'RandomCrop.size must be (height, width) in px, each from 2 to 65535'),
    ('train_pipeline.1.prob=5', 'SelfWarp.prob must lie in [0, 1], got 5'),
    ('train_pipeline.2.type=7', 'TypeError: type must be a str or valid type'),
])
@pytest.mark.parametrize('command', ['refine', 'labels'])
def test_a_dry_run_refuses_a_training_pipeline_that_cannot_be_built(clip, tmp_path, capsys, command, value, sentence):
    assert sentence in error_of(capsys, command, clip, '--model', 'demo', '--out', tmp_path / 'out', '--dry-run',
                                '--set', value)


@pytest.mark.parametrize('size', [(30000, 30000), (16, 1000000)])
@pytest.mark.parametrize('command', ['flow', 'refine', 'labels'])
def test_a_size_that_no_picture_may_have_is_refused(clip, tmp_path, capsys, command, size):
    assert error_of(capsys, command, clip, '--model', 'demo', '--out', tmp_path / 'out', '--dry-run', '--resize',
                    *size) == ('resize must be (height, width) in px, each from 16 to 65535, and at most 268435456 '
                               f'pixels in all, got {list(size)}')


@pytest.mark.parametrize('command', ['flow', 'refine'])
def test_a_name_that_is_too_long_is_one_sentence(clip, tmp_path, capsys, command):
    long = 300 * 'a'
    for video, out in ((tmp_path / f'{long}.mp4', 'out'), (clip, long)):
        sentence = error_of(capsys, command, video, '--model', 'demo', '--out', tmp_path / out)
        assert sentence.startswith(str(tmp_path / long)) and 'is too long for the disk' in sentence
