"""Points of a whole video, followed and written as files: arrays, a table, and a video that shows them."""
from __future__ import annotations

import contextlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable, Dict, List, Mapping, Optional, Sequence, Union

import torch
from mmengine.config import Config
from torch import Tensor

import mmrefine
from mmrefine.apis.flow import FOLDER_RATE
from mmrefine.apis.frame_damage import CheckedScenes, check_out, check_scenes, intact_runs
from mmrefine.apis.inference import usable_device
from mmrefine.apis.named_models import open_tracker
from mmrefine.apis.propagators import CONFIDENCE, confidence_of
from mmrefine.apis.result_files import default_out, digests_of, is_as_written, noted_digests, write_result_record
from mmrefine.apis.track_errors import error_notes, error_settings, follow_within, frame_passes
from mmrefine.apis.track_files import TrackFiles, write_track_files
from mmrefine.apis.track_forecast import tell_track_forecast
from mmrefine.apis.track_queries import queries_of_scenes, tell_long_steps
from mmrefine.apis.verifiers import checked_max_error
from mmrefine.engine.runtime.progress import Progress
from mmrefine.errors import InputError, MMRefineError, TeacherError
from mmrefine.fileio.atomic import remove_leftovers
from mmrefine.fileio.codecs.tracks import read_tracks
from mmrefine.fileio.digest import digest_of
from mmrefine.fileio.video.frame_check import FrameCheck
from mmrefine.fileio.video.frames import FrameSource
from mmrefine.fileio.video.reader import open_frames
from mmrefine.fileio.video.reading import Reading
from mmrefine.fileio.video.scenes import Roots, find_scenes
from mmrefine.fileio.video.writer import write_video
from mmrefine.models import ChainedFlow, FrozenTracker
from mmrefine.structures import Tracks, as_frames
from mmrefine.visualization.trails import draw_trails, trail_colors

TRAIL = 12  # frames that a trail is long


@dataclass(frozen=True)
class TrackFolder:
    """The tracks of one scene on disk.

    Args:
        scene: its name.
        folder: holds ``tracks.npz``, ``tracks.csv``, ``tracks.json`` and, unless left out, ``tracks.mp4``.
        tracks: their number.
        frames: of the scene.
        made: whether they were computed now; else they existed.
        video: the video that shows them, or None.
    """
    scene: str
    folder: Path
    tracks: int
    frames: int
    made: bool
    video: Optional[Path]


def tracks_of_video(video: Roots,
                    model: Union[str, Path, Config] = 'pips',
                    checkpoint: Optional[Union[str, Path]] = None,
                    out: Optional[Union[str, Path]] = None,
                    grid: Optional[int] = None,
                    points: Optional[Union[str, Path]] = None,
                    frame: Optional[int] = None,
                    draw: bool = True,
                    skip_corrupt: bool = False,
                    device: Optional[str] = None,
                    log: Callable[[str], None] = print,
                    reading: Optional[Mapping[str, Any]] = None,
                    dry_run: bool = False,
                    steps: Optional[Sequence[Union[int, str]]] = None,
                    judge: Optional[str] = None,
                    max_error: Optional[float] = None) -> List[TrackFolder]:
    """Follow points through each scene of a video; scenes whose files exist as they were written are left alone.

    ``tracks.npz`` has what :func:`~mmrefine.fileio.write_tracks` writes, ``tracks.csv`` a line for each point of each
    frame in which it is followed (track, frame, x and y in px, confidence in [0, 1]), ``tracks.json`` the settings, the
    frames and their times, what the confidence means and, once all is there, the digests of the files. Tracks begin in
    the frame of their query and end with the video, or before a corrupt frame or a gap in the numbers of the frames.
    Frames stream: memory does not grow with the video, but for the tracks.

    Args:
        video: a video file, a folder of frames, or a folder of such folders and files; then each scene has a folder
            below ``out``. Or a list of these.
        model: see :func:`~mmrefine.apis.named_models.open_tracker`.
        checkpoint: see there.
        out: default: ``work_dirs/<name of the video>_tracks``.
        grid: px from one point of a grid to the next; default: that of about 500 points.
        points: a CSV file of points to follow instead, with the columns ``frame``, ``x``, ``y`` and perhaps ``scene``;
            or an ``.npz`` of tracks, whose queries are followed.
        frame: where the points of the grid begin; default: the first frame.
        draw: write the video.
        skip_corrupt: leave out corrupt frames, and scenes that cannot be used; else these are an error.
        device: default: the GPU where there is one.
        log: called with a line.
        reading: which frames are read, and how: values of :class:`~mmrefine.fileio.Reading` by name.
        dry_run: check the frames, list the scenes, write nothing.
        steps, judge: see :func:`~mmrefine.apis.named_models.open_tracker`.
        max_error: px; points are seen only as long as their expected error is at most so many, and the files have that
            error, too: ``error`` in array and table, px. For trackers other than chained flow it takes twice the time.

    Returns:
        one for each scene with points; none after a dry run.

    Raises:
        ConfigError: no such model or device, points and a grid at once, a ``max_error`` that is not above 0, or an
            ``out`` that is a file, lies in the folder of the video, or holds tracks that were made with other settings.
        CheckpointError: weights that are missing, broken, or of another network.
        InputError: a video or points that cannot be used.
        TeacherError: the network gives nan.
        MMRefineError: the files cannot be written.
    """
    device, what, max_error = usable_device(device), Reading.of(reading), checked_max_error(max_error)
    root = Path(out) if out is not None else Path(f'{default_out(video)}_tracks')
    check_out(root, video)
    found = find_scenes(video)
    tracker = FrozenTracker(open_tracker(model, checkpoint, device, steps, judge, max_error)).to(device)
    checked = CheckedScenes(found.scenes, check_scenes(found, root, skip_corrupt, log, what, dry_run), what)
    queries = queries_of_scenes(checked.checks, grid, points, frame, log)
    tell_long_steps(steps, checked.checks, log)
    return follow_queries(checked, queries, tracker, root, device, log, draw, dry_run, max_error=max_error)


