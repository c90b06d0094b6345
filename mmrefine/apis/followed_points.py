"""The option ``--points`` of the command: a tracker learns from labels around the points that it is to follow."""
from __future__ import annotations

import math
from pathlib import Path
from typing import Any, Callable, Dict, List, Mapping, Optional, Tuple, Union

from mmengine.config import Config

from mmrefine.apis.inference import is_tracker
from mmrefine.apis.tracks import TrackFolder, tracks_of_video
from mmrefine.config.load import name_of
from mmrefine.errors import ConfigError
from mmrefine.fileio.annotations.interest_points import write_interest_points
from mmrefine.fileio.atomic import write_errors
from mmrefine.fileio.codecs.tracks import read_tracks
from mmrefine.fileio.digest import digest_of_bytes
from mmrefine.fileio.video.scenes import Roots

FOLDER, TABLE = 'points', 'points.csv'  # in the folder of results, and in that one
SHARE = 40  # a window is so many times smaller than the frame: 6 px at a height of 240 (Refine: 24 px at 768)
MOST = 1500  # tracks of a clip, about; with many points the windows are smaller


def check_points(cfg: Config) -> None:
    """Refuse a config whose labels cannot be laid around points.

    Raises:
        ConfigError: it does not refine a tracker, or its labeler does not ask for tracks.
    """
    if not is_tracker(cfg):
        raise ConfigError(f'{name_of(cfg)}: refines no tracker, and --points names points to follow; leave it out, or '
                          'take pips or pips_demo')
    labeler = cfg.get('labeler') or {}
    if labeler.get('type') != 'TrackLabeler' or not labeler.get('queries'):
        raise ConfigError(f'{name_of(cfg)}: has no key labeler with a TrackLabeler and its queries, so its labels '
                          'cannot be laid around points; leave --points out, or give labeler.queries WindowQueries in '
                          'the config')


def around_points(cfg: Config, points: Union[str, Path], video: Roots, out: Path, skip_corrupt: bool,
                  log: Callable[[str], None], reading: Optional[Mapping[str, Any]], dry_run: bool) -> Config:
    """A copy of a config whose labels have, beside the tracks that they have anyway, others that begin in windows
    around the places to which the original network follows given points.

    Where points are in one frame or in some is enough; truth has no part in it. The tracks lie in ``<out>/points``, as
    :func:`~mmrefine.apis.tracks.tracks_of_video` writes them, and the places in ``points.csv`` beside them. A window
    has a fortieth of the smaller side of the frame, and less where there are many points.

    Args:
        cfg: not filled in, with its weights; :func:`check_points` has been called.
        points: a CSV file with the columns frame, x, y and perhaps scene, or an ``.npz`` of tracks, whose queries
            count; px and numbers are those of the frames that are read.
        video, skip_corrupt, log, reading, dry_run: see :func:`~mmrefine.apis.video_run.prepare_run`.
        out: folder of results.

    Raises:
        ConfigError: the folder holds tracks of other points.
        InputError: points that are missing, broken, or not in the video.
    """
    folders = tracks_of_video(video, cfg, cfg.load_from, out / FOLDER, points=points, draw=False,
                              skip_corrupt=skip_corrupt, log=log, reading=reading, dry_run=dry_run)
    if dry_run:
        return cfg
    table, (places, side) = out / FOLDER / TABLE, _places(folders)
    if not table.is_file() or any(one.made for one in folders):
        with write_errors(table):
            write_interest_points(table, places)
    log(f'labels also begin in windows of {side}x{side} px around {sum(one.tracks for one in folders)} point(s), where '
        f'the original network follows them to ({table})')
    plain = cfg.to_dict()
    windows = dict(type='WindowQueries', points=str(table.resolve()), side=side)
    plain['labeler']['queries'] = dict(type='JoinedQueries', sources=[plain['labeler']['queries'], windows])
    return Config(plain, filename=cfg.filename)


def settings_of_points(cfg: Config) -> Dict[str, Any]:
    """The queries of a config of :func:`around_points`, as the record of its run has them: by contents, as the table
    follows the folder of results."""
    queries: Dict[str, Any] = cfg.labeler.queries.to_dict()
    *others, windows = queries['sources']
    return dict(queries, sources=[*others, dict(windows, points=digest_of_bytes(Path(windows['points']).read_bytes()))])


def _places(folders: List[TrackFolder]) -> Tuple[List[Tuple[str, int, float, float]], int]:
    """Scene, frame, x and y px of each point wherever it is followed inside of the frame; and the side of a window."""
    places, sides = [], []
    for one in folders:
        tracks = read_tracks(one.folder / 'tracks.npz')
        height, width = tracks.size
        sides.append(min(round(min(tracks.size) / SHARE), math.isqrt(MOST // max(1, one.tracks))))
        for track in tracks.points.tolist():
            places += [(one.scene, t, x, y) for t, (x, y) in enumerate(track)
                       if 0 <= x <= width - 1 and 0 <= y <= height - 1]
    return places, max(1, min(sides, default=1))
