"""The files of ``mmrefine track``: how they are called and written."""
from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Dict, Iterator, Mapping, Optional

import numpy as np

from mmrefine.apis.result_files import read_result_record, refuse_strangers
from mmrefine.fileio.atomic import atomic_write, write_errors
from mmrefine.fileio.codecs.tracks import write_tracks
from mmrefine.structures import Tracks

RECORD, VIDEO, ARRAYS, TABLE = 'tracks.json', 'tracks.mp4', 'tracks.npz', 'tracks.csv'
HEADER, ERROR = 'track,frame,x,y,confidence', 'error'


@dataclass(frozen=True)
class TrackFiles:
    """The files of one scene.

    Args:
        folder: holds them.
    """
    folder: Path

    @property
    def arrays(self) -> Path:
        """Points and visibility as :class:`~mmrefine.fileio.codecs.tracks.TracksCodec` lays them out."""
        return self.folder / ARRAYS

    @property
    def table(self) -> Path:
        """The same with the confidence, a line for each point of each frame."""
        return self.folder / TABLE

    @property
    def video(self) -> Path:
        """Frames with trails."""
        return self.folder / VIDEO

    @property
    def record(self) -> Path:
        """Settings, times and digests."""
        return self.folder / RECORD

    def read_record(self, settings: Mapping[str, Any], run: Optional[Path] = None) -> Optional[Dict[str, Any]]:
        """The record; None if it is missing, or has other settings and no file was written yet.

        Args:
            settings: that the tracks must have been made with.
            run: folder of the run that they are a part of, which is then the one to delete; else that of the files.

        Raises:
            ConfigError: the tracks were made with other settings; names what differs.
            InputError: the file is something else, or a file that would be overwritten is there without a record.
        """
        files = self.arrays, self.table, self.video
        record = read_result_record(self.record, 'tracks that were', settings,
                                    lambda: any(path.exists() for path in files), run)
        if record is None:
            refuse_strangers(self.record, files)
        return record


def write_track_files(files: TrackFiles, tracks: Tracks) -> None:
    """Write arrays and table, each whole or not at all.

    Raises:
        MMRefineError: the disk is full or the folder cannot be written.
    """
    with write_errors(files.arrays):
        write_tracks(files.arrays, tracks)
    with write_errors(files.table), atomic_write(files.table) as file:
        file.writelines(_lines(tracks))


def _lines(tracks: Tracks) -> Iterator[bytes]:
    error = None if tracks.error is None else tracks.error.numpy()
    yield f'{HEADER}\n'.encode() if error is None else f'{HEADER},{ERROR}\n'.encode()
    points, sure = tracks.points.numpy(), tracks.visible.numpy()
    for number, (track, confidence) in enumerate(zip(points, sure)):
        for frame in np.flatnonzero(~np.isnan(track).any(axis=1)).tolist():
            x, y = track[frame]
            more = '' if error is None else f',{error[number, frame]:.3f}'
            yield f'{number},{frame},{x:.3f},{y:.3f},{confidence[frame]:.3f}{more}\n'.encode()