def follow_queries(video: CheckedScenes, queries: Mapping[str, Tensor], tracker: FrozenTracker, root: Path,
                   device: str, log: Callable[[str], None], draw: bool, dry_run: bool,
                   run: Optional[Path] = None, max_error: Optional[float] = None) -> List[TrackFolder]:
    """:func:`tracks_of_video` of scenes whose frames were checked.

    Args:
        video: the scenes.
        queries: ``(N, 3)`` (frame, y, x) of each scene that has any.
        tracker: on the device.
        root: folder of results.
        device, log, draw, dry_run: see :func:`tracks_of_video`.
        run: folder of the run that the tracks are a part of, if any. Its record decides whether another version of
            mmrefine may go on, and with other settings it is the folder to delete.
        max_error: see there.

    Returns, Raises: see :func:`tracks_of_video`.
    """
    one = len(video.places) == 1
    files = {name: TrackFiles(root if one else root / name) for name in queries}
    if not any(part.record.is_file() for part in files.values()):
        pairs = tracker.refiner.steps.pairs if isinstance(tracker.refiner, ChainedFlow) else float
        tell_track_forecast(video, queries, follow_within(tracker.refiner, max_error), device, dry_run, log,
                            pairs=pairs)
    if dry_run:
        return []
    follower = _Follower(tracker, device, log, run, max_error)
    return [_tracks_of_scene(name, video, files[name], follower, queries[name], draw) for name in queries]


class _Follower:
    """Runs the tracker along a scene."""

    def __init__(self, tracker: FrozenTracker, device: str, log: Callable[[str], None], run: Optional[Path],
                 max_error: Optional[float] = None) -> None:
        self.tracker, self.device, self.log, self.run, self.max_error = tracker, device, log, run, max_error

    def settings(self) -> Dict[str, Any]:
        """What decides the content of the files, besides frames and queries."""
        version = dict(mmrefine=mmrefine.__version__) if self.run is None else {}
        return dict(version, weights=self.tracker.digest(), tracker=self.tracker.describe(),
                    **error_settings(self.tracker.refiner, self.max_error))

    def notes(self) -> Dict[str, Any]:
        """What confidence and error mean, and which threshold was taken."""
        return dict(confidence=CONFIDENCE[confidence_of(self.tracker.describe(), 'tracks')],
                    **error_notes(self.tracker.refiner, self.max_error))

    def __call__(self, scene: str, frames: FrameSource, check: FrameCheck, queries: Tensor) -> Tracks:
        """The tracks of a scene; nan where there are no frames in a row that lead to where they began.

        Raises:
            TeacherError: points that are not finite.
            InputError: frames that cannot be read, or are too small for the network.
        """
        points = torch.full((len(queries), len(frames), 2), float('nan'))
        visible, follow = torch.zeros(len(queries), len(frames)), follow_within(self.tracker.refiner, self.max_error)
        error = None if self.max_error is None else torch.full_like(visible, float('nan'))
        begins = queries[:, 0]
        runs = [run for run in intact_runs(check) if bool(((begins >= run[0]) & (begins < run[1])).any())]
        ways, done = frame_passes(self.tracker.refiner, self.max_error), 0
        progress = Progress(f'{scene}: tracks through {{}} frames{", there and back" if ways > 1 else ""}',
                            ways * sum(end - first for first, end in runs), self.log)
        for first, end in runs:
            here = (begins >= first) & (begins < end)
            latest = way = 0

            def frame(number: int) -> Tensor:
                nonlocal latest, way
                way = min(way + (number < latest), ways - 1)  # frames of the way back come from the first on again
                latest = number
                progress(done + way * (end - first) + number)
                return as_frames([frames[first + number]], self.device)[0]

            try:
                found = follow(frame, end - first, frames.size, queries[here] - queries.new_tensor([first, 0., 0.]))
            except (TeacherError, InputError) as problem:  # those of the frames name it already
                place = '' if str(frames.path) in str(problem) else f'{frames.path}: '
                raise type(problem)(f'{place}{problem}') from problem
            points[here, first:end], visible[here, first:end] = found.points.cpu(), found.visible.cpu()
            if error is not None and found.error is not None:
                error[here, first:end] = found.error.cpu()
            done += ways * (end - first)
        return Tracks(points, visible, queries, frames.size, error)


