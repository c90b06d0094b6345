"""Videos that nothing can be learned from are told before anything is labelled or trained, and others are not."""
from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from small_runs import SIZE, refined_state, run, same_state, small_config, start_weights

from mmrefine.compat.checkpoints import load_checkpoint_file
from mmrefine.datasets import FramePairs
from mmrefine.engine.guard.video_check import nothing_to_learn
from mmrefine.fileio.images import read_image, write_image
from mmrefine.synthetic import write_clips

SCENES, FRAMES = 5, 4


def with_noise(frame, rng, strength=6.):
    return np.clip(frame + strength * rng.normal(size=frame.shape), 0, 255).round().astype(np.uint8)


def blurred(frame):
    kernel = np.exp(-np.arange(-9, 10)**2 / 50.)
    rows = np.apply_along_axis(lambda line: np.convolve(line, kernel / kernel.sum(), 'same'), 0, frame.astype(float))
    return np.apply_along_axis(lambda line: np.convolve(line, kernel / kernel.sum(), 'same'), 1, rows).astype(np.uint8)


# (frame, first frame of its scene, number of the scene, rng) -> frame
STILL = dict(
    static=lambda frame, first, scene, rng: first,
    black=lambda frame, first, scene, rng: 0 * frame,
    grey=lambda frame, first, scene, rng: 0 * frame + np.uint8(40 * scene + 20),
    noise=lambda frame, first, scene, rng: with_noise(first, rng),
    much_noise=lambda frame, first, scene, rng: with_noise(first, rng, 25.),
    noise_on_grey=lambda frame, first, scene, rng: with_noise(0 * first + 90, rng),
    flicker=lambda frame, first, scene, rng: (first * rng.uniform(0.6, 1.)).astype(np.uint8))
MOVING = dict(
    plain=lambda frame, first, scene, rng: frame,
    dark=lambda frame, first, scene, rng: (frame * 0.1).astype(np.uint8),
    low_contrast=lambda frame, first, scene, rng: (frame * 0.08 + 110).round().astype(np.uint8),
    noise=lambda frame, first, scene, rng: with_noise(frame, rng, 25.),
    dark_and_noisy=lambda frame, first, scene, rng: with_noise(frame * 0.1, rng, 3.),
    flicker=lambda frame, first, scene, rng: (frame * rng.uniform(0.6, 1.)).astype(np.uint8),
    blurred=lambda frame, first, scene, rng: blurred(frame),
    only_one_scene=lambda frame, first, scene, rng: frame if scene == 3 else first,
    half_under_a_picture=lambda frame, first, scene, rng: np.where(np.arange(frame.shape[1])[None, :, None] < 48, first,
                                                                   frame))


@pytest.fixture(scope='module')
def clips(tmp_path_factory):
    """A folder of moving clips for each look."""
    root = tmp_path_factory.mktemp('clips')
    for style in ('target', 'fog', 'night', 'noise'):
        write_clips(root / style, range(50, 50 + SCENES), FRAMES, SIZE, style=style)
    return root


def changed(source: Path, target: Path, change) -> Path:
    """Frames of all scenes, each changed."""
    rng = np.random.default_rng(7)
    for number, scene in enumerate(sorted(source.iterdir())):
        frames = [read_image(path) for path in sorted(scene.iterdir())]
        for path, frame in zip(sorted(scene.iterdir()), frames):
            write_image(target / scene.name / path.name, change(frame, frames[0], number, rng))
    return target


def reason_of(root: Path):
    sides = [FramePairs(root, held_out=0.25, held=held) for held in (False, True)]
    return nothing_to_learn(sides, lambda line: None)


@pytest.mark.parametrize('name', STILL)
def test_a_video_without_motion_or_texture_is_told(clips, tmp_path, name):
    reason = reason_of(changed(clips / 'target/frames', tmp_path / 'video', STILL[name]))
    flat = name in ('black', 'grey', 'noise_on_grey')
    assert reason is not None and reason.startswith('nothing is to be seen' if flat else 'nothing moves')
    assert 'in 15 frame pairs' in reason and 'refine on a video with motion' in reason


@pytest.mark.parametrize('name', MOVING)
def test_a_moving_video_is_not_taken_for_one_that_stands_still(clips, tmp_path, name):
    assert reason_of(changed(clips / 'target/frames', tmp_path / 'video', MOVING[name])) is None


@pytest.mark.parametrize('style', ['fog', 'night', 'noise'])
def test_nor_is_one_in_fog_at_night_or_with_noise(clips, style):
    assert reason_of(clips / style / 'frames') is None


def test_a_motion_too_slow_for_one_pair_shows_in_the_long_run(clips, tmp_path):
    scene = read_image(sorted((clips / 'target/frames').rglob('*.png'))[0])
    for number in range(30):  # one px in ten frames
        write_image(tmp_path / 'slow' / f'{number:04d}.png', np.roll(scene, number // 10, axis=1))
    assert reason_of(tmp_path / 'slow') is None


def test_nothing_is_trained_and_the_original_network_handed_back(clips, tmp_path):
    changed(clips / 'target/frames', tmp_path / 'frames', STILL['noise'])
    start_weights(tmp_path / 'start.pth')
    cfg = small_config(tmp_path, tmp_path / 'run', max_iters=3)
    frames = dict(type='FramePairs', data_root=str(tmp_path / 'frames'), held_out=0.4)
    cfg.custom_hooks[0].dataset = frames
    cfg.train_dataloader.dataset.held_out = 0.4
    cfg.custom_hooks += [dict(type='RegressionGuardHook', dataset=dict(frames, held=True)),
                         dict(type='ReportHook', groups=dict(refined=dict(frames, held_out=0.,
                                                                          pipeline=[dict(type='PackPair')])))]
    runner = run(cfg)
    assert runner.iter == 0 and not (tmp_path / 'run/labels').exists()
    report = json.loads((tmp_path / 'run/report.json').read_text())
    assert report['guard']['verdict'] == 'nothing to learn' and report['guard']['reason'].startswith('nothing moves')
    assert report['headline']['sentence'].startswith('There is nothing to learn from this video')
    assert load_checkpoint_file(tmp_path / 'run/refined.pth')['meta']['refined'] is False
    original = load_checkpoint_file(tmp_path / 'start.pth')['state_dict']
    assert same_state(refined_state(tmp_path / 'run'), original)
    page = (tmp_path / 'run/report.html').read_text(encoding='utf-8')
    assert 'Nothing to learn: the original network is handed back' in page
    log = next((tmp_path / 'run').glob('*/*.log')).read_text()
    assert 'Guard: nothing moves' in log and 'Iter(train)' not in log and 'Stage 1' not in log
