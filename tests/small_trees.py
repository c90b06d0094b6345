"""Tiny data sets in the published layouts, and tools run as from a command line."""
from __future__ import annotations

import importlib.util
import shutil
import warnings
from pathlib import Path
from types import ModuleType
from typing import Dict, List

import cv2
import numpy as np
import pytest
import torch

with warnings.catch_warnings():
    # what libraries say at their import on a newer torch is not held against a test
    warnings.simplefilter('ignore')
    import mmengine.runner  # noqa: F401

    from mmrefine.apis import init_model
    from mmrefine.apis.commands import run_command

from mmrefine.fileio.atomic import save_checkpoint
from mmrefine.fileio.flow_io import read_flow, write_flow
from mmrefine.fileio.images import read_image
from mmrefine.synthetic import write_clips

ROOT = Path(__file__).resolve().parents[1]
SIZE = (64, 96)  # (height, width) px
FRAMES = 3  # a scene
SINTEL_SCENES = ('alley_1', 'bamboo_2')


@pytest.fixture(scope='session')
def trees(tmp_path_factory: pytest.TempPathFactory) -> Dict[str, Path]:
    """``sintel`` and ``kitti`` in their layouts, ``frames`` (a folder of scenes), ``video`` (a file);
    two scenes each.
    """
    root = tmp_path_factory.mktemp('trees')
    names = write_clips(root / 'rendered', seeds=(1, 2), num_frames=FRAMES, size=SIZE)
    sintel, kitti = root / 'Sintel', root / 'kitti2015' / 'training'
    for name, scene in zip(names, SINTEL_SCENES):
        for part in ('final', 'clean'):
            shutil.copytree(root / 'rendered' / 'frames' / name, sintel / 'training' / part / scene)
        shutil.copytree(root / 'rendered' / 'flow' / name, sintel / 'training' / 'flow' / scene)
    (kitti / 'image_2').mkdir(parents=True)
    for i, name in enumerate(names):
        for frame, number in ((1, 10), (2, 11)):
            source = root / 'rendered' / 'frames' / name / f'frame_{frame:04d}.png'
            shutil.copy(source, kitti / 'image_2' / f'{i:06d}_{number}.png')
        flow, _ = read_flow(root / 'rendered' / 'flow' / name / 'frame_0001.flo')
        write_flow(kitti / 'flow_occ' / f'{i:06d}_10.png', flow)
    video = root / 'clip.avi'
    write_video(video, [read_image(path) for path in sorted((root / 'rendered' / 'frames' / names[0]).iterdir())])
    frames, flows = root / 'rendered' / 'frames', root / 'rendered' / 'flow'
    return dict(sintel=sintel, kitti=kitti.parent, frames=frames, flow=flows, video=video)


def write_video(path: Path, frames: List[np.ndarray]) -> None:
    """A Motion-JPEG file."""
    height, width = frames[0].shape[:2]
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*'MJPG'), 10, (width, height))
    for frame in frames:
        writer.write(cv2.cvtColor(frame, cv2.COLOR_RGB2BGR))
    writer.release()


@pytest.fixture(scope='session')
def weights(tmp_path_factory: pytest.TempPathFactory) -> Dict[str, Path]:
    """Stock checkpoints with seeded random weights: ``raft``, ``craft``, and ``small`` (the official RAFT-small)."""
    root = tmp_path_factory.mktemp('weights')
    torch.manual_seed(3)
    for name, config in (('raft', 'raft_sintel'), ('small', 'raft_small_video'), ('craft', 'craft_video')):
        network = init_model(ROOT / f'configs/refine/{config}.py').estimator
        save_checkpoint(root / f'{name}.pth', dict(state_dict=network.state_dict(), meta={}))
    return {path.stem: path for path in root.iterdir()}


# one step of one pair, one look
_TINY = [
    'batch_size=1', 'held_out=0', 'num_workers=0', 'max_iters=1', 'model.train_iters=1', 'model.test_iters=1',
    'labeler.view.scales=(1.,)', 'default_hooks.logger.interval=1'
]
# for configs with a mask: a check that random weights pass
TINY = [*_TINY, 'labeler.filters.0.alpha=1.', 'labeler.filters.0.beta=50.']
# for the video configs, which weigh by what a second look changed
TINY_VIDEO = [*_TINY, 'labeler.balance=None', 'labeler.filters=[]']


def tool(name: str) -> ModuleType:
    """The module of ``tools/<name>.py``."""
    spec = importlib.util.spec_from_file_location(f'tool_{name}', ROOT / 'tools' / f'{name}.py')
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def status_of(name: str, *argv: object) -> int:
    """Run ``tools/<name>.py`` with these arguments in this process; its exit status.
    stdout and stderr go where they go.
    """
    module = tool(name)
    with warnings.catch_warnings():
        warnings.filterwarnings('ignore', category=UserWarning, module='torch.*')
        with pytest.raises(SystemExit) as stopped:
            run_command(lambda: module.main([str(arg) for arg in argv]))
    return int(stopped.value.code or 0)
