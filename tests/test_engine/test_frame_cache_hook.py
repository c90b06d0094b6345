"""Training out of a cache of decoded frames ends with the same weights, and leaves no files behind."""
from __future__ import annotations

import errno
import os
import signal
from pathlib import Path
from typing import Any, Dict, List

import numpy as np
import pytest
from helpers_fileio import encode_video, moving_texture, tree
from mmengine.runner.priority import get_priority
from small_runs import SIZE, exit_code, in_child, in_two_processes, run, small_config, start_weights

from mmrefine.config.load import complete
from mmrefine.datasets import FramePairs
from mmrefine.engine import FrameCacheHook, PseudoLabelHook, SelfTrainingLoop
from mmrefine.errors import ConfigError
from mmrefine.fileio import VideoFrames
from mmrefine.fileio.video.frame_cache import FrameCache


@pytest.fixture(scope='module')
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two videos of six frames as scenes (``frames/``), and start.pth, as ``material`` has them."""
    root = tmp_path_factory.mktemp('videos')
    (root / 'frames').mkdir()
    for name, frames in (('ant.mp4', moving_texture(6, *SIZE)), ('bee.ts', moving_texture(6, *SIZE)[::-1])):
        encode_video(root / 'frames' / name, frames, 'libx264', {'x264-params': 'keyint=4'})
    start_weights(root / 'start.pth')
    return root


def config(videos: Path, work_dir: Path, max_gb: float = 1., **more: Any) -> Any:
    cfg = small_config(videos, work_dir, max_iters=6, rounds=2, relabel='every_round', interval=2, **more)
    cfg.default_hooks.frame_cache.max_gb = max_gb
    return cfg


def outcome(work_dir: Path) -> Dict[str, bytes]:
    """Labels and weights, byte for byte."""
    return {name: data for name, data in tree(work_dir).items() if name.startswith('labels') or name == 'refined.pth'}


def log_of(work_dir: Path) -> List[str]:
    return [line for path in sorted(work_dir.glob('*/*.log')) for line in path.read_text().splitlines()
            if 'Frames: ' in line or 'Stage 1: labels of 10' in line]


@pytest.fixture(scope='module')
def plain(videos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The work dir of a run without a cache."""
    work_dir = tmp_path_factory.mktemp('plain')
    assert exit_code(in_child(lambda: run(config(videos, work_dir, max_gb=0)))) == 0
    return work_dir


@pytest.mark.parametrize('workers, max_gb', [(0, 1.), (2, 1.), (0, 5e-5)])
def test_training_out_of_the_cache_gives_the_same_bytes(
        videos: Path, plain: Path, tmp_path: Path, workers: int, max_gb: float) -> None:
    decoded = tmp_path / 'decoded'

    def work() -> None:
        true_load, true_train = VideoFrames._load, SelfTrainingLoop._train

        def load(video: VideoFrames, index: int) -> np.ndarray:
            if os.environ.get('TRAINS'):
                with open(decoded, 'a') as file:
                    file.write('x')
            return true_load(video, index)

        def train(loop: SelfTrainingLoop, until: int) -> None:
            os.environ['TRAINS'] = '1'  # workers inherit it
            true_train(loop, until)
            os.environ.pop('TRAINS')

        VideoFrames._load, SelfTrainingLoop._train = load, train  # type: ignore[method-assign]
        run(config(videos, tmp_path / 'run', max_gb=max_gb, workers=workers))

    assert exit_code(in_child(work)) == 0
    assert outcome(tmp_path / 'run') == outcome(plain) and len(outcome(plain)) > 4
    assert not (tmp_path / 'run/frame_cache').exists()
    lines = log_of(tmp_path / 'run')
    assert [('Stage 1' in line) for line in lines] == [False, True, False, True]  # the forecast comes first
    if max_gb == 1.:
        assert 'Frames: 12 of 12 that training draws from video will be kept decoded' in lines[0]
        assert 'of at most 1.0 GB (default_hooks.frame_cache.max_gb)' in lines[0]
        assert 'Frames: 12 decoded frames (' in lines[2]
        assert not decoded.exists()  # no frame of a step was decoded from the video
    else:
        assert 'of at most 50.0 kB' in lines[0] and decoded.stat().st_size > 0


