"""Follow points through a video, label a clip with tracks."""
from __future__ import annotations

from pathlib import Path
from typing import Any, Dict, Mapping, Optional, Sequence, Tuple, Union

import numpy as np
import torch
from torch import Tensor

from mmrefine.apis.inference import Image, checked_frame
from mmrefine.apis.track_errors import follow_within
from mmrefine.apis.track_queries import grid_queries
from mmrefine.apis.verifiers import checked_max_error
from mmrefine.errors import ConfigError, InputError
from mmrefine.fileio.video.frames import FrameSource
from mmrefine.fileio.video.reader import open_frames
from mmrefine.labeling import TrackLabeler
from mmrefine.registry import LABELERS
from mmrefine.structures import (FrameOf, LabelBatch, LabelUnit, StreamTracker, TrackEstimator, Tracks, as_frames,
                                 label_key)

# the same as configs/_base_/labelers/tracks.py; a test compares them
DEFAULT_TRACK_LABELER: Dict[str, Any] = dict(
    type='TrackLabeler',
    view=dict(type='ArbitratedTracks', scales=(1., 2.)),
    queries=dict(type='TextureQueries', count=512),
    filters=[dict(type='TrackCycleFilter', threshold=1.5), dict(type='TrackInsideFilter')])

Frames = Union[str, Path, np.ndarray, Sequence[Image]]
Queries = Union[Tensor, np.ndarray, Sequence[Sequence[float]]]


def track_video(model: StreamTracker, frames: Frames, queries: Optional[Queries] = None,
                max_error: Optional[float] = None) -> Tracks:
    """Points of a video, followed from where they are given to its end.

    Frames are read one after the other, so memory does not grow with the video, but for the tracks.

    Args:
        model: of :func:`~mmrefine.apis.open_tracker`, or of :func:`~mmrefine.apis.init_model` if its config follows
            points.
        frames: a video file or a folder of frames; or two or more frames, each ``(H, W, 3)`` uint8 RGB (OpenCV reads
            BGR: turn it round) or the path of a picture, all of one size.
        queries: ``(N, 3)``: frame (from 0), y and x in px, pixel centres at integers. Default: a grid of about 500
            points in the first frame.
        max_error: px; points are seen (``visible`` above 0) only as long as their expected error is at most so many,
            and ``error`` ``(N, T)`` px holds it. Trackers other than chained flow take twice the time. Default: nobody
            asks, ``error`` is None.

    Returns:
        points ``(N, T, 2)`` px (x, y), nan before the frame of the query, and how surely each is seen, ``(N, T)`` in
        [0, 1], on the CPU. Of PIPs that is what the network says; of chained flow 1 as long as each step came back,
        then 0.

    Raises:
        ConfigError: a model that follows no points, or knows no errors where they are asked for; a ``max_error`` that
            is not above 0.
        InputError: anything but such frames or queries, or a query that is not in the video.
        TeacherError: points that are not finite.
    """
    if not isinstance(model, StreamTracker):
        raise ConfigError(f'track_video: {type(model).__name__} follows no points; open the model with open_tracker() '
                          'of mmrefine.apis, which takes networks of flow, too')
    follow = follow_within(model, checked_max_error(max_error))
    frame, count, size = frames_for(frames, model)
    found = follow(frame, count, size, grid_queries(size) if queries is None else as_queries(queries))
    return Tracks(found.points.cpu(), found.visible.cpu(), found.queries.cpu(), found.size,
                  None if found.error is None else found.error.cpu())


