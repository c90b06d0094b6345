"""Corrupt frames: all are listed before a run begins, which then stops or leaves them out, as the user says."""
from __future__ import annotations

from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, Mapping, Tuple, Union

from mmengine.config import Config

from mmrefine.config.load import fill_in, name_of
from mmrefine.engine.runtime.progress import Progress
from mmrefine.errors import ConfigError, InputError
from mmrefine.fileio.atomic import json_bytes, write_errors, write_json
from mmrefine.fileio.video.frame_check import FrameCheck, check_frames, name_ranges
from mmrefine.fileio.video.reader import list_scenes

# in the folder of results: every corrupt frame of every scene, by number, name and reason
CORRUPT_FILE = 'corrupt_frames.json'


def check_out(out: Union[str, Path], video: Union[str, Path]) -> None:
    """Refuse a folder of results that cannot be written, or that would be read as a part of the video.

    Raises:
        ConfigError: ``out`` is a file or lies below one, or it lies in the folder ``video``, where each folder of
            pictures is a scene.
    """
    for place in (Path(out), *Path(out).parents):
        if place.is_file():
            raise ConfigError(f'{place}: is a file, and results need a folder; choose another --out')
    whole, folder = Path(out).resolve(), Path(video).resolve()
    if folder.is_dir() and folder in (whole, *whole.parents):
        raise ConfigError(f'{out}: lies in the folder of the video, {folder}, where labels and pictures would be taken '
                          'for scenes; choose an --out outside of it')


def check_scenes(scenes: Mapping[str, Path], out: Union[str, Path], skip_corrupt: bool,
                 log: Callable[[str], None] = print) -> Dict[str, FrameCheck]:
    """Decode every frame of the scenes; corrupt ones are listed in ``<out>/corrupt_frames.json``.

    Args:
        scenes: name -> folder or video file.
        out: folder of results.
        skip_corrupt: leave corrupt frames out; what is left out is logged.
        log: called with a line.

    Returns:
        the result for each scene.

    Raises:
        InputError: corrupt frames without ``skip_corrupt``, or too few good ones.
        MMRefineError: the list cannot be written.
    """
    checks = {name: check_frames(path, Progress(f'looking at {name}: {{}} '
                                                'frames', None, log)) for name, path in scenes.items()}
    for name, check in checks.items():
        if check.interlaced:
            log(f'{scenes[name]}: is interlaced; the missing lines of each frame are filled in (yadif)')
    bad = {name: check for name, check in checks.items() if check.corrupt}
    file = Path(out) / CORRUPT_FILE
    if not bad:
        if file.exists():  # the list of a damaged copy that was replaced since
            with write_errors(file):
                file.unlink(missing_ok=True)
        return checks
    record = {name: dict(path=scenes[name], frames=check.frames, corrupt=[vars(frame) for frame in check.corrupt])
              for name, check in bad.items()}
    if not file.is_file() or file.read_bytes() != json_bytes(record):
        with write_errors(file):
            write_json(file, record)
    for name, check in bad.items():
        names = name_ranges(check.corrupt)
        summary = f'{scenes[name]}: {len(check.corrupt)} of {check.frames} frames are corrupt: {names}'
        if not skip_corrupt:
            others = f'; {len(bad) - 1} more scenes have some' if len(bad) > 1 else ''
            raise InputError(f'{summary}{others}; all are listed in {file}; copy the video again, or leave them out '
                             'with --skip-corrupt')
        log(f'{summary}; these are left out, and the pairs that they belong to (all are listed in {file})')
    return checks


def skipping(cfg: Config, out: Union[str, Path], skip_corrupt: bool, log: Callable[[str], None] = print) -> Config:
    """A copy of a config whose data sets leave out the corrupt frames of their videos, if the user says so.

    Checks the videos of all :class:`~mmrefine.datasets.FramePairs`; benchmarks are not checked.

    Args:
        cfg: not filled in.
        out, skip_corrupt, log: see :func:`check_scenes`.

    Raises:
        InputError: corrupt frames without ``skip_corrupt``.
        ConfigError: a video that is not set, or an ``out`` that :func:`check_out` refuses.
    """
    plain, filled = cfg.to_dict(), fill_in(cfg).to_dict()
    checked: Dict[str, Dict[str, List[str]]] = {}
    for keys, part in list(_frame_pairs(plain, ())):
        root = _at(filled, keys).get('data_root')
        if not isinstance(root, (str, Path)):
            raise ConfigError(f'{name_of(cfg)}: {".".join(map(str, keys))} has no data_root; name the folder or video '
                              'there')
        wanted = _at(filled, keys).get('scenes', 'all')
        if str(root) not in checked:
            check_out(out, root)
            found = list_scenes(root)
            chosen = found if wanted in ('all', 'each') else {
                name: path
                for name, path in found.items() if name in ([wanted] if isinstance(wanted, str) else wanted)
            }
            checks = check_scenes(chosen, out, skip_corrupt, log)
            checked[str(root)] = {name: [frame.name for frame in check.corrupt] for name,
                                  check in checks.items() if check.corrupt}
        if checked[str(root)]:
            part['skip'] = checked[str(root)]
    return Config(plain, filename=cfg.filename)


def _frame_pairs(node: Any, keys: Tuple[Any, ...]) -> Iterator[Tuple[Tuple[Any, ...], Dict[str, Any]]]:
    """The place and the dict of every data set of videos."""
    if isinstance(node, dict):
        if str(node.get('type')).rpartition('.')[2] == 'FramePairs':
            yield keys, node
        for key, value in node.items():
            yield from _frame_pairs(value, (*keys, key))
    elif isinstance(node, (list, tuple)):
        for i, value in enumerate(node):
            yield from _frame_pairs(value, (*keys, i))


def _at(node: Any, keys: Tuple[Any, ...]) -> Any:
    for key in keys:
        node = node[key]
    return node
