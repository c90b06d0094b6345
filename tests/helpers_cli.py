"""The command in this process, and small things to give it."""
from __future__ import annotations

import warnings
from pathlib import Path
from typing import List

import pytest
from small_trees import ROOT, write_video

from mmrefine.cli import main
from mmrefine.fileio.images import read_image
from mmrefine.synthetic import write_clips

DEMO_WEIGHTS = ROOT / 'configs/demo/raft_small_source.pth'
SIZE = (48, 64)  # (height, width) px


def status_of(*argv: object) -> int:
    """Run ``mmrefine argv`` in this process; its exit status."""
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        with pytest.raises(SystemExit) as stopped:
            main([str(arg) for arg in argv])
    return int(stopped.value.code or 0)


def error_of(capsys: pytest.CaptureFixture, *argv: object) -> str:
    """The one sentence with which the command fails."""
    capsys.readouterr()
    assert status_of(*argv) == 1
    stderr = capsys.readouterr().err
    errors: List[str] = [line for line in stderr.splitlines() if line.startswith('error: ')]
    assert len(errors) == 1 and 'Traceback' not in stderr
    return errors[0][len('error: '):]


def rendered(root: Path, frames: int, size: tuple = SIZE, seed: int = 1) -> Path:
    """A folder of rendered frames, named ``frame_0001`` and on."""
    name, = write_clips(root, (seed, ), frames, size)
    return root / 'frames' / name


def video_of(folder: Path, path: Path) -> Path:
    """The frames of a folder as a Motion-JPEG file."""
    write_video(path, [read_image(file) for file in sorted(folder.iterdir())])
    return path
