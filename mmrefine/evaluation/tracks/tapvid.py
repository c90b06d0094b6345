"""The scores of TAP-Vid (Doersch et al. 2022): where points are, and whether they are seen."""
from __future__ import annotations

from statistics import fmean
from typing import Any, Dict, Tuple

import numpy as np

from mmrefine.errors import InputError
from mmrefine.evaluation.tracks.tally import TrackTally, check_judged
from mmrefine.structures.figures import Figure
from mmrefine.structures.track_protocols import check_tracks, evaluated_frames
from mmrefine.values import as_size

RASTER = 256  # px, the sides of the square that every frame is thought to be scaled to
THRESHOLDS = (1, 2, 4, 8, 16)  # px of the raster

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


def tally_tapvid(pred: Any, pred_visible: Any, truth: Any, visible: Any, queries: Any, size: Tuple[int, int],
                 query_mode: str) -> TrackTally:
    """Score one video.

    Of the judged frames (:func:`~mmrefine.structures.evaluated_frames`), with distances on the raster, strictly below
    k = 1, 2, 4, 8, 16 px: ``delta_<k>`` is the share of truly visible points that are within k, whether or not they are
    said to be visible; ``Jaccard_<k>`` is ``TP / (visible + FP)``, TP visible, said so and within k, FP said to be
    visible, but not visible or not within k; ``OA`` is the share of points whose visibility is said rightly;
    ``delta_avg`` and ``AJ`` are means over k. As ``compute_tapvid_metrics`` of google-deepmind/tapnet does, here in %.

    Args:
        pred: ``(N, T, 2)`` px (x, y); anything in frames that are not judged.
        pred_visible: ``(N, T)`` bool.
        truth: ``(N, T, 2)`` px; anything where not visible.
        visible: ``(N, T)`` bool.
        queries: ``(N, 3)``, frame, y, x; the frame alone counts here.
        size: (height, width) of the frames, px.
        query_mode: one of :data:`~mmrefine.structures.track_protocols.QUERY_MODES`.

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