def frames_for(frames: Frames, model: Any) -> Tuple[FrameOf, int, Tuple[int, int]]:
    """The frames of a video as a network asks for them one by one, on its device; their number and (height, width).

    Args:
        frames: see :func:`track_video`.
        model: the network.

    Raises:
        InputError: anything but such frames.
    """
    source: Any = open_frames(frames) if isinstance(frames, (str, Path)) else frames
    if isinstance(source, FrameSource):
        size = source.size
    else:
        _check_count(source)
        height, width = checked_frame(source[0], 'frames[0]').shape[:2]
        size = (height, width)
    device = _device_of(model)

    def frame(number: int) -> Tensor:
        picture = source[number] if isinstance(source, FrameSource) else _sized(source[number], number, size)
        return as_frames([picture], device)[0]

    return frame, len(source), size


def as_queries(queries: Queries) -> Tensor:
    """Queries ``(N, 3)`` float32.

    Raises:
        InputError: they are no numbers.
    """
    try:
        return torch.as_tensor(queries, dtype=torch.float32)
    except (TypeError, ValueError) as error:
        raise InputError(f'queries must be (N, 3), each frame, y and x, got {type(queries).__name__} '
                         f'({error})') from error


def label_clip(model: TrackEstimator, frames: Sequence[Image],
               labeler: Optional[Union[Mapping[str, Any], TrackLabeler]] = None, scene: str = 'clip',
               first: int = 0) -> Tracks:
    """The label of a clip, the tracks that can be trusted: stage 1 on one clip.

    Args:
        model: the teacher, of :func:`~mmrefine.apis.open_tracker` or :func:`~mmrefine.apis.init_model`.
        frames: two or more, each ``(H, W, 3)`` uint8 RGB or the path of a picture, all of one size.
        labeler: a labeler or its config; default: corners, followed there and back in two passes, at 1x and 2x; kept
            if they come back and stay in the frame (:data:`DEFAULT_TRACK_LABELER`).
        scene: name of the scene; only for labelers whose queries are points of interest.
        first: number of the first frame in it, likewise.

    Returns:
        the tracks that are kept, from the first frame to the last, on the CPU.

    Raises:
        ConfigError: a model that follows no points, or a labeler of flow.
        InputError: anything but frames of one size.
        TeacherError: points that are nan or infinite.
    """
    if not isinstance(model, TrackEstimator):
        raise ConfigError(f'label_clip: {type(model).__name__} follows no points; open the model with open_tracker() '
                          'of mmrefine.apis, which takes networks of flow, too')
    config = DEFAULT_TRACK_LABELER if labeler is None else labeler
    part: Any = LABELERS.build(config) if isinstance(config, Mapping) else config
    if not isinstance(part, TrackLabeler):
        raise ConfigError(f'label_clip: labeler must be a TrackLabeler or its config, got {type(part).__name__}; '
                          'label_pair() takes labelers of flow')
    _check_count(frames)
    size = checked_frame(frames[0], 'frames[0]').shape[:2]
    pictures = {first + i: _sized(frame, i, size) for i, frame in enumerate(frames)}
    names = {number: f'frame_{number:06d}' for number in pictures}
    key = label_key(scene, names[first], names[first + len(pictures) - 1], 1)
    unit = LabelUnit(key, scene, tuple(pictures), tuple(names.values()))
    found, = part.label(model, LabelBatch([unit], [pictures], [names], _device_of(model)))
    label: Tracks = found.label
    return label


def _device_of(model: Any) -> str:
    return str(next(model.parameters()).device) if isinstance(model, torch.nn.Module) else 'cpu'


def _check_count(frames: Any) -> None:
    count = len(frames) if isinstance(frames, (list, tuple, np.ndarray)) else 0
    if count < 2:
        got = f'{count} of them' if count or isinstance(frames, (list, tuple)) else type(frames).__name__
        raise InputError(f'frames must be a list of at least 2 frames, got {got}')


def _sized(frame: Any, number: int, size: Sequence[int]) -> np.ndarray:
    picture = checked_frame(frame, f'frames[{number}]')
    if picture.shape[:2] != tuple(size):
        raise InputError(f'frames[{number}] and frames[0] must have one size, got {picture.shape[:2]} and '
                         f'{tuple(size)} (height, width)')
    return picture
