"""What of a video is not used. It is listed before a run begins, which then stops at corrupt frames and scenes, or
leaves them out, as the user says."""
from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, Mapping, Optional, Tuple, Union

from mmengine.config import Config

from mmrefine.config.load import fill_in, name_of
from mmrefine.engine.runtime.progress import Progress
from mmrefine.errors import ConfigError, InputError
from mmrefine.fileio.atomic import json_bytes, write_errors, write_json
from mmrefine.fileio.video.frame_check import FrameCheck, check_frames, name_ranges
from mmrefine.fileio.video.frames import PictureSeries, Place, pictures_of
from mmrefine.fileio.video.label_like import series_of_labels
from mmrefine.fileio.video.reading import Reading
from mmrefine.fileio.video.scenes import LeftOut, Roots, SceneList, find_scenes, paths_of

# in the folder of results: every corrupt frame of every scene, by number, name and reason; and every file and folder
# that is not used, with the reason
CORRUPT_FILE, LEFT_OUT_FILE = 'corrupt_frames.json', 'left_out.json'

# scenes that have a line of their own in the log
_TOLD_SCENES = 20


@dataclass(frozen=True)
class CheckedScenes:
    """Scenes of which every frame was read.

    Args:
        places: where each one is.
        checks: what is known of the frames of each; scenes that cannot be used have none.
        reading: how the frames are read.
    """
    places: Mapping[str, Place]
    checks: Mapping[str, FrameCheck]
    reading: Reading


def intact_pairs(place: Place, check: FrameCheck) -> List[int]:
    """The number of the first frame of each two neighbouring frames that are both intact, without a gap between them.

    Args:
        place: of the scene.
        check: of its frames.

    Raises:
        InputError: there are none.
    """
    bad = {frame.number for frame in check.corrupt}
    pairs = [i for i in range(check.frames - 1) if i + 1 not in check.gaps and not bad & {i, i + 1}]
    if not pairs:
        raise InputError(f'{place}: no two neighbouring frames are both intact, so there is no motion to estimate; '
                         'copy the video again')
    return pairs


def intact_runs(check: FrameCheck) -> List[Tuple[int, int]]:
    """The frames in a row that are intact, without a gap between them: the first frame and the one after the last."""
    bad = {frame.number for frame in check.corrupt}
    runs: List[Tuple[int, int]] = []
    for i in (i for i in range(check.frames) if i not in bad):
        if runs and runs[-1][1] == i and i not in check.gaps:
            runs[-1] = (runs[-1][0], i + 1)
        else:
            runs.append((i, i + 1))
    return runs


def check_out(out: Union[str, Path], video: Roots) -> None:
    """Refuse a folder of results that cannot be written, or that would be read as a part of the video.

    Raises:
        ConfigError: ``out`` is a file or lies below one, or it lies in the folder ``video``, where each folder of
            pictures is a scene.
    """
    for place in (Path(out), *Path(out).parents):
        if place.is_file():
            raise ConfigError(f'{place}: is a file, and results need a folder; choose another --out')
    whole = Path(out).resolve()
    for folder in (path.resolve() for path in paths_of(video)):
        if folder.is_dir() and folder in (whole, *whole.parents):
            raise ConfigError(f'{out}: lies in the folder of the video, {folder}, where labels and pictures would be '
                              'taken for scenes; choose an --out outside of it')


