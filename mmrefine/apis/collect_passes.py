"""Passes over pairs whose motion is known, for a verifier to learn from."""
from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Iterator, Sequence, Tuple, Union

import numpy as np
import torch

from mmrefine.errors import ConfigError, InputError
from mmrefine.fileio.pass_files import StoredPasses, write_passes
from mmrefine.fileio.video.reader import open_frames
from mmrefine.fileio.video.scenes import Roots, list_scenes
from mmrefine.geometry import SMALLEST_SIDE, random_warp
from mmrefine.labeling import ArbitratedView
from mmrefine.structures import FlowEstimator, PairBatch, as_frames
from mmrefine.synthetic import render_clip
from mmrefine.synthetic.style import get_style
from mmrefine.values import as_count, as_number

_PATCHES = (2, 5)  # objects that are cut out of a frame and move over it


def collect_rendered(out: Union[str, Path],
                     teacher: FlowEstimator,
                     name: str,
                     style: str,
                     seeds: Sequence[int],
                     size: Tuple[int, int] = (128, 192),
                     speed: float = 1.) -> Iterator[Path]:
    """Passes over rendered pairs, one file for each seed; what is there already is not made again.

    Args:
        out: folder to write to.
        teacher: the network.
        name: of the network, in the names of the files.
        style: name of a rendered world.
        seeds: one pair each.
        size: (height, width) of the frames, px.
        speed: factor on how fast objects and camera move, above 0.

    Yields:
        the files, as they are there.

    Raises:
        ConfigError: no such style, or a speed out of range.
        OSError: the disk is full or the folder cannot be written.
    """
    speed = as_number('speed', speed, '(0, inf)')
    try:
        world = get_style(style)
    except ValueError as error:
        raise ConfigError(f'--style: {error}') from error
    world = replace(world, object_speed=_times(world.object_speed, speed),
                    camera_speed=_times(world.camera_speed, speed))
    kind = style if speed == 1 else f'{style}x{speed:g}'
    for seed in seeds:
        path = Path(out, f'{kind}_{size[0]}x{size[1]}_{seed:06d}_{name}.npz')
        if not path.is_file():
            clip = render_clip(seed, 2, size, world)
            truth = np.stack([clip.flow_fw[0], clip.flow_bw[0]])
            write_passes(path, passes_over(teacher, clip.frames, truth, np.ones(truth[:, 0].shape, bool)))
        yield path


def collect_warps(out: Union[str, Path],
                  teacher: FlowEstimator,
                  name: str,
                  video: Roots,
                  count: int,
                  motion: float = 20.,
                  seed: int = 0) -> Iterator[Path]:
    """Passes over frames of your own and exact warps of them, so that a verifier learns what your footage looks like;
    what is there already is not made again.

    Args:
        out: folder to write to.
        teacher: the network.
        name: of the network, in the names of the files.
        video: a video file, a folder of frames, or a folder of such folders and files.
        count: frames, spread evenly over all videos together.
        motion: longest motion, px; its logarithm is drawn evenly, so that small motion is as frequent as large.
        seed: of the warps.

    Yields:
        the files, as they are there.

    Raises:
        ConfigError: a number out of range.
        InputError: no such video, or frames with a side shorter than 32 px.
        OSError: the disk is full or the folder cannot be written.
    """
    count, motion = as_count('count', count), as_number('motion', motion, '[1, inf)')
    sources = {scene: open_frames(place) for scene, place in list_scenes(video).items()}
    every = [(scene, number) for scene, source in sources.items() for number in range(len(source))]
    for place in np.unique(np.linspace(0, len(every) - 1, min(count, len(every))).round().astype(int)):
        scene, number = every[place]
        path = Path(out, f'warp{seed}_{scene.replace("/", "_")}_{number:06d}_{name}.npz')
        if not path.is_file():
            frame = sources[scene][number]
            if min(frame.shape[:2]) < SMALLEST_SIDE:
                raise InputError(f'{video}: frames of {scene} have {frame.shape[0]}x{frame.shape[1]} px, and a frame '
                                 f'to warp needs at least {SMALLEST_SIDE} px a side; enlarge the video')
            rng = np.random.default_rng((seed, int(place)))
            length = lambda: float(motion**rng.uniform(-0.3, 1.))  # noqa: E731
            warp = random_warp(rng, as_frames([frame])[0], length, length, _PATCHES)
            frames = torch.cat([warp.frames1, warp.frames2]).mul(255).round().byte().permute(0, 2, 3, 1).numpy()
            truth = torch.cat([warp.flow, torch.zeros_like(warp.flow)]).numpy()
            known = np.stack([np.ones(frame.shape[:2], bool), np.zeros(frame.shape[:2], bool)])
            write_passes(path, passes_over(teacher, frames, truth, known))
        yield path


def passes_over(teacher: FlowEstimator, frames: np.ndarray, truth: np.ndarray, known: np.ndarray) -> StoredPasses:
    """What the passes of an :class:`~mmrefine.labeling.ArbitratedView` see of a pair.

    Args:
        teacher: the network.
        frames: ``(2, H, W, 3)`` uint8 RGB.
        truth: ``(2, 2, H, W)`` px, there and back.
        known: ``(2, H, W)`` bool, where it is known.
    """
    view = ArbitratedView()
    shown = as_frames(list(frames))
    with torch.no_grad():
        seen = view.motions(teacher, PairBatch(shown[:1], shown[1:]))
    passes = torch.stack(list(seen.values())).cpu().numpy().astype(np.float16)
    return StoredPasses(frames, passes, view.traits_of(teacher).numpy(), truth.astype(np.float16), known)


def _times(speeds: Tuple[float, float], factor: float) -> Tuple[float, float]:
    return speeds[0] * factor, speeds[1] * factor