def _tracks_of_scene(scene: str, video: CheckedScenes, files: TrackFiles, follower: _Follower, queries: Tensor,
                     draw: bool) -> TrackFolder:
    path, check, reading = video.places[scene], video.checks[scene], video.reading
    skip = {one.name for one in check.corrupt}
    frames = open_frames(path, sorted(skip), reading)
    settings = dict(follower.settings(), points=f'{len(queries)} ({digest_of(queries.tolist())})',
                    frames=frames.digest(), skipped=sorted(skip), **(dict(gaps=list(check.gaps)) if check.gaps else {}))
    record = files.read_record(settings, follower.run)
    begins = record is None
    if record is None:
        record = dict(settings=settings, video=str(path), scene=scene, size=list(frames.size), tracks=len(queries),
                      rate=check.rate, reading=reading.values(), frames=[frames.name(i) for i in range(len(frames))],
                      times={frames.name(i): at for i, at in enumerate(check.times)},
                      **follower.notes(), complete=False)
        write_result_record(files.record, record)
    remove_leftovers(files.folder)
    results = (files.arrays, files.table)
    wrong = [one for one in results if not is_as_written(one, files.folder, noted_digests(record))]
    changed = [one for one in wrong if one.exists()]
    if changed:
        follower.log(f'{scene}: {changed[0]} is not as it was written; the tracks are made again')
    if wrong:
        try:
            tracks = follower(scene, frames, check, queries)
        except MMRefineError:
            if begins:  # so that nothing is left of tracks that cannot be made
                files.record.unlink()
                with contextlib.suppress(OSError):  # holds lists of what is left out
                    files.folder.rmdir()
            raise
        write_track_files(files, tracks)
    if draw and (wrong or not _is_whole(files.video, sum(end - first for first, end in intact_runs(check)))):
        draw_tracks(files, frames, check, (check.rate or FOLDER_RATE) / reading.stride, scene, follower.log)
    if wrong or record.get('complete') is not True:
        write_result_record(files.record, dict(record, complete=True, digests=digests_of(results, files.folder)))
    return TrackFolder(scene, files.folder, len(queries), len(frames), bool(wrong), files.video if draw else None)


def _is_whole(video: Path, frames: int) -> bool:
    """Whether a video is there, can be decoded and has so many frames."""
    try:
        return len(open_frames(video)) == frames
    except InputError:
        return False


def draw_tracks(files: TrackFiles, frames: FrameSource, check: FrameCheck, rate: float, scene: str,
                log: Callable[[str], None]) -> None:
    """Write the video from the arrays, so that it is the same whether all was done in one run or in several."""
    tracks = read_tracks(files.arrays)
    points, visible = tracks.points.numpy(), tracks.visible.numpy()
    colors = trail_colors(tracks.queries[:, [2, 1]].numpy(), tracks.size)
    numbers = [number for first, end in intact_runs(check) for number in range(first, end)]
    progress = Progress(f'{scene}: drawing {{}} frames', len(numbers), log)
    with write_video(files.video, rate) as add:
        for done, number in enumerate(numbers, start=1):
            recent = slice(max(number + 1 - TRAIL, 0), number + 1)
            add(draw_trails(frames[number], points[:, recent], visible[:, recent], colors))
            progress(done)