def check_scenes(found: SceneList, out: Union[str, Path], skip_corrupt: bool,
                 log: Callable[[str], None] = print, reading: Reading = Reading(),
                 dry_run: bool = False) -> Dict[str, FrameCheck]:
    """Decode every frame of the scenes; corrupt ones are listed in ``<out>/corrupt_frames.json``, and what is not used
    at all in ``<out>/left_out.json``.

    Args:
        found: the scenes, and what was left out so far.
        out: folder of results.
        skip_corrupt: leave out corrupt frames, and scenes that cannot be used. All that is left out is logged.
        log: called with a line.
        reading: which frames are read, and how.
        dry_run: write no lists.

    Returns:
        the result for each scene that can be used.

    Raises:
        InputError: corrupt frames or scenes without ``skip_corrupt``, or no scene that can be used.
        MMRefineError: the lists cannot be written.
    """
    for line in (*found.summary(), *_series_lines(found.scenes), *_label_lines(found.scenes)):
        log(line)
    checks, unusable = _check_each(found.scenes, skip_corrupt, reading, log)
    left_out = [dict(path=str(one.path), reason=one.reason) for one in (*found.left_out, *unusable)]
    _tell_scenes(checks, log)
    for name, check in checks.items():
        place = found.scenes[name]
        for note in check.notes:
            log(f'{place}: {note}')
        if check.interlaced:
            log(f'{place}: is interlaced; the missing lines of each frame are filled in (yadif)')
        if check.levels is not None:
            low, high = check.levels
            log(f'{place}: the grey levels {low:g} to {high:g} become 0 to 255 in all its frames (--range LOW HIGH '
                'chooses others)')
        if check.gaps:
            files = pictures_of(place)
            numbers = reading.numbers(len(files))
            before, after = (files[numbers[check.gaps[0] - back]].stem for back in (1, 0))
            several = f'{len(check.gaps)} gaps' if len(check.gaps) > 1 else 'a gap'
            log(f'{place}: the numbers of its frames have {several} ({before} is followed by {after}); no motion is '
                'estimated across it')
    bad = {name: check for name, check in checks.items() if check.corrupt}
    file = Path(out) / CORRUPT_FILE
    if not dry_run:
        _keep(Path(out) / LEFT_OUT_FILE, left_out)
        _keep(file, {name: dict(path=str(found.scenes[name]), frames=check.frames,
                                corrupt=[vars(frame) for frame in check.corrupt]) for name, check in bad.items()})
    for name, check in bad.items():
        names = name_ranges(check.corrupt)
        summary = f'{found.scenes[name]}: {len(check.corrupt)} of {check.frames} frames are corrupt: {names}'
        if not skip_corrupt:
            others = f'; {len(bad) - 1} more scenes have some' if len(bad) > 1 else ''
            listed = '' if dry_run else f'; all are listed in {file}'  # which a dry run does not write
            raise InputError(f'{summary}{others}{listed}; copy the video again, or leave them out with --skip-corrupt')
        listed = '' if dry_run else f' (all are listed in {file})'
        log(f'{summary}; these are left out, and the pairs or clips that they belong to{listed}')
    return checks


def _check_each(scenes: Mapping[str, Place], skip_corrupt: bool, reading: Reading,
                log: Callable[[str], None]) -> Tuple[Dict[str, FrameCheck], List[LeftOut]]:
    """The scenes that can be used, and those that cannot."""
    checks: Dict[str, FrameCheck] = {}
    unusable: List[LeftOut] = []
    for name, place in scenes.items():
        try:
            checks[name] = check_frames(place, Progress(f'looking at {name}: {{}} frames', None, log), reading)
        except InputError as error:
            if len(scenes) == 1:
                raise
            if not skip_corrupt:
                raise InputError(f'{error}; or leave out such scenes with --skip-corrupt') from error
            log(f'left out: {error}')
            unusable.append(LeftOut(place if isinstance(place, Path) else place.path, f'cannot be used: {error}'))
            last = error
    if not checks:
        raise InputError(f'none of the {len(scenes)} scenes can be used; the last one: {last}') from last
    return checks, unusable


def _series_lines(scenes: Mapping[str, Place]) -> Iterator[str]:
    """One line for each folder whose pictures are several scenes."""
    series: Dict[Path, List[str]] = {}
    for place in scenes.values():
        if isinstance(place, PictureSeries):
            series.setdefault(place.path, []).append(place.files[0].name)
    for folder, firsts in series.items():
        if len(firsts) > 1:
            more = ', …' if len(firsts) > 3 else ''
            yield (f'{folder}: its pictures are {len(firsts)} series by their names, each of which is a scene (they '
                   f'begin with {", ".join(firsts[:3])}{more})')


def _label_lines(scenes: Mapping[str, Place]) -> Iterator[str]:
    """A line if the pictures of scenes are called like labels, which is all that their folders hold."""
    firsts = [pictures_of(place)[0] for place in scenes.values() if isinstance(place, PictureSeries) or place.is_dir()]
    called = [first for first in firsts if series_of_labels(first.stem)]
    if called:
        more = f', and so are those of {len(called) - 1} more scenes' if len(called) > 1 else ''
        yield (f'{called[0].parent}: its pictures are called like labels ({called[0].name}, …){more}; as there are no '
               'others beside them, they are read as frames; if they are labels, name the folder of the frames instead')


