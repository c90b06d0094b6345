"""The option ``--points`` of the command: a tracker learns from labels around the points that it is to follow."""
from __future__ import annotations

import math
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, Mapping, Tuple, Union

from mmengine.config import Config
from torch import Tensor

from mmrefine.apis.frame_damage import CheckedScenes
from mmrefine.apis.inference import is_tracker, usable_device
from mmrefine.apis.named_models import open_tracker
from mmrefine.apis.track_queries import queries_of_scenes
from mmrefine.apis.tracks import TrackFolder, follow_queries
from mmrefine.config.load import name_of
from mmrefine.errors import ConfigError
from mmrefine.fileio.annotations.interest_points import write_interest_points
from mmrefine.fileio.atomic import write_errors
from mmrefine.fileio.codecs.tracks import read_tracks
from mmrefine.fileio.digest import digest_of
from mmrefine.fileio.video.reading import Reading
from mmrefine.models import FrozenTracker
from mmrefine.report import counted

FOLDER, TABLE = 'points', 'points.csv'  # in the folder of results, and in that one
SHARE = 40  # a window is so many times smaller than the frame: 6 px at a height of 240; Refine's are a 32nd, 24 of 768
MOST = 1500  # tracks of a clip: with many points the windows are smaller; more points than that have one track each


class FollowedPoints:
    """Lets the labels of a tracker begin, beside the places where they begin anyway, in windows around the places to
    which the original network follows given points.

    Where points are in one frame or in some is enough; truth has no part in it. A window has a fortieth of the smaller
    side of the frame, and less where there are many points, but at least 1 px; of several scenes the one that needs the
    smallest windows decides for all.

    Args:
        points: a CSV file with the columns frame, x, y and perhaps scene, or an ``.npz`` of tracks, whose queries
            count; px and numbers are those of the frames that are read.
        log: called with a line.
    """

    def __init__(self, points: Union[str, Path], log: Callable[[str], None] = print) -> None:
        self.points, self.log = points, log
        self.queries: Dict[str, Tensor] = {}
        self.side = 0

    def check(self, cfg: Config) -> None:
        """Refuse a config whose labels cannot be laid around points.

        Raises:
            ConfigError: it does not refine a tracker, or its labeler does not ask for tracks.
        """
        if not is_tracker(cfg):
            raise ConfigError(f'{name_of(cfg)}: refines no tracker, and --points names points to follow; leave it out, '
                              'or take pips or pips_demo')
        labeler = cfg.get('labeler') or {}
        if labeler.get('type') != 'TrackLabeler' or not labeler.get('queries'):
            raise ConfigError(f'{name_of(cfg)}: has no key labeler with a TrackLabeler and its queries, so its labels '
                              'cannot be laid around points; leave --points out, or give labeler.queries WindowQueries '
                              'in the config')

    def plan(self, cfg: Config, videos: Mapping[str, CheckedScenes]) -> Config:
        """A copy of a config to forecast a run with: as many tracks as the windows have at most lie on a grid.

        Args:
            cfg: not filled in.
            videos: that it reads, by their ``data_root`` as text.

        Raises:
            ConfigError: its data sets read no scene of its key ``video``.
            InputError: points that are missing, broken, or not in the video.
        """
        self.video = videos.get(str(cfg.video), CheckedScenes({}, {}, Reading()))
        checks = self.video.checks
        if not checks:
            raise ConfigError(f'{name_of(cfg)}: its data sets read no scene of {cfg.video}, in which --points names '
                              "points; correct their scenes, or give them data_root='{video}'")
        self.queries = queries_of_scenes(checks, None, self.points, None, self.log)
        sides = {scene: max(1, min(round(min(checks[scene].size) / SHARE), math.isqrt(MOST // len(asked))))
                 for scene, asked in self.queries.items()}
        scene, self.side = min(sides.items(), key=lambda one: one[1])
        counts = [len(asked) for asked in self.queries.values()]
        why = f', as {scene} needs them' if len(set(sides.values())) > 1 else ''
        self.log(f'labels also begin in windows of {self.side}x{self.side} px{why}, around '
                 f'{counted(sum(counts), "point")}: up to {max(counts) * self.side**2} more tracks in each clip')
        tracks = self.side**2 * sum(float((checks[scene].frames - asked[:, 0]).sum())
                                    for scene, asked in self.queries.items())  # in all frames
        pixels = sum(check.frames * math.prod(check.size) for check in checks.values())
        return _joined(cfg, cfg.labeler.queries, dict(type='GridQueries', step=math.isqrt(int(pixels / tracks)) or 1))

    def settings(self, cfg: Config) -> Dict[str, Any]:
        """The queries of the labels of a config of :meth:`plan`, as the record of its run has them: with the points
        that are given by their contents."""
        given = digest_of({scene: asked.tolist() for scene, asked in self.queries.items()})
        plain, _ = cfg.labeler.queries.to_dict()['sources']
        return dict(type='JoinedQueries', sources=[plain, dict(type='WindowQueries', points=given, side=self.side)])

    def follow(self, cfg: Config, dry_run: bool) -> Config:
        """A copy of a config of :meth:`plan` with the windows, once the points are followed.

        The tracks lie in ``points`` in the folder of results, as :func:`~mmrefine.apis.tracks_of_video` writes them,
        and the places in ``points.csv`` beside them.

        Args:
            cfg: with weights and a ``work_dir``.
            dry_run: say how long it takes, write nothing.

        Raises:
            ConfigError: the folder holds tracks of other points.
            MMRefineError: the points cannot be followed, or files cannot be written.
        """
        device, out = usable_device(), Path(cfg.work_dir)
        tracker = FrozenTracker(open_tracker(cfg, cfg.load_from, device)).to(device)
        folders = follow_queries(self.video, self.queries, tracker, out / FOLDER, device, self.log, draw=False,
                                 dry_run=dry_run, run=out)
        if dry_run:
            return cfg
        table = out / FOLDER / TABLE
        with write_errors(table):
            write_interest_points(table, _places(folders))
        self.log(f'the original network follows the points to these places: {table}')
        windows = dict(type='WindowQueries', points=str(table.resolve()), side=self.side)
        return _joined(cfg, cfg.labeler.queries.sources[0], windows)


def _joined(cfg: Config, queries: Mapping[str, Any], more: Mapping[str, Any]) -> Config:
    """A copy of a config whose labels begin at these and those."""
    plain = cfg.to_dict()
    plain['labeler']['queries'] = dict(type='JoinedQueries', sources=[dict(queries), dict(more)])
    return Config(plain, filename=cfg.filename)


def _places(folders: List[TrackFolder]) -> Iterator[Tuple[str, int, float, float]]:
    """Scene, frame, x and y px of each point wherever it is followed inside of the frame; of points on the outer half
    of a pixel at its edge, the centre of that pixel."""
    for one in folders:
        tracks = read_tracks(one.folder / 'tracks.npz')
        height, width = tracks.size
        for track in tracks.points.tolist():
            yield from ((one.scene, t, min(max(x, 0), width - 1), min(max(y, 0), height - 1))
                        for t, (x, y) in enumerate(track) if -0.5 <= x <= width - 0.5 and -0.5 <= y <= height - 0.5)
