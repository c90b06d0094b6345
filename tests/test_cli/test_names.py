"""Names that users give their files and folders: none of them is taken for something else."""
from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import List

import pytest
from helpers_cli import DEMO_WEIGHTS, SIZE, rendered, status_of
from helpers_fileio import write_video

from mmrefine.config.load import load_config
from mmrefine.fileio import LabelStore, verify_store
from mmrefine.report import read_report

TINY = ['--set', 'model.train_iters=1', 'model.test_iters=1', 'labeler.view.scales=(1.,)', 'labeler.balance=None',
        f'crop_size={SIZE}'.replace(' ', ''), 'max_iters=2', 'batch_size=1', 'held_out=0', 'labeler.directions=forward']
LABEL = ['--model', 'demo', '--checkpoint', DEMO_WEIGHTS]


@pytest.fixture(scope='module')
def frames(tmp_path_factory: pytest.TempPathFactory) -> List[Path]:
    """The files of six rendered frames."""
    return sorted(rendered(tmp_path_factory.mktemp('frames'), 6).iterdir())


def test_scenes_named_like_the_files_of_a_store_and_frames_with_its_separator(frames, tmp_path):
    names = ['manifest.json', 'fingerprint.json', 'wanted.json', 'quality.json', 'manifest.json~', 'cam']
    for name in names:
        for number, file in enumerate(frames):
            (tmp_path / 'v' / name).mkdir(parents=True, exist_ok=True)
            shutil.copy(file, tmp_path / 'v' / name / f'cam__{number:04d}.png')
    assert status_of('labels', tmp_path / 'v', *LABEL, '--out', tmp_path / 'out', *TINY) == 0
    store = LabelStore.open(tmp_path / 'out/labels')
    assert store.keys() == sorted(f'{name}/cam__{n:04d}__cam__{n + 1:04d}' for name in names
                                  for n in range(5))
    assert not verify_store(tmp_path / 'out/labels').faults
    assert all(store.read(key).kept >= 0 for key in store.keys())
    assert status_of('refine', tmp_path / 'v', *LABEL, '--out', tmp_path / 'out', *TINY) == 0


def test_paths_with_braces_and_colons(frames, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for place in ('{max_iters}/v', '12:30.mp4', '{scene}'):
        if place.endswith('.mp4'):
            write_video(tmp_path / place, 6)
        else:
            shutil.copytree(frames[0].parent, tmp_path / place)
        out = Path('out', place)
        assert status_of('labels', place, *LABEL, '--out', out, *TINY) == 0
        assert len(LabelStore.open(tmp_path / out / 'labels').keys()) == 5


def test_names_of_corrupt_frames_hold_no_references(frames, tmp_path):
    shutil.copytree(frames[0].parent, tmp_path / 'v')
    (tmp_path / 'v/{max_iters}.png').write_bytes(b'')
    assert status_of('labels', tmp_path / 'v', *LABEL, '--out', tmp_path / 'out', '--skip-corrupt', *TINY) == 0
    assert len(LabelStore.open(tmp_path / 'out/labels').keys()) == 5


def test_a_config_may_still_refer_to_the_video(tmp_path):
    config = tmp_path / 'mine.py'
    config.write_text("_base_ = 'mmrefine::refine/raft_small_video.py'\nvideo = 'a/{max_iters}'\n")
    from mmrefine.config.load import fill_in
    assert fill_in(load_config(config)).label_data.data_root == 'a/{max_iters}'


@pytest.mark.skipif(sys.platform != 'linux', reason='other systems have no such names')
def test_names_that_are_no_valid_text(frames, tmp_path):
    folder = os.fsencode(tmp_path) + b'/caf\xe9'
    os.mkdir(folder)
    for number, file in enumerate(frames):
        shutil.copy(file, folder + b'/fr\xe9_%d.png' % number)
    for name, out, options in (('refine', b'_out', TINY), ('flow', b'_flow', [])):
        command = [sys.executable, '-m', 'mmrefine', name, folder, *map(str, LABEL), '--out', folder + out, *options]
        done = subprocess.run(command, capture_output=True, env={**os.environ, 'PYTHONIOENCODING': 'utf-8:strict'})
        assert done.returncode == 0 and b'caf\\udce9' + out in done.stdout
        assert b'Logging error' not in done.stderr and b'Traceback' not in done.stderr, done.stderr
    report = read_report(os.fsdecode(folder + b'_out'))
    assert report is not None and b'fr%E9_' in Path(os.fsdecode(folder + b'_out'), 'report.html').read_bytes()
