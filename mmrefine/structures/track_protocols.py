"""Which points of true tracks a benchmark asks for, and in which frames it judges them."""
from __future__ import annotations

from typing import Any, Tuple

import numpy as np

from mmrefine.errors import InputError
from mmrefine.values import as_choice, as_count, as_number

QUERY_MODES = ('first', 'strided')
QUERY_STRIDE = 5  # frames
STARTING_FRAMES = 2  # in which a track must be visible to count as occluded later
CROHD_MOTION, CROHD_HEADS = 150., 16  # px of the original frames, heads of a clip


def check_tracks(pred: Any, truth: Any, **masks: Any) -> Tuple[np.ndarray, np.ndarray]:
    """Tracks and their truth in doubles.

    Args:
        pred: ``(N, T, 2)`` px (x, y).
        truth: the same shape.
        masks: by name, bool ``(N, T)`` each.

    Raises:
        InputError: shapes that do not belong together, neither a point nor a frame, or a mask that is not bool.
    """
    pred, truth = np.asarray(pred, np.float64), np.asarray(truth, np.float64)
    shapes = [pred.shape, truth.shape, *map(np.shape, masks.values())]
    if pred.ndim != 3 or shapes != [(*pred.shape[:2], 2)] * 2 + [pred.shape[:2]] * len(masks):
        raise InputError(f'tracks and their truth must be (N, T, 2) and {", ".join(masks)} (N, T), '
                         f'got {", ".join(map(str, shapes))}')
    if not pred.size:
        raise InputError(f'there is no track to judge, or one without frames: the tracks are {pred.shape}')
    for name, mask in masks.items():
        if np.asarray(mask).dtype != bool:
            raise InputError(f'{name} must be bool, got {np.asarray(mask).dtype}; choose a threshold first')
    return pred, truth


def draw_queries(truth: np.ndarray, visible: np.ndarray, query_mode: str,
                 stride: int = QUERY_STRIDE) -> Tuple[np.ndarray, np.ndarray]:
    """The points that a tracker starts from.

    ``'first'``: each track in the first frame in which it is visible. ``'strided'``: in every fifth frame each track
    that is visible there, so a track may be asked for several times.

    Args:
        truth: ``(N, T, 2)`` px (x, y).
        visible: ``(N, T)`` bool.
        query_mode: one of :data:`QUERY_MODES`.
        stride: of the frames, for ``'strided'``.

    Returns:
        queries ``(M, 3)``: frame, y, x; and ``(M,)``, the track that each was drawn from, so that ``truth[tracks]`` is
        what it is judged by. No query where no point is visible.

    Raises:
        InputError: shapes that do not belong together, or no track.
        ConfigError: another mode or stride.
    """
    as_choice('query_mode', query_mode, QUERY_MODES)
    truth, _ = check_tracks(truth, truth, visible=visible)
    visible, stride = np.asarray(visible), as_count('stride', stride)
    if query_mode == 'first':
        tracks = np.flatnonzero(visible.any(axis=1))
        frames = visible.argmax(axis=1)[tracks]
    else:
        frames, tracks = np.nonzero(visible[:, ::stride].T)
        frames = frames * stride
    return np.column_stack([frames, truth[tracks, frames, ::-1]]), tracks


def evaluated_frames(queries: np.ndarray, frames: int, query_mode: str) -> np.ndarray:
    """In which frames each track is judged, bool ``(N, T)``.

    ``'first'``: those after its query. ``'strided'``: all but that of its query.

    Args:
        queries: ``(N, 3)``, frame, y, x.
        frames: T, of the video.
        query_mode: one of :data:`QUERY_MODES`.

    Raises:
        InputError: another shape, or a query outside of the video.
        ConfigError: another mode.
    """
    as_choice('query_mode', query_mode, QUERY_MODES)
    queries = np.asarray(queries, np.float64)
    if queries.ndim != 2 or queries.shape[1] != 3:
        raise InputError(f'queries must be (N, 3), each frame, y and x, got {queries.shape}')
    at = queries[:, :1]
    wrong = at[~((at >= 0) & (at < frames) & (at == np.round(at)))]
    if wrong.size:
        raise InputError(f'a query is in frame {wrong[0]:g}, and the video has the frames 0 to {frames - 1}')
    return np.arange(frames) > at if query_mode == 'first' else np.arange(frames) != at


def crohd_heads(points: Any, present: Any, visible: Any, motion: float = CROHD_MOTION,
                most: int = CROHD_HEADS) -> Tuple[np.ndarray, np.ndarray]:
    """The heads of a clip of CroHD that are scored as visible, and those as occluded: two arrays of numbers.

    Those that are present in all frames and move: their distances from where they began add up to more than ``motion``.
    Visible ones are visible in all frames; occluded ones in the first two, but not in all. The first ``most`` of each.

    Source: ``prep_sample`` of ``test_on_crohd.py`` (aharley/pips), one run for each of the two.

    Args:
        points: ``(N, T, 2)`` px (x, y) of the original frames, the centres of the boxes.
        present: ``(N, T)`` bool, annotated.
        visible: ``(N, T)`` bool.
        motion: px.
        most: heads of each kind.

    Raises:
        InputError: shapes that do not belong together, or no head.
        ConfigError: a negative motion, or no head wanted.
    """
    motion, most = as_number('motion', motion), as_count('most', most)
    points, _ = check_tracks(points, points, present=present, visible=visible)
    moving = np.linalg.norm(points - points[:, :1], axis=-1).sum(axis=1) > motion
    there = np.asarray(present).all(axis=1) & moving
    always, later = track_columns(np.ones(points.shape[:2], bool), np.asarray(visible))
    return np.flatnonzero(there & always)[:most], np.flatnonzero(there & later)[:most]


def track_columns(valid: np.ndarray, visible: np.ndarray) -> Tuple[np.ndarray, np.ndarray]:
    """Tracks ``(N,)`` that are never hidden, and those that are, but not in the first two of their valid frames."""
    hidden = valid & ~visible
    ever = hidden.any(axis=1)
    return ~ever, ever & ~(hidden & (valid.cumsum(axis=1) <= STARTING_FRAMES)).any(axis=1)
