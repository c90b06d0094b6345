"""Rendered clips as scene folders on disk."""
from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Iterable
from pathlib import Path

import cv2
import numpy as np

from mmrefine.errors import InputError

from .clip import RenderedClip, render_clip
from .style import WorldStyle, get_style


def write_clips(root: str | os.PathLike, seeds: Iterable[int], num_frames: int,
                size: tuple = (128, 192),
                style: WorldStyle | str = 'target') -> list[str]:
    """Render clips into scene folders and return the scenes' names.

    A scene ``target_0007`` is ``frames/target_0007/frame_0001.png``, the
    exact forward flow ``flow/target_0007/frame_0001.flo`` (from that frame
    to the next), ``visible/target_0007/frame_0001.png`` (255 = the point is
    seen in the next frame) and ``masks/target_0007/frame_0001.png`` (layer
    ids). ``scenes/target_0007.json`` holds the settings; it is written last,
    so a scene that has it is complete and is skipped.

    Args:
        root: folder; made if it does not exist.
        seeds: one scene per seed.
        num_frames: frames per scene, at least 1.
        size: frame ``(H, W)`` px.
        style: a world or its name.

    Raises:
        InputError: a complete scene was made with other settings.
        ValueError: an argument is out of range.
    """
    style = get_style(style)
    names = []
    for seed in seeds:
        name = f'{style.name}_{seed:04d}'
        names.append(name)
        settings = {'seed': int(seed), 'num_frames': int(num_frames),
                    'size': [int(n) for n in size],
                    'style': dataclasses.asdict(style)}
        record = Path(root, 'scenes', name + '.json')
        if record.exists():
            _check(record, settings)
            if all(path.exists() for path in _paths(root, name, num_frames)):
                continue
        _write_scene(root, name, render_clip(seed, num_frames, size, style))
        _write(record, json.dumps(settings, indent=1, sort_keys=True).encode())
    return names


def encode_flo(flow: np.ndarray) -> bytes:
    """Middlebury .flo bytes of ``(H, W, 2)`` px flow."""
    h, w = flow.shape[:2]
    return (b'PIEH' + np.array([w, h], '<i4').tobytes()
            + np.ascontiguousarray(flow, '<f4').tobytes())


def _check(record: Path, settings: dict) -> None:
    """Raise if the record tells of other settings."""
    # Through JSON, where tuples are lists.
    wanted = json.loads(json.dumps(settings))
    found = json.loads(record.read_text())
    for key, value in wanted.items():
        if found.get(key) != value:
            raise InputError(
                f'{record}: {key} is {found.get(key)}, wanted {value}; delete '
                'the scene or write to another folder.')


def _paths(root: str | os.PathLike, name: str, num_frames: int) -> list[Path]:
    """All files of a scene: T frames and masks, T-1 flows and visibilities."""
    kinds = (('frames', '.png', num_frames), ('masks', '.png', num_frames),
             ('flow', '.flo', num_frames - 1), ('visible', '.png', num_frames - 1))
    return [Path(root, kind, name, f'frame_{t + 1:04d}{suffix}')
            for kind, suffix, count in kinds for t in range(count)]


def _write_scene(root: str | os.PathLike, name: str, clip: RenderedClip) -> None:
    contents = [_png(frame[..., ::-1]) for frame in clip.frames]
    contents += [_png(mask) for mask in clip.masks]
    contents += [encode_flo(flow.transpose(1, 2, 0)) for flow in clip.flow_fw]
    contents += [_png(seen[0] * np.uint8(255)) for seen in clip.visible_fw]
    for path, data in zip(_paths(root, name, len(clip.frames)), contents):
        _write(path, data)


def _png(image: np.ndarray) -> bytes:
    return cv2.imencode('.png', np.ascontiguousarray(image))[1].tobytes()


def _write(path: Path, data: bytes) -> None:
    """Write a file that is whole or absent."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f'{path.name}.{os.getpid()}.tmp')
    try:
        part.write_bytes(data)
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)
