"""Rendered clips as scene folders on disk."""
from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from mmrefine.errors import InputError
from mmrefine.fileio.atomic import write_json
from mmrefine.fileio.flow_io import write_flow
from mmrefine.fileio.images import write_image
from mmrefine.fileio.records import parse_json
from mmrefine.synthetic.clip import RenderedClip, render_clip
from mmrefine.synthetic.style import WorldStyle, get_style


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
        OSError: the disk is full or the folder cannot be written; files
            already there are whole, and the next call goes on.
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
        write_json(record, settings)
    return names


def _check(record: Path, settings: dict) -> None:
    """Raise if the record holds other settings."""
    # Through JSON, where tuples are lists.
    wanted = json.loads(json.dumps(settings))
    try:
        found = dict(parse_json(record.read_bytes()))
    except (TypeError, ValueError) as error:
        raise InputError(f'{record}: not a record of a scene ({error}); delete '
                         'the scene or write to another folder.') from error
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
    contents = [*clip.frames, *clip.masks, *clip.flow_fw.transpose(0, 2, 3, 1),
                *np.where(clip.visible_fw[:, 0], np.uint8(255), np.uint8(0))]
    for path, content in zip(_paths(root, name, len(clip.frames)), contents):
        if path.suffix == '.flo':
            write_flow(path, content)
        else:
            write_image(path, content)
