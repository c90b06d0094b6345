"""Masks or points of a whole video, propagated and written as files, with a video that shows them."""
from __future__ import annotations

import contextlib
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, Mapping, Optional, Sequence, Union

import torch
from mmengine.config import Config
from torch import Tensor

import mmrefine
from mmrefine.apis.flow import FOLDER_RATE
from mmrefine.apis.frame_damage import CheckedScenes, check_out, check_scenes, intact_runs
from mmrefine.apis.given_masks import GivenMasks, Masks
from mmrefine.apis.inference import usable_device
from mmrefine.apis.named_models import open_tracker
from mmrefine.apis.propagation import masks_along, points_along
from mmrefine.apis.propagation_files import RECORD, PropagationFiles
from mmrefine.apis.propagators import CONFIDENCE, confidence_of, pairs_of, propagation_settings, propagator_of
from mmrefine.apis.result_files import default_out
from mmrefine.apis.timing import WARM_UP, seconds_a_pixel, shrunk, tell
from mmrefine.apis.track_files import TrackFiles, write_track_files
from mmrefine.apis.track_forecast import tell_track_forecast
from mmrefine.apis.track_queries import frame_fault, queries_of_scenes, tell_long_steps
from mmrefine.apis.tracks import draw_tracks
from mmrefine.engine.runtime.progress import Progress
from mmrefine.engine.stage1.forecast import time_text
from mmrefine.errors import ConfigError, InputError, TeacherError
from mmrefine.fileio.annotations.davis import read_ids
from mmrefine.fileio.digest import digest_of, digest_of_bytes
from mmrefine.fileio.video.frame_check import FrameCheck
from mmrefine.fileio.video.frames import FrameSource, Place
from mmrefine.fileio.video.reader import open_frames
from mmrefine.fileio.video.reading import Reading
from mmrefine.fileio.video.scenes import Roots, find_scenes
from mmrefine.fileio.video.writer import write_video
from mmrefine.structures import FrameOf, Tracks, as_frames
from mmrefine.structures.propagation import Propagator
from mmrefine.visualization.mask_overlay import draw_masks

TIMED_FRAMES = 4  # of the forecast for masks


@dataclass(frozen=True)
class PropagationFolder:
    """What was propagated through one scene, on disk.

    Args:
        scene: its name.
        folder: holds ``masks/<scene>/<frame>.png`` and ``masks.mp4``, or ``tracks.npz``, ``tracks.csv`` and
            ``tracks.mp4``; and ``propagate.json``.
        count: of objects, or of points.
        frames: that they are known in.
        made: whether they were computed now; else they existed.
        video: the video that shows them, or None.
    """
    scene: str
    folder: Path
    count: int
    frames: int
    made: bool
    video: Optional[Path]


