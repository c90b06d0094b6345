"""Real footage through the commands: bad scenes among good ones, gaps, and what is not footage at all."""
from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from helpers_cli import error_of, rendered, status_of

from mmrefine.apis.video_run import prepare_run
from mmrefine.config.load import complete, hooks_of
from mmrefine.fileio import write_image
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
