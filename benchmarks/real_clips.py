"""Real video with points that people have marked: reading it, and how well tracks follow them, point by point."""
from __future__ import annotations

import csv
from pathlib import Path
from typing import Callable, Dict, Iterator, List, NamedTuple, Optional, Tuple

import cv2
import numpy as np

from mmrefine.errors import InputError
from mmrefine.evaluation.joints.pck import PCK_SHARE, object_sizes, tally_keypoints
from mmrefine.evaluation.tracks.errors import SURVIVAL_PX, tally_errors
from mmrefine.evaluation.tracks.tapvid import tally_tapvid
from mmrefine.fileio import open_frames, read_badja, read_image
from mmrefine.fileio.digest import digest_of_files

SETS = ('davis', 'flies', 'badja')
SCORES = ('delta', 'ATE', 'survival', 'PCK')  # %, px of the video, %, %
HIGHER = dict(delta=True, ATE=False, survival=True, PCK=True)
WINDOW_FRAMES, WINDOW_STEP = 60, 60  # of the long video of flies
FLIES = 'flies'


class RealClip(NamedTuple):
    """Frames, and where points are in some of them.

    ``video`` is what a tracker is refined on; ``name`` says which part of it this is, which begins with the frame
    ``begin`` of the video. ``frame(t)`` gives ``(H, W, 3)`` uint8 RGB. ``truth`` ``(N, T, 2)`` px of the frames, known
    in the first frame and in some others, else nan. ``objects`` ``(T,)`` px, how large the object is, or None.
    """
    video: str
    name: str
    count: int
    size: Tuple[int, int]
    frame: Callable[[int], np.ndarray]
    truth: np.ndarray
    objects: Optional[np.ndarray]
    digest: str
    begin: int = 0


def read_clips(kind: str, data: Path) -> Iterator[RealClip]:
    """The clips of one of the :data:`SETS` below a folder, which has ``davis/{JPEGImages,Annotations}/480p``,
    ``badja/<sequence>.json``, ``tracks/davis_end_points.csv``, ``tracks/flies.mp4`` and ``tracks/flies_joints.npz``.

    Raises:
        InputError: a file that is missing or of another structure.
    """
    yield from dict(davis=_end_points, badja=_joints, flies=_flies)[kind](data)


def video_frames(video: str, data: Path) -> Tuple[int, Callable[[int], np.ndarray]]:
    """All frames of a video that have any truth around them: how many, and one by one ``(H, W, 3)`` uint8 RGB."""
    if video == FLIES:
        points, first = _flies_points(data)
        source = open_frames(data / 'tracks' / 'flies.mp4')
        return len(points), lambda t: source[first + t]
    files = _pictures(data, video)
    return len(files), lambda t: read_image(files[t])


def shrunk(frame: np.ndarray, size: Tuple[int, int]) -> np.ndarray:
    """A frame resized by area to ``size`` (height, width)."""
    return cv2.resize(frame, size[::-1], interpolation=cv2.INTER_AREA)


def moved_along(points: np.ndarray, size: Tuple[int, int], wanted: Tuple[int, int]) -> np.ndarray:
    """Where points ``(..., 2)`` px of frames of ``size`` (height, width) lie once :func:`shrunk` has brought them to
    another."""
    scale = np.array([wanted[1] / size[1], wanted[0] / size[0]])
    return (points + 0.5) * scale - 0.5


def score_points(pred: np.ndarray, clip: RealClip, size: Tuple[int, int]) -> Dict[str, List[float]]:
    """The :data:`SCORES` of each point over the frames after the first in which it is known.

    ``delta``: % of them within 1, 2, 4, 8 and 16 px on the raster of 256x256 px, mean over the five. ``ATE``: mean
    distance, px of the video. ``survival``: % of the frames from the first known one on before the point is off by more
    than 16 px of the raster. ``PCK``: % within 0.2 times the root of the object's area, where that is known.

    Args:
        pred: ``(N, T, 2)`` px of frames of ``size``.
        clip: what was followed.
        size: (height, width) px.
    """
    pred = moved_along(np.asarray(pred, np.float64), size, clip.size)
    found: Dict[str, List[float]] = {name: [] for name in SCORES if name != 'PCK' or clip.objects is not None}
    for track, truth in zip(pred[:, None], clip.truth[:, None]):
        known = np.isfinite(truth).all(axis=-1)
        later = known & (np.arange(clip.count) > 0)
        query = np.array([[0, *truth[0, 0, ::-1]]])
        near = tally_tapvid(track, later, truth, later, query, clip.size, 'first').scores()
        errors = tally_errors(track, truth, later, clip.size).scores()
        found['delta'].append(near['delta_avg'])
        found['ATE'].append(errors['ATE'])
        found['survival'].append(errors[f'survival@{SURVIVAL_PX:g}'])
        if clip.objects is not None:
            right = tally_keypoints(track[0, :, None], truth[0, :, None], known.T, clip.objects).scores()
            found['PCK'].append(100 * right[f'PCK@{PCK_SHARE:g}'])
    return found


