"""Points of interest in the frames of videos, such as heads or joints: a table of them, or tracks."""
from __future__ import annotations

import csv
import io
from dataclasses import dataclass, field
from pathlib import Path
from typing import Dict, Iterable, List, Mapping, Tuple

import numpy as np

from mmrefine.errors import InputError
from mmrefine.fileio.annotations.point_table import COLUMNS, read_point_table
from mmrefine.fileio.atomic import PathLike, write_bytes
from mmrefine.fileio.codecs.tracks import read_tracks
from mmrefine.fileio.digest import digest_of_bytes, digest_of_files
from mmrefine.fileio.images import read_input


@dataclass(frozen=True)
class InterestPoints:
    """Points of interest by scene and frame.

    Args:
        scenes: scene -> number of the frame from 0 -> ``(N, 2)`` float32 px (x, y).
        digest: of the files that they are from; it does not change with the path.
        sizes: scene -> (height, width) px of the frames that its points refer to, where the files say so.
    """
    scenes: Mapping[str, Mapping[int, np.ndarray]]
    digest: str
    sizes: Mapping[str, Tuple[int, int]] = field(default_factory=dict)

    def of(self, scene: str, number: int) -> np.ndarray:
        """The points ``(N, 2)`` float32 px (x, y) of a frame; none if nothing is known of it."""
        return self.scenes.get(scene, {}).get(number, np.zeros((0, 2), np.float32))


def read_interest_points(path: PathLike) -> InterestPoints:
    """Points of interest.

    Args:
        path: a table ``.csv`` with a line ``scene,frame,x,y`` on top, frames numbered from 0, px; or tracks of the
            scene that the file is named after, ``.npz`` as :class:`~mmrefine.fileio.codecs.tracks.TracksCodec` lays
            them out, whose points count where they are seen; or a folder of such tracks, ``<scene>.npz``.

    Raises:
        InputError: a missing or empty file, columns or arrays that are missing, or numbers that are no points.
    """
    path = Path(path)
    if path.is_dir():
        files = {file.relative_to(path).with_suffix('').as_posix(): file for file in sorted(path.rglob('*.npz'))}
        if not files:
            raise InputError(f'{path}: has no <scene>.npz with tracks; name another folder or a .csv of points')
        digest = digest_of_files(files.items())
    elif path.suffix.lower() == '.npz':
        files, digest = {path.stem: path}, digest_of_bytes(read_input(path))
    else:
        data = read_input(path)
        return InterestPoints(_table(path, data), digest_of_bytes(data))
    read = {scene: _tracks(file) for scene, file in files.items()}
    return InterestPoints({scene: points for scene, (points, _) in read.items()}, digest,
                          {scene: size for scene, (_, size) in read.items()})


def write_interest_points(path: PathLike, points: Iterable[Tuple[str, int, float, float]]) -> int:
    """Write a table that :func:`read_interest_points` reads, whole or not at all.

    Args:
        path: of the ``.csv``.
        points: scene, number of the frame from 0, x and y px, to a hundredth.

    Returns:
        the number of points.

    Raises:
        OSError: the disk is full or the folder cannot be written.
    """
    text = io.StringIO(newline='')
    rows = csv.writer(text, lineterminator='\n')
    rows.writerow(COLUMNS)
    count = 0
    for scene, number, x, y in points:
        rows.writerow((scene, number, f'{x:.2f}', f'{y:.2f}'))
        count += 1
    write_bytes(path, text.getvalue().encode('utf-8'))
    return count


def _table(path: Path, data: bytes) -> Dict[str, Dict[int, np.ndarray]]:
    """The points of a CSV file."""
    found: Dict[str, Dict[int, List[Tuple[float, float]]]] = {}
    for row in read_point_table(path, data):
        found.setdefault(row.scene, {}).setdefault(row.frame, []).append((row.x, row.y))
    return {scene: {number: np.array(points, np.float32) for number, points in frames.items()}
            for scene, frames in found.items()}


def _tracks(path: Path) -> Tuple[Dict[int, np.ndarray], Tuple[int, int]]:
    """The points of each frame that are seen there, and (height, width) of the frames."""
    tracks = read_tracks(path)
    points, seen = tracks.points.numpy(), tracks.visible.numpy() > 0
    return {t: points[seen[:, t], t] for t in range(points.shape[1])}, tracks.size
