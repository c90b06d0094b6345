"""Masks and points of some frames, propagated through a video in memory."""
from __future__ import annotations

from typing import Any, Iterator, Optional, Tuple

import numpy as np

from mmrefine.apis.given_masks import GivenMasks, Masks
from mmrefine.apis.propagators import propagator_of
from mmrefine.apis.track_inference import Frames, Queries, as_queries, frames_for
from mmrefine.errors import TeacherError
from mmrefine.structures import FrameOf, Tracks
from mmrefine.structures.propagation import Propagator


def propagate_masks(frames: Frames,
                    masks: Masks,
                    model: Any,
                    by: Optional[str] = None,
                    memory: Optional[int] = None,
                    most: Optional[int] = None,
                    hard: bool = False) -> np.ndarray:
    """The masks of all frames from those of some, forwards and backwards.

    Args:
        frames: a video file or a folder of frames; or two or more frames, each ``(H, W, 3)`` uint8 RGB or the path of a
            picture, all of one size.
        masks: the mask of frame 0, or masks by the number of their frame: each ``(H, W)`` ids (0 background, 255 void)
            or the path of a picture as :func:`~mmrefine.fileio.read_ids` takes it. A later mask replaces what was
            propagated, except where it is void.
        model: of :func:`~mmrefine.apis.init_model` or :func:`~mmrefine.apis.open_tracker`.
        by: ``'features'``, ``'flow'`` or ``'tracks'``; default: by what the model is.
        memory: by features: a cell looks into the given frame and so many before it; default: 0, the frame before only.
        most: by features: best candidates that get a weight; default: all.
        hard: by features: decide at every frame, instead of labels that stay soft.

    Returns:
        ``(T, H, W)`` uint8, the ids of the objects as they were given.

    Raises:
        ConfigError: a way that the model cannot go, or settings of another way.
        InputError: anything but such frames or masks, a mask of another size, or of a frame that is not in the video.
        TeacherError: the network gives nan.
    """
    propagator, given = propagator_of(model, by, memory, most, hard), GivenMasks(masks)
    frame, count, size = frames_for(frames, model)
    given.check('the video', size, count)
    found = np.zeros((count, *size), np.uint8)
    for number, ids in masks_along(propagator, given, frame, count):
        found[number] = ids
    return found


def propagate_points(frames: Frames,
                     queries: Queries,
                     model: Any,
                     by: Optional[str] = None,
                     memory: Optional[int] = None,
                     most: Optional[int] = None,
                     hard: bool = False) -> Tracks:
    """The points of all frames from those of some, forwards and backwards.

    Args:
        queries: ``(N, 3)``: frame (from 0), y and x in px, pixel centres at integers; each point may begin in a frame
            of its own.
        frames, model, by, memory, most, hard: see :func:`propagate_masks`.

    Returns:
        points ``(N, T, 2)`` px (x, y) and how surely each is seen, ``(N, T)`` in [0, 1], in all frames, on the CPU.

    Raises:
        ConfigError: as of :func:`propagate_masks`.
        InputError: anything but such frames or queries, or a query that is not in the video.
        TeacherError: the network gives nan.
    """
    propagator, asked = propagator_of(model, by, memory, most, hard), as_queries(queries)
    frame, count, size = frames_for(frames, model)
    return points_along(propagator, asked, frame, count, size)


def masks_along(propagator: Propagator, given: GivenMasks, frame: FrameOf, count: int,
                first: int = 0) -> Iterator[Tuple[int, np.ndarray]]:
    """Ids ``(H, W)`` uint8 of frames in the order of :meth:`~mmrefine.structures.Propagator.propagate`.

    Args:
        propagator: goes the way.
        given: all masks; those of other frames are not used.
        frame: gives frame t of ``count``.
        count: frames in a row.
        first: the number in ``given`` of the first of them.

    Raises:
        InputError: see there.
        TeacherError: labels that are not finite.
    """
    maps = {number - first: labels for number, labels in given.maps().items() if first <= number < first + count}
    for number, labels in propagator.propagate(frame, count, maps):
        if not bool(labels.isfinite().all()):
            raise TeacherError(f'the labels of frame {first + number} are not finite; check that the checkpoint '
                               'belongs to the network')
        yield number, given.ids_of(labels)


def points_along(propagator: Propagator, queries: Any, frame: FrameOf, count: int, size: Tuple[int, int]) -> Tracks:
    """:meth:`~mmrefine.structures.Propagator.follow`, on the CPU.

    Raises:
        InputError: see there.
        TeacherError: points that are not finite.
    """
    found = propagator.follow(frame, count, size, queries)
    if not bool(found.points.isfinite().all() and found.visible.isfinite().all()):
        raise TeacherError('points are not finite; check that the checkpoint belongs to the network')
    return Tracks(found.points.cpu(), found.visible.cpu(), found.queries.cpu(), found.size)
