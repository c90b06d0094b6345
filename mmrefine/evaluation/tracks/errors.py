"""Errors of tracks in px, and how long a track lasts, as PIPs, PIPs++ and Refine report them."""
from __future__ import annotations

from typing import Any, Optional, Tuple

import numpy as np

from mmrefine.evaluation.tracks.tally import TrackTally, check_judged
from mmrefine.evaluation.tracks.tapvid import raster_distances
from mmrefine.structures.figures import Figure
from mmrefine.structures.track_protocols import check_tracks, track_columns
from mmrefine.values import as_number

SURVIVAL_PX = 16.  # of the raster of 256x256 px; in the code of PIPs++


def error_figures(survival_px: float = SURVIVAL_PX) -> Tuple[Figure, ...]:
    """The figures of :func:`tally_errors`."""
    return (
        Figure('ATE', 'px', 'lower', headline=True, table='main'),
        Figure('ATE_vis', 'px', 'lower', title='ATE, visible tracks', table='main'),
        Figure('ATE_occ', 'px', 'lower', title='ATE, occluded tracks', table='main'),
        Figure('MTE', 'px', 'lower', title='median error, 256x256 px'),
        Figure(f'survival@{survival_px:g}', '%', 'higher', title=f'survival, {survival_px:g} px'),
    )


def tally_errors(pred: Any, truth: Any, valid: Any, size: Tuple[int, int], visible: Optional[Any] = None,
                 survival_px: float = SURVIVAL_PX) -> TrackTally:
    """Score one video or clip.

    ``ATE``: mean distance over all valid points. ``ATE_vis`` and ``ATE_occ``: the same, over tracks that are always
    visible, and over those that are visible in their first two valid frames, but not always; the columns of
    ``test_on_crohd.py`` (aharley/pips). ``MTE``: of each track the median distance, mean over the tracks.
    ``survival@<px>``: share of the frames, from a track's first valid one on, before the first valid one in which it is
    farther off than that, mean over tracks and frames. The last two on the raster of 256x256 px, as in
    ``test_on_pod.py`` (aharley/pips2), which also counts the frame of the query.

    Args:
        pred: ``(N, T, 2)`` px (x, y) at the size that is scored; anything where not valid.
        truth: the same shape.
        valid: ``(N, T)`` bool, where the truth is known and the track has begun. Give ``valid & visible`` to leave out
            occluded points instead of tracks.
        size: (height, width) of the frames, px.
        visible: ``(N, T)`` bool; None: nothing is said of ``ATE_vis`` and ``ATE_occ``.
        survival_px: px of the raster, not negative.

    Returns:
        the tally; it says nothing of a figure that has no track.

    Raises:
        InputError: shapes that do not belong together, no track, or a truth that is not finite where valid.
        MMRefineError: a prediction that is not finite where valid.
        ConfigError: no size, or a negative distance.
    """
    survival_px = as_number('survival_px', survival_px)
    pred, truth = check_tracks(pred, truth, valid=valid, **({} if visible is None else {'visible': visible}))
    valid = np.asarray(valid)
    check_judged(pred[valid], truth[valid])
    off, raster = np.full(valid.shape, np.nan), np.full(valid.shape, np.nan)
    off[valid] = np.linalg.norm(pred[valid] - truth[valid], axis=-1)
    raster[valid] = raster_distances(pred[valid], truth[valid], size)
    always, later = np.zeros((2, len(pred)), bool) if visible is None else track_columns(valid, np.asarray(visible))
    begun = np.logical_or.accumulate(valid, axis=1)
    alive = ~np.logical_or.accumulate(raster > survival_px, axis=1)
    figures = error_figures(survival_px)
    values = (_mean(off[valid]), _mean(off[always][valid[always]]), _mean(off[later][valid[later]]),
              _mean(np.array([np.median(row[known]) for row, known in zip(raster, valid) if known.any()])),
              100 * _mean(alive[begun]))
    return TrackTally.of_video(figures, {figure.name: value for figure, value in zip(figures, values)})


def _mean(values: np.ndarray) -> float:
    """nan of nothing, without a warning."""
    return float(values.mean()) if values.size else float('nan')
