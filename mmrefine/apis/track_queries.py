"""Where the tracks of a video begin: on a grid in one frame, or at the points of a table."""
from __future__ import annotations

import math
from pathlib import Path
from typing import Callable, Dict, List, Mapping, NamedTuple, Optional, Sequence, Tuple, Union

import torch
from torch import Tensor

from mmrefine.errors import ConfigError, InputError
from mmrefine.fileio.annotations.point_table import read_point_table
from mmrefine.fileio.annotations.tapvid import read_any_tracks
from mmrefine.fileio.codecs.tracks import MOST_NUMBERS
from mmrefine.fileio.images import read_input
from mmrefine.fileio.video.frame_check import FrameCheck
from mmrefine.geometry import query_grid
from mmrefine.values import as_count

GRID_POINTS = 500  # of the default grid, about
LEAST_STEP = 8  # px, of the default grid


class _Row(NamedTuple):
    """A point that was asked for, and what a message calls its place in the file."""
    where: str
    scene: str
    frame: int
    x: float
    y: float


def grid_queries(size: Tuple[int, int], step: Optional[int] = None, frame: int = 0) -> Tensor:
    """Queries ``(N, 3)`` (frame, y, x) on a regular grid, centred in the frame.

    Args:
        size: (height, width), px.
        step: from one to the next, px; default: that of about 500 points, at least 8 px.
        frame: where they begin.

    Raises:
        ConfigError: a step below 1.
    """
    if step is None:
        step = max(LEAST_STEP, round(math.sqrt(size[0] * size[1] / GRID_POINTS)))
    step = as_count('--grid', step)
    points = query_grid(size, step, border=min(step // 2, (min(size) - 1) // 2))
    return torch.cat([torch.full_like(points[:, :1], frame), points.flip(1)], dim=1)


def queries_of_scenes(checks: Mapping[str, FrameCheck], grid: Optional[int], points: Optional[Union[str, Path]],
                      frame: Optional[int], log: Callable[[str], None]) -> Dict[str, Tensor]:
    """The queries ``(N, 3)`` (frame, y, x) of each scene; scenes without any are logged and left out.

    Args:
        checks: of the frames of each scene.
        grid: see :func:`grid_queries`.
        points: a table of points instead of a grid: columns ``frame``, ``x``, ``y`` and, if they do not belong to all
            scenes, ``scene``. Numbers of frames count from 0 among those that are read. Or the ``.npz`` of tracks of
            frames of the same size, ours or of TAP-Vid, whose queries are taken.
        frame: where the grid begins; default: the first frame of each scene.
        log: called with a line.

    Raises:
        ConfigError: a grid and points at once, a frame that a scene does not have, or more points in all frames of a
            scene than one file holds.
        InputError: a table without points, a point that is in no scene, outside of the frame, or in a corrupt frame;
            names the line. Tracks of frames of another size, or one that begins between two frames.
    """
    if points is not None:
        if grid is not None or frame is not None:
            raise ConfigError('--points names points and their frames, and --grid and --frame say where a grid of '
                              'points begins; give one or the other')
        return _checked_count(_table_queries(checks, Path(points), log), checks)
    found = {}
    for scene, check in checks.items():
        first = 0 if frame is None else frame
        if frame is None:
            first = min(set(range(check.frames)) - {one.number for one in check.corrupt})
        fault = frame_fault(first, scene, check)
        if fault:
            raise ConfigError(f'--frame {first}: {fault}; name another frame')
        found[scene] = grid_queries(check.size, grid, first)
    return _checked_count(found, checks)


def _table_queries(checks: Mapping[str, FrameCheck], path: Path, log: Callable[[str], None]) -> Dict[str, Tensor]:
    rows = _rows(path, checks)
    if not rows:
        advice = ('take a file with tracks' if path.suffix.lower() == '.npz' else
                  'write one a line below the first one, which is frame,x,y')
        raise InputError(f'{path}: names no points; {advice}')
    found: Dict[str, List[Tuple[int, float, float]]] = {scene: [] for scene in checks}
    for row in rows:
        if row.scene and row.scene not in checks:
            raise InputError(f'{path}: {row.where} names the scene {row.scene}, and those of the video are '
                             f'{", ".join(list(checks)[:8])}{", …" * (len(checks) > 8)}; correct it or leave it out')
        for scene in [row.scene] if row.scene else checks:
            fault = frame_fault(row.frame, scene, checks[scene]) or _point_fault(row, scene, checks[scene].size)
            if fault:
                raise InputError(f'{path}: {row.where}: {fault}; correct it or leave it out')
            found[scene].append((row.frame, row.y, row.x))
    for scene in [scene for scene, queries in found.items() if not queries]:
        log(f'{scene}: left out, {path} has no points of it')
    return {scene: torch.tensor(queries) for scene, queries in found.items() if queries}


def _rows(path: Path, checks: Mapping[str, FrameCheck]) -> List[_Row]:
    if path.suffix.lower() != '.npz':
        table = read_point_table(path, read_input(path), scene_needed=False)
        return [_Row(f'line {row.line}', row.scene, row.frame, row.x, row.y) for row in table]
    tracks = read_any_tracks(path, next(iter(checks.values())).size)
    for scene, check in checks.items():
        if tuple(tracks.size) != tuple(check.size):
            raise InputError(f'{path}: its tracks are px of frames of {tracks.size[0]}x{tracks.size[1]} (height x '
                             f'width), and those of {scene} are {check.size[0]}x{check.size[1]}; give tracks of '
                             'frames of that size, or a .csv of points')
    found = []
    for number, (frame, y, x) in enumerate(tracks.queries.tolist()):
        if not frame.is_integer():
            raise InputError(f'{path}: track {number} begins at frame {frame:g}, which must be a whole number; correct '
                             'it or leave it out')
        found.append(_Row(f'track {number}', '', int(frame), x, y))
    return found


def tell_long_steps(steps: Optional[Sequence[Union[int, str]]], checks: Mapping[str, FrameCheck],
                    log: Callable[[str], None]) -> None:
    """Name the steps of chained flow that are longer than every scene, so that nothing can take them.

    Args:
        steps: see :func:`~mmrefine.apis.named_models.open_tracker`.
        checks: of the frames of each scene.
        log: called with a line, if there are such steps.
    """
    longest = max((check.frames for check in checks.values()), default=0)
    never = [str(step) for step in steps or () if not isinstance(step, str) and step >= longest]
    if never and longest:
        log(f'--steps {" ".join(never)}: never taken, as the longest scene has {longest} frames')


def _checked_count(queries: Dict[str, Tensor], checks: Mapping[str, FrameCheck]) -> Dict[str, Tensor]:
    for name, asked in queries.items():
        if len(asked) * checks[name].frames * 2 > MOST_NUMBERS:
            raise ConfigError(f'{name}: {len(asked)} points in {checks[name].frames} frames are more than one file '
                              f'holds ({MOST_NUMBERS // 2} in all frames); take fewer points, or a part of the video '
                              'with --start and --end')
    return queries


def frame_fault(frame: int, scene: str, check: FrameCheck) -> Optional[str]:
    """Why nothing can begin in a frame of a scene: it is not there, or is corrupt; None if it can."""
    if not 0 <= frame < check.frames:
        return f'{scene} has the frames 0 to {check.frames - 1}, got frame {frame}'
    corrupt = next((one for one in check.corrupt if one.number == frame), None)
    return None if corrupt is None else f'frame {frame} of {scene} ({corrupt.name}) is corrupt'


def _point_fault(row: _Row, scene: str, size: Tuple[int, int]) -> Optional[str]:
    inside = -0.5 <= row.x <= size[1] - 0.5 and -0.5 <= row.y <= size[0] - 0.5
    return None if inside else (f'x {row.x:g}, y {row.y:g} lies outside of the frames of {scene}, which are '
                                f'{size[0]}x{size[1]} px (height x width)')