def test_a_run_without_a_cache_says_nothing_of_it(plain: Path) -> None:
    assert len(log_of(plain)) == 2 and not (plain / 'frame_cache').exists()


@pytest.mark.parametrize('max_gb', [0., 1.])
def test_a_killed_run_keeps_its_frames_and_ends_with_the_same_bytes(
        videos: Path, plain: Path, tmp_path: Path, max_gb: float) -> None:

    def killed() -> None:
        true_iter = SelfTrainingLoop.run_iter

        def run_iter(loop: SelfTrainingLoop, batch: Any) -> None:
            if loop.iter == 4:
                os.kill(os.getpid(), signal.SIGKILL)
            true_iter(loop, batch)

        SelfTrainingLoop.run_iter = run_iter  # type: ignore[method-assign]
        run(config(videos, tmp_path))

    assert exit_code(in_child(killed)) == -signal.SIGKILL
    kept = list((tmp_path / 'frame_cache').glob('*/*.frame'))
    assert len(kept) == 12
    kept[3].unlink()
    assert exit_code(in_child(lambda: run(config(videos, tmp_path, max_gb=max_gb, resume=True)))) == 0
    assert outcome(tmp_path) == outcome(plain) and not (tmp_path / 'frame_cache').exists()


def test_two_processes_share_one_cache(videos: Path, tmp_path: Path) -> None:
    for max_gb in (0., 1.):
        work_dir = tmp_path / str(max_gb)
        assert in_two_processes(lambda rank: run(config(videos, work_dir, max_gb=max_gb, launcher='pytorch',
                                                        train_dataloader=dict(batch_size=1)))) == [0, 0]
        assert not (work_dir / 'frame_cache').exists()
    assert outcome(tmp_path / '1.0') == outcome(tmp_path / '0.0')
    assert sum('Frames: 12 of 12' in line for line in log_of(tmp_path / '1.0')) == 1


def test_folders_of_frames_are_not_cached(material: Path, tmp_path: Path) -> None:
    data = FramePairs(material / 'frames')
    assert data.video_frames() == {}
    assert exit_code(in_child(lambda: run(small_config(material, tmp_path, max_iters=1)))) == 0
    assert not (tmp_path / 'frame_cache').exists() and not [line for line in log_of(tmp_path) if 'Frames: ' in line]


def test_the_frames_to_keep_are_those_of_the_pairs(videos: Path, tmp_path: Path) -> None:
    data = FramePairs(videos / 'frames', held_out=0.3, skip={'ant': ['frame_000002']})
    drawn: Dict[str, set] = {}
    for unit in data.units:
        drawn.setdefault(unit.scene, set()).update(unit.frames)
    assert data.video_frames() == {scene: sorted(numbers) for scene, numbers in drawn.items()}
    assert 2 not in data.video_frames().get('ant', ()) and sum(map(len, data.video_frames().values())) < 11


def test_the_cache_is_filled_behind_the_labels_of_a_round() -> None:
    assert get_priority(FrameCacheHook.priority) > get_priority(PseudoLabelHook.priority)


@pytest.mark.parametrize('value, message', [(-1, 'max_gb must be finite and not negative'), ('4', 'must be a number')])
def test_a_limit_that_is_invalid_is_refused(value: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        FrameCacheHook(max_gb=value)


def test_none_switches_the_hook_off(videos, tmp_path):
    cfg = config(videos, tmp_path / 'run')
    cfg.default_hooks.frame_cache = None
    found = complete(cfg)
    assert 'frame_cache' not in found.default_hooks and 'checkpoint' in found.default_hooks


def test_files_that_cannot_be_touched_cost_no_run(videos, tmp_path, monkeypatch):
    def refuse(self):
        raise PermissionError(errno.EACCES, 'Permission denied')

    monkeypatch.setattr(FrameCache, 'remove', refuse)
    run(config(videos, tmp_path / 'run'))
    assert (tmp_path / 'run/refined.pth').is_file()
    log = ''.join(path.read_text() for path in (tmp_path / 'run').glob('*/*.log'))
    assert f'{tmp_path / "run/frame_cache"}: Permission denied; the decoded frames in it are left as they are' in log
