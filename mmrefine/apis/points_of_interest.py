"""The points that a benchmark knows in its frames, as a table for the windows of a labeler."""
from __future__ import annotations

from pathlib import Path
from typing import Union

from mmengine.config import Config

from mmrefine.config.load import complete, hooks_of, name_of
from mmrefine.engine.judging.judge import open_group
from mmrefine.errors import ConfigError
from mmrefine.fileio.annotations.interest_points import write_interest_points


def write_points_of_interest(cfg: Config, path: Union[str, Path], group: str = 'refined') -> int:
    """Write where the points of a benchmark are that are known and visible, px of the frames that the config labels.

    Args:
        cfg: with a ``ReportHook`` that reports a benchmark of tracks; ``scene='each'`` is read as ``'all'``.
        path: of the table ``.csv``, which ``WindowQueries(points=…)`` reads.
        group: of the report, whose points they are.

    Returns:
        the number of points.

    Raises:
        ConfigError: no such group, or a group whose data set knows no points.
        InputError: data that are missing or broken.
    """
    cfg = complete(cfg)
    groups = {name: config for hook in hooks_of(cfg, 'ReportHook') for name, config in hook['groups'].items()}
    if group not in groups:
        raise ConfigError(f'{name_of(cfg)}: its ReportHook has no group {group!r}, but '
                          f'{", ".join(groups) or "none"}; name one of them')
    dataset, _ = open_group(groups[group])
    if not hasattr(dataset, 'points_of_interest'):
        raise ConfigError(f'{name_of(cfg)}: the group {group!r} is {type(dataset).__name__}, which knows no points; '
                          'name a group of CroHDClips, Horse30Clips or another benchmark of tracks')
    return write_interest_points(path, dataset.points_of_interest())