def _tell_scenes(checks: Mapping[str, FrameCheck], log: Callable[[str], None]) -> None:
    """One line for each of the first scenes, and one for the others."""
    for name, check in list(checks.items())[:_TOLD_SCENES]:
        height, width = check.size
        lasts = f', {check.times[-1] - check.times[0]:.1f} s' if check.times else ''
        log(f'{name}: {check.frames} frames of {width} x {height}{lasts}')
    if len(checks) > _TOLD_SCENES:
        others = list(checks.values())[_TOLD_SCENES:]
        log(f'{len(others)} more scenes with {sum(check.frames for check in others)} frames')


def _keep(file: Path, record: Any) -> None:
    """Write a list, or remove the one of an earlier run if there is nothing to list; one that is right stays as it is,
    as the disk may be read-only by now."""
    wanted = json_bytes(record) if record else None
    if wanted != (file.read_bytes() if file.is_file() else None):
        with write_errors(file):
            if record:
                write_json(file, record)
            else:
                file.unlink()


def skipping(cfg: Config, out: Union[str, Path], skip_corrupt: bool, log: Callable[[str], None] = print,
             reading: Optional[Mapping[str, Any]] = None,
             dry_run: bool = False) -> Tuple[Config, Dict[str, CheckedScenes]]:
    """A copy of a config whose data sets leave out the corrupt frames and scenes of their videos, if the user says so;
    and the scenes, by the ``data_root`` as text.

    Checks the videos of all :class:`~mmrefine.datasets.FramePairs` and ``FrameClips``; benchmarks are not checked.

    Args:
        cfg: not filled in.
        out, skip_corrupt, log, dry_run: see :func:`check_scenes`.
        reading: values of :class:`~mmrefine.fileio.Reading` that all these data sets take instead of their own.

    Raises:
        InputError: corrupt frames without ``skip_corrupt``.
        ConfigError: a video that is not set, or an ``out`` that :func:`check_out` refuses.
    """
    plain, filled = cfg.to_dict(), fill_in(cfg).to_dict()
    checked: Dict[str, CheckedScenes] = {}
    for keys, part in list(_videos(plain, ())):
        if reading:
            part['reading'] = dict(reading)
        root = _at(filled, keys).get('data_root')
        if not isinstance(root, (str, Path, list, tuple)):
            raise ConfigError(f'{name_of(cfg)}: {".".join(map(str, keys))} has no data_root; name the folder or video '
                              'there')
        wanted = _at(filled, keys).get('scenes', 'all')
        if str(root) not in checked:
            check_out(out, root)
            found = find_scenes(root)
            chosen = found.scenes if wanted in ('all', 'each') else {
                name: place
                for name, place in found.scenes.items() if name in ([wanted] if isinstance(wanted, str) else wanted)
            }
            how = Reading.of(part.get('reading'))
            checks = check_scenes(SceneList(chosen, found.left_out), out, skip_corrupt, log, how,
                                  dry_run) if chosen else {}
            checked[str(root)] = CheckedScenes(chosen, checks, how)
        video = checked[str(root)]
        skip = {name: [frame.name for frame in check.corrupt] for name, check in video.checks.items() if check.corrupt}
        unusable = [name for name in video.places if name not in video.checks]
        if skip:
            part['skip'] = skip
        if unusable:
            held_out = _at(filled, keys).get('hold_out') or []
            part['hold_out'] = sorted({*([held_out] if isinstance(held_out, str) else held_out), *unusable})
    return Config(plain, filename=cfg.filename), checked


def _videos(node: Any, keys: Tuple[Any, ...]) -> Iterator[Tuple[Tuple[Any, ...], Dict[str, Any]]]:
    """The place and the dict of every data set of videos."""
    if isinstance(node, dict):
        if str(node.get('type')).rpartition('.')[2] in ('FrameClips', 'FramePairs'):
            yield keys, node
        for key, value in node.items():
            yield from _videos(value, (*keys, key))
    elif isinstance(node, (list, tuple)):
        for i, value in enumerate(node):
            yield from _videos(value, (*keys, i))


def _at(node: Any, keys: Tuple[Any, ...]) -> Any:
    for key in keys:
        node = node[key]
    return node
