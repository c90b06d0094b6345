"""The scores of TAP-Vid (Doersch et al. 2022): where points are, and whether they are seen."""
from __future__ import annotations

from statistics import fmean
from typing import Any, Dict, Tuple

import numpy as np

from mmrefine.errors import InputError
from mmrefine.evaluation.tracks.tally import TrackTally, check_judged, check_tracks
from mmrefine.structures.figures import Figure
from mmrefine.values import as_choice, as_count, as_size

RASTER = 256  # px, the sides of the square that every frame is thought to be scaled to
THRESHOLDS = (1, 2, 4, 8, 16)  # px of the raster
QUERY_MODES = ('first', 'strided')
QUERY_STRIDE = 5  # frames

TAPVID_FIGURES = (
    # AJ and OA also judge the visibility, which refinement does not train
    Figure('delta_avg', '%', 'higher', headline=True, title='within 1 to 16 px, mean', table='main'),
    Figure('AJ', '%', 'higher', title='average Jaccard', table='main'),
    Figure('OA', '%', 'higher', title='occlusion accuracy', table='main'),
    *(Figure(f'delta_{px}', '%', 'higher', title=f'within {px} px') for px in THRESHOLDS),
    *(Figure(f'Jaccard_{px}', '%', 'higher', title=f'Jaccard at {px} px') for px in THRESHOLDS),
)


def to_raster(points: np.ndarray, size: Tuple[int, int]) -> np.ndarray:
    """Positions on TAP-Vid's raster of 256x256 px, ``(p + 0.5) * 256 / side``.

    TAP-Vid's files hold fractions of the frame, 0 and 1 at its edges: ``p = fraction * side - 0.5`` here, where pixel
    centres are at integers, and ``fraction * 256`` on the raster, where they are at halves.

    Args:
        points: ``(..., 2)`` px (x, y).
        size: (height, width) of the frames, px.

    Raises:
        ConfigError: no such size.
    """
    return (np.asarray(points, np.float64) + 0.5) * RASTER / np.array(as_size('size', size)[::-1])


def raster_distances(pred: np.ndarray, truth: np.ndarray, size: Tuple[int, int]) -> np.ndarray:
    """Distances ``(...)`` of points ``(..., 2)`` px, in px of TAP-Vid's raster; see :func:`to_raster`.

    The half pixel cancels. Scaling the difference keeps whole distances exact, so that thresholds are strict.
    """
    return np.linalg.norm((pred - truth) * RASTER / np.array(as_size('size', size)[::-1]), axis=-1)


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


def tally_tapvid(pred: Any, pred_visible: Any, truth: Any, visible: Any, queries: Any, size: Tuple[int, int],
                 query_mode: str) -> TrackTally:
    """Score one video.

    Of the judged frames (:func:`evaluated_frames`), with distances on the raster, strictly below k = 1, 2, 4, 8, 16 px:
    ``delta_<k>`` is the share of truly visible points that are within k, whether or not they are said to be visible;
    ``Jaccard_<k>`` is ``TP / (visible + FP)``, TP visible, said so and within k, FP said to be visible, but not visible
    or not within k; ``OA`` is the share of points whose visibility is said rightly; ``delta_avg`` and ``AJ`` are means
    over k. As ``compute_tapvid_metrics`` of google-deepmind/tapnet does, here in %.

    Args:
        pred: ``(N, T, 2)`` px (x, y); anything in frames that are not judged.
        pred_visible: ``(N, T)`` bool.
        truth: ``(N, T, 2)`` px; anything where not visible.
        visible: ``(N, T)`` bool.
        queries: ``(N, 3)``, frame, y, x; the frame alone counts here.
        size: (height, width) of the frames, px.
        query_mode: one of :data:`QUERY_MODES`.

    Returns:
        the tally; it says nothing of a figure whose denominator is 0.

    Raises:
        InputError: shapes that do not belong together, no track, a query outside of the video, or a truth that is not
            finite where it is needed.
        MMRefineError: a prediction that is not finite in a judged frame.
        ConfigError: another mode, or no size.
    """
    pred, truth = check_tracks(pred, truth, pred_visible=pred_visible, visible=visible)
    judged = evaluated_frames(queries, pred.shape[1], query_mode)
    if len(judged) != len(pred):
        raise InputError(f'each track needs a query, got {len(pred)} tracks and {len(judged)} queries')
    pred, truth = pred[judged], truth[judged]
    said, seen = np.asarray(pred_visible)[judged], np.asarray(visible)[judged]
    check_judged(pred, truth[seen])
    off = np.full(len(pred), np.inf)
    off[seen] = raster_distances(pred[seen], truth[seen], size)
    found: Dict[str, float] = {'OA': _percent((said == seen).sum(), len(said))}
    for px in THRESHOLDS:
        near = off < px
        found[f'delta_{px}'] = _percent(near.sum(), seen.sum())
        found[f'Jaccard_{px}'] = _percent((near & said).sum(), seen.sum() + (said & ~near).sum())
    for mean, name in (('delta_avg', 'delta'), ('AJ', 'Jaccard')):
        found[mean] = fmean(found[f'{name}_{px}'] for px in THRESHOLDS)
    return TrackTally.of_video(TAPVID_FIGURES, found)


def _percent(part: int, whole: int) -> float:
    return 100 * int(part) / int(whole) if whole else float('nan')
