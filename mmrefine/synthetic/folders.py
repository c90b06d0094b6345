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
from mmrefine.fileio.codecs.tracks import write_tracks
from mmrefine.fileio.flow_io import read_flow, write_flow
from mmrefine.fileio.images import write_image
from mmrefine.fileio.records import parse_json
from mmrefine.synthetic.clip import RenderedClip, render_clip
from mmrefine.synthetic.lidar import scan_points
from mmrefine.synthetic.style import WorldStyle, get_style
from mmrefine.synthetic.tracks import exact_tracks, random_queries


def write_clips(root: str | os.PathLike, seeds: Iterable[int], num_frames: int,
                size: tuple = (128, 192),
                style: WorldStyle | str = 'target', tracks: int = 0, sparse: bool = False) -> list[str]:
    """Render clips into scene folders and return the scenes' names.

    A scene ``target_0007`` is ``frames/target_0007/frame_0001.png``, the
    exact forward flow ``flow/target_0007/frame_0001.flo`` (from that frame
    to the next), ``visible/target_0007/frame_0001.png`` (255 = the point is
    seen in the next frame) and ``masks/target_0007/frame_0001.png`` (layer
    ids). If tracks are asked for, ``tracks/target_0007.npz`` holds them as
    :func:`~mmrefine.fileio.write_tracks` lays them out. If sparse truth is
    asked for, ``flow_sparse/target_0007/frame_0001.png`` is the same flow as
    KITTI has it, 16 bits, and valid only at :func:`~mmrefine.synthetic.scan_points`.
    ``scenes/target_0007.json`` holds the settings; it is written last,
    so a scene that has it is complete and is skipped. Tracks and sparse truth
    that a complete scene lacks are added to it.

    Args:
        root: folder; made if it does not exist.
        seeds: one scene per seed.
        num_frames: frames per scene, at least 1.
        size: frame ``(H, W)`` px.
        style: a world or its name.
        tracks: points that are followed through each scene, drawn by
            :func:`random_queries`; 0: none, and no file.
        sparse: whether to write sparse truth, too.

    Raises:
        InputError: a complete scene was made with other settings.
        ValueError: an argument is out of range.
        OSError: the disk is full or the folder cannot be written; files
            already there are whole, and the next call goes on.
    """
    style = get_style(style)
    if tracks < 0:
        raise ValueError(f'tracks is {tracks}; wanted at least 0.')
    names = []
    for seed in seeds:
        name = f'{style.name}_{seed:04d}'
        names.append(name)
        settings = {'seed': int(seed), 'num_frames': int(num_frames),
                    'size': [int(n) for n in size],
                    'style': _recorded(style)}
        record = Path(root, 'scenes', name + '.json')
        known = _known_tracks(record, settings) if record.exists() else 0
        if tracks and known not in (0, tracks):
            raise _other_settings(record, 'tracks', known, tracks)
        pictures, track_file = _paths(root, name, num_frames), Path(root, 'tracks', name + '.npz')
        has_pictures = record.exists() and all(path.exists() for path in pictures)
        has_tracks = not tracks or (known and track_file.exists())
        if not has_pictures:
            _write_scene(pictures, render_clip(seed, num_frames, size, style))
        if not has_tracks:
            _write_tracks(track_file, seed, tracks, num_frames, size, style)
        if not (has_pictures and has_tracks):
            write_json(record, {**settings, **({'tracks': tracks or known} if tracks or known else {})})
        if sparse:
            _write_sparse(root, name, num_frames, seed)
    return names


def _recorded(style: WorldStyle) -> dict:
    """The settings of a style; a world without a road has none of ``drive``, as records of before there was one."""
    return {key: value for key, value in dataclasses.asdict(style).items() if key != 'drive' or value is not None}


def _known_tracks(record: Path, settings: dict) -> int:
    """How many tracks the record says that the scene has; raise if it holds other settings."""
    # Through JSON, where tuples are lists.
    wanted = json.loads(json.dumps(settings))
    try:
        found = dict(parse_json(record.read_bytes()))
    except (TypeError, ValueError) as error:
        raise InputError(f'{record}: not a record of a scene ({error}); delete '
                         'the scene or write to another folder.') from error
    for key, value in wanted.items():
        if found.get(key) != value:
            raise _other_settings(record, key, found.get(key), value)
    return found.get('tracks', 0)


def _other_settings(record: Path, key: str, found: object, wanted: object) -> InputError:
    return InputError(f'{record}: {key} is {found}, wanted {wanted}; delete the scene or write to another folder.')


def _paths(root: str | os.PathLike, name: str, num_frames: int) -> list[Path]:
    """All pictures and flows of a scene: T frames and masks, T-1 flows and visibilities."""
    kinds = (('frames', '.png', num_frames), ('masks', '.png', num_frames),
             ('flow', '.flo', num_frames - 1), ('visible', '.png', num_frames - 1))
    return [Path(root, kind, name, f'frame_{t + 1:04d}{suffix}')
            for kind, suffix, count in kinds for t in range(count)]


def _write_scene(paths: list[Path], clip: RenderedClip) -> None:
    contents = [*clip.frames, *clip.masks, *clip.flow_fw.transpose(0, 2, 3, 1),
                *np.where(clip.visible_fw[:, 0], np.uint8(255), np.uint8(0))]
    for path, content in zip(paths, contents):
        if path.suffix == '.flo':
            write_flow(path, content)
        else:
            write_image(path, content)


def _write_sparse(root: str | os.PathLike, name: str, num_frames: int, seed: int) -> None:
    """KITTI's version of each flow of a scene that has none."""
    for t in range(num_frames - 1):
        path = Path(root, 'flow_sparse', name, f'frame_{t + 1:04d}.png')
        if not path.exists():
            flow, _ = read_flow(Path(root, 'flow', name, f'frame_{t + 1:04d}.flo'))
            write_flow(path, flow, scan_points(flow.shape[:2], seed, t))


def _write_tracks(path: Path, seed: int, count: int, num_frames: int, size: tuple, style: WorldStyle) -> None:
    import torch  # here, as scenes without tracks are rendered without it

    from mmrefine.structures import Tracks
    queries = random_queries(seed, count, num_frames, size, style)
    points, visible = exact_tracks(seed, queries, num_frames, size, style)
    write_tracks(path, Tracks(torch.from_numpy(points), torch.from_numpy(visible).float(), torch.from_numpy(queries),
                              (int(size[0]), int(size[1]))))