def _end_points(data: Path) -> Iterator[RealClip]:
    """One clip for each sequence: where points are in the first frame and in the last."""
    path = data / 'tracks' / 'davis_end_points.csv'
    ends: Dict[str, List[List[List[float]]]] = {}
    try:
        with open(path, newline='', encoding='utf-8') as file:
            for row in csv.DictReader(file):
                ends.setdefault(row['sequence'], []).append(
                    [[float(row[f'{end}_{axis}']) for axis in 'xy'] for end in ('first', 'last')])
    except (KeyError, OSError, ValueError) as error:
        raise InputError(f'{path}: is not a table of points with the columns sequence, first_x, first_y, last_x and '
                         f'last_y ({type(error).__name__}: {error}); correct --data') from error
    for name, points in ends.items():
        files = _pictures(data, name)
        truth = np.full((len(points), len(files), 2), np.nan)
        truth[:, [0, -1]] = points
        yield _of_files(name, name, files, truth, None, [*files, path])


def _joints(data: Path) -> Iterator[RealClip]:
    """One clip for each sequence with joints, from the first clicked frame to the last."""
    clicked = sorted((data / 'badja').glob('*.json'))
    if not clicked:
        raise InputError(f'{data / "badja"}: has no joints (<sequence>.json); correct --data')
    for path in clicked:
        files = _pictures(data, path.stem)
        masks = {file.stem: data / 'davis' / 'Annotations' / '480p' / path.stem / f'{file.stem}.png' for file in files}
        joints = {t: joint for t, joint in enumerate(map(read_badja(path, read_image(files[0]).shape[:2]).get, masks))
                  if joint is not None}
        begin, end = min(joints), max(joints) + 1
        truth = np.full((len(joints[begin].points), end - begin, 2), np.nan)
        objects = np.zeros(end - begin)
        for t, joint in joints.items():
            truth[joint.visible, t - begin] = joint.points[joint.visible]
            mask = read_image(masks[files[t].stem])[..., 0] > 127
            objects[t - begin] = object_sizes('mask', np.zeros((1, 0, 2)), np.zeros((1, 0), bool), mask[None])[0]
        yield _of_files(path.stem, path.stem, files[begin:end], truth, objects, [*files, path, *masks.values()], begin)


def _flies(data: Path) -> Iterator[RealClip]:
    """Windows of the long video, each with the joints that are seen in its first frame."""
    points, first = _flies_points(data)
    path = data / 'tracks' / 'flies.mp4'
    source = open_frames(path)
    digest, size = digest_of_files([(file.name, file) for file in (path, path.with_name('flies_joints.npz'))]), None
    for begin in range(0, len(points) - WINDOW_FRAMES + 1, WINDOW_STEP):
        size = size or source[first].shape[:2]
        truth = points[begin:begin + WINDOW_FRAMES].transpose(1, 0, 2).astype(np.float64)

        def frame(t: int, begin: int = begin) -> np.ndarray:
            return source[first + begin + t]

        yield RealClip(FLIES, f'{FLIES} {first + begin}', WINDOW_FRAMES, size, frame, _begun(truth), None, digest,
                       begin)


def _flies_points(data: Path) -> Tuple[np.ndarray, int]:
    """Joints ``(T, N, 2)`` px, and the frame of the video in which they begin."""
    path = data / 'tracks' / 'flies_joints.npz'
    try:
        with np.load(path, allow_pickle=False) as file:
            points, first = file['points'], int(file['first_frame'])
    except (KeyError, OSError, ValueError) as error:
        raise InputError(f'{path}: needs the arrays points (T, N, 2) and first_frame ({type(error).__name__}: '
                         f'{error}); correct --data') from error
    if points.ndim != 3 or points.shape[2] != 2:
        raise InputError(f'{path}: points must be (T, N, 2), got {points.shape}; correct --data')
    return points, first


def _pictures(data: Path, name: str) -> List[Path]:
    folder = data / 'davis' / 'JPEGImages' / '480p' / name
    files = sorted(folder.glob('*.jpg'))
    if len(files) < 3:
        raise InputError(f'{folder}: needs 3 or more frames (.jpg), found {len(files)}; correct --data')
    return files


def _of_files(video: str, name: str, files: List[Path], truth: np.ndarray, objects: Optional[np.ndarray],
              decides: List[Path], begin: int = 0) -> RealClip:
    digest = digest_of_files([(f'{path.parent.name}/{path.name}', path) for path in decides])
    return RealClip(video, name, len(files), read_image(files[0]).shape[:2], lambda t: read_image(files[t]),
                    _begun(truth), objects, digest, begin)


def _begun(truth: np.ndarray) -> np.ndarray:
    """Those of the tracks ``(N, T, 2)`` that are known in the first frame and in any later one."""
    known = np.isfinite(truth).all(axis=-1)
    return truth[known[:, 0] & known[:, 1:].any(axis=1)]