def propagate_video(video: Roots,
                    masks: Optional[Masks] = None,
                    points: Optional[Union[str, Path]] = None,
                    model: Union[str, Path, Config] = 'raft_small',
                    checkpoint: Optional[Union[str, Path]] = None,
                    out: Optional[Union[str, Path]] = None,
                    by: Optional[str] = None,
                    memory: Optional[int] = None,
                    most: Optional[int] = None,
                    hard: bool = False,
                    draw: bool = True,
                    skip_corrupt: bool = False,
                    device: Optional[str] = None,
                    log: Callable[[str], None] = print,
                    reading: Optional[Mapping[str, Any]] = None,
                    dry_run: bool = False,
                    steps: Optional[Sequence[Union[int, str]]] = None,
                    judge: Optional[str] = None) -> List[PropagationFolder]:
    """Propagate the masks or the points of some frames through a video; scenes whose files exist as they were written
    are left alone.

    Both go forwards and backwards, up to a corrupt frame or a gap in the numbers of the frames. Masks are written as
    ``masks/<scene>/<frame>.png`` with the palette of DAVIS, points as :func:`~mmrefine.apis.tracks_of_video` does.
    Frames stream: memory does not grow with the video, but for the tracks.

    Args:
        video: a video file, a folder of frames, or a folder of such folders and files, or a list of these. Masks are
            those of one scene.
        masks: see :func:`~mmrefine.apis.propagate_masks`.
        points: a table or the tracks whose queries are followed, see :func:`~mmrefine.apis.tracks_of_video`; instead of
            masks.
        model: see :func:`~mmrefine.apis.open_tracker`.
        checkpoint: see there.
        out: default: ``work_dirs/<name of the video>_propagated``.
        by, memory, most, hard: see :func:`~mmrefine.apis.propagate_masks`.
        draw: write the video to look at.
        skip_corrupt: leave out corrupt frames, and scenes that cannot be used; else these are an error.
        device: default: the GPU where there is one.
        log: called with a line.
        reading: which frames are read, and how: values of :class:`~mmrefine.fileio.Reading` by name.
        dry_run: check the frames and what is given, forecast the time, write nothing.
        steps, judge: see :func:`~mmrefine.apis.named_models.open_tracker`.

    Returns:
        one for each scene that something is given for; none after a dry run.

    Raises:
        ConfigError: no such model, device or way, neither masks nor points or both, masks for several scenes, or an
            ``out`` that is a file, lies in the folder of the video, or holds results of other settings.
        CheckpointError: weights that are missing, broken, or of another network.
        InputError: a video, masks or points that cannot be used, or results that were changed by hand.
        TeacherError: the network gives nan.
        MMRefineError: the files cannot be written.
    """
    if (masks is None) is (points is None):
        raise ConfigError('give either masks (--mask) or points (--points) to propagate')
    device, what = usable_device(device), Reading.of(reading)
    root = Path(out) if out is not None else Path(f'{default_out(video)}_propagated')
    check_out(root, video)
    given = None if masks is None else GivenMasks(masks)
    found = find_scenes(video)
    if given is not None and len(found.scenes) > 1:
        raise ConfigError(f'the masks belong to one scene, and the video has {len(found.scenes)}, such as '
                          f'{next(iter(found.scenes))}; name one of them as VIDEO')
    network = open_tracker(model, checkpoint, device, steps, judge)
    propagator = propagator_of(network, by, memory, most, hard)
    settings = dict(mmrefine=mmrefine.__version__, **propagation_settings(network, propagator))
    checks = check_scenes(found, root, skip_corrupt, log, what, dry_run)
    tell_long_steps(steps, checks, log)
    queries: Dict[str, Tensor] = {}
    if given is None:
        queries = queries_of_scenes(checks, None, points, None, log)
    else:
        _check_masks(given, *next(iter(checks.items())))
    one = len(found.scenes) == 1
    scenes = [_Scene(name, found.scenes[name], checks[name], what, root if one else root / name, propagator, device,
                     log) for name in (checks if given is not None else queries)]
    if not any((scene.folder / RECORD).is_file() for scene in scenes):
        if given is not None:
            tell(lambda: _forecast(scenes[0], given), dry_run, log)
        else:
            tell_track_forecast(CheckedScenes(found.scenes, checks, what), queries, propagator.follow, device, dry_run,
                                log, True, pairs_of(propagator))
    if dry_run:
        return []
    return [scene.masks(settings, given, draw) if given is not None else
            scene.points(settings, queries[scene.name], draw) for scene in scenes]


def _check_masks(given: GivenMasks, scene: str, check: FrameCheck) -> None:
    given.check(scene, check.size, check.frames)
    for number in given.numbers:
        fault = frame_fault(number, scene, check)
        if fault:
            raise InputError(f'{given.names[number]}: {fault}; name the mask of another frame with --mask FRAME=FILE')


def _forecast(scene: '_Scene', given: GivenMasks) -> str:
    """How long the masks take, from the first frames at a small size, with as many objects."""
    runs = [run for run in intact_runs(scene.check) if any(run[0] <= number < run[1] for number in given.numbers)]
    first, end = runs[0]
    numbers = range(first, min(end, first + TIMED_FRAMES))

    def run(pixels: int) -> int:
        some = numbers[:2] if pixels == WARM_UP else numbers
        clip = as_frames([shrunk(scene.frames[number], pixels) for number in some], scene.device)
        maps = torch.zeros(len(given.ids) + 1, clip.shape[-2], clip.shape[-1])
        maps[0] = 1.
        for _ in scene.propagator.propagate(clip.__getitem__, len(clip), {0: maps}):
            pass
        return clip[:, 0].numel()

    frames, pairs = sum(end - first for first, end in runs), pairs_of(scene.propagator)
    longer = sum(pairs(end - first) for first, end in runs) / max(pairs(len(numbers)), 1)  # than what was timed
    seconds = seconds_a_pixel(run, scene.device) * len(numbers) * longer * math.prod(scene.check.size)
    return f'forecast: about {time_text(seconds)} for masks of {frames} frames (from small frames)'


@contextlib.contextmanager
def _named(frames: FrameSource) -> Iterator[None]:
    """Errors of a network say with which video."""
    try:
        yield
    except TeacherError as error:
        raise TeacherError(f'{frames.path}: {error}') from error


class _Scene:
    """A scene on its way."""

    def __init__(self, name: str, place: Place, check: FrameCheck, reading: Reading, folder: Path,
                 propagator: Propagator, device: str, log: Callable[[str], None]) -> None:
        self.name, self.check, self.reading, self.folder = name, check, reading, folder
        self.propagator, self.device, self.log = propagator, device, log
        self.skipped = sorted(one.name for one in check.corrupt)
        self.frames: FrameSource = open_frames(place, self.skipped, reading)
        self.rate = (check.rate or FOLDER_RATE) / reading.stride

    def masks(self, settings: Mapping[str, Any], given: GivenMasks, draw: bool) -> PropagationFolder:
        """The masks of all frames that a given one leads to."""
        runs = [run for run in intact_runs(self.check) if any(run[0] <= number < run[1] for number in given.numbers)]
        numbers = [number for first, end in runs for number in range(first, end)]
        if len(numbers) < len(self.frames):
            self.log(f'{self.name}: {len(self.frames) - len(numbers)} of {len(self.frames)} frames get no mask, as '
                     'corrupt frames or gaps lie between them and the given ones')
        files = PropagationFiles.of_masks(self.folder, self.name, [self.frames.name(number) for number in numbers])
        paths = dict(zip(numbers, files.results))

        def make() -> None:
            progress, done = Progress(f'{self.name}: masks of {{}} frames', len(numbers), self.log), 0
            for first, end in runs:
                with _named(self.frames):
                    for number, ids in masks_along(self.propagator, given, self._from(first), end - first, first):
                        files.write_mask(paths[first + number], ids)
                        done += 1
                        progress(done)

        def show() -> None:
            progress = Progress(f'{self.name}: drawing {{}} frames', len(numbers), self.log)
            with write_video(files.video, self.rate) as add:
                for done, number in enumerate(numbers, start=1):
                    add(draw_masks(self.frames[number], read_ids(paths[number])))
                    progress(done)

        drawn = {str(number): digest_of_bytes(mask.tobytes()) for number, mask in given.masks.items()}
        about = dict(objects=list(given.ids), given={str(number): given.names[number] for number in given.numbers})
        made = files.bring_up_to_date(self._settings(settings, masks=drawn), self._about(about), make,
                                      show if draw else None, self.log)
        return PropagationFolder(self.name, self.folder, len(given.ids), len(numbers), made,
                                 files.video if draw else None)

    def points(self, settings: Mapping[str, Any], queries: Tensor, draw: bool) -> PropagationFolder:
        """The points of all frames that their queries lead to."""
        tracks = TrackFiles(self.folder)
        files = PropagationFiles(self.folder, (tracks.arrays, tracks.table), tracks.video)

        def make() -> None:
            write_track_files(tracks, self._tracks(queries))

        def show() -> None:
            draw_tracks(tracks, self.frames, self.check, self.rate, self.name, self.log)

        about = dict(tracks=len(queries), confidence=CONFIDENCE[confidence_of(settings['network'], settings['by'])])
        wanted = self._settings(settings, points=f'{len(queries)} ({digest_of(queries.tolist())})')
        made = files.bring_up_to_date(wanted, self._about(about), make, show if draw else None, self.log)
        return PropagationFolder(self.name, self.folder, len(queries), len(self.frames), made,
                                 files.video if draw else None)

    def _tracks(self, queries: Tensor) -> Tracks:
        points = torch.full((len(queries), len(self.frames), 2), float('nan'))
        visible, begins = torch.zeros(len(queries), len(self.frames)), queries[:, 0]
        for first, end in intact_runs(self.check):
            here = (begins >= first) & (begins < end)
            if bool(here.any()):
                with _named(self.frames):
                    found = points_along(self.propagator, queries[here] - queries.new_tensor([first, 0., 0.]),
                                         self._from(first), end - first, self.check.size)
                points[here, first:end], visible[here, first:end] = found.points, found.visible
        return Tracks(points, visible, queries, self.check.size)

    def _from(self, first: int) -> FrameOf:
        return lambda number: as_frames([self.frames[first + number]], self.device)[0]

    def _settings(self, settings: Mapping[str, Any], **given: Any) -> Dict[str, Any]:
        gaps = dict(gaps=list(self.check.gaps)) if self.check.gaps else {}
        return dict(settings, **given, frames=self.frames.digest(), skipped=self.skipped, **gaps)

    def _about(self, more: Mapping[str, Any]) -> Dict[str, Any]:
        names = [self.frames.name(number) for number in range(len(self.frames))]
        return dict(video=str(self.frames.path), scene=self.name, size=list(self.check.size), rate=self.check.rate,
                    reading=self.reading.values(), frames=names,
                    times={self.frames.name(i): at for i, at in enumerate(self.check.times)}, **more)
