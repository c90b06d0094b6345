"""Which tracks may become labels: those that come back, keep their looks, are seen, stay in the frame, and move.

A filter decides over each track as a whole; a track is kept if all filters keep it.
"""
from __future__ import annotations

from typing import Any, Dict, Optional, Tuple

import torch
from torch import Tensor

from mmrefine.errors import ConfigError
from mmrefine.geometry import color_change, patch_mismatch, points_inside, track_speed
from mmrefine.registry import FILTERS
from mmrefine.structures import TrackLook
from mmrefine.values import as_count, as_number, brief, is_number


@FILTERS.register_module()
class TrackCycleFilter:
    """Keep what comes back: tracks whose ways there and back are less than a tolerance apart in every frame.

    ``| P_t - Q_t | < threshold`` for all t. Source: Refine (Sun et al. 2024), 1.5 px for CroHD at 768x1280 and 3 px for
    Horse30 at 256x448.

    Args:
        threshold: px of the frames; None with ``speed_bins``.
        speed_bins: a threshold for each bin of :func:`~mmrefine.geometry.track_speed` instead of one:
            ``dict(edges=(1, 2, 4.5), thresholds=(0.3, 0.5, 0.75, 6))``. Edges in px a frame, rising; bin ``b`` is
            ``edges[b - 1] <= speed < edges[b]``, the first begins at 0 and the last is open. Thresholds in px, one more
            than edges.

    Raises:
        ConfigError: both or neither of them, a negative threshold, or bins that are invalid.
    """

    needs_back = True

    def __init__(self, threshold: Optional[float] = None, speed_bins: Optional[Dict[str, Any]] = None) -> None:
        if (threshold is None) == (speed_bins is None):
            raise ConfigError('TrackCycleFilter takes either a threshold in px or speed_bins, got '
                              f'threshold={brief(threshold)} and speed_bins={brief(speed_bins)}')
        if speed_bins is None:
            self.edges: Tuple[float, ...] = ()
            self.tolerances: Tuple[float, ...] = (as_number('TrackCycleFilter.threshold', threshold), )
        else:
            self.edges, self.tolerances = _bins('TrackCycleFilter.speed_bins', speed_bins)

    def __call__(self, look: TrackLook) -> Tensor:
        """Which tracks are kept: bool ``(N,)``."""
        errors = look.cycle_errors.amax(dim=1)  # nan stays nan, and is not less
        bins = torch.bucketize(track_speed(look.there), errors.new_tensor(self.edges), right=True)
        return errors < errors.new_tensor(self.tolerances)[bins]


@FILTERS.register_module()
class TrackColorFilter:
    """Keep what still looks the same: tracks whose colour changes by less than ``threshold``.

    :func:`~mmrefine.geometry.color_change`, a mean over the frames. A track that leaves the frame is not kept. The code
    of Refine (Sun et al. 2024) holds such a test with a threshold of 5, and does not use it.

    Args:
        threshold: L2 distance over RGB, grey levels of 255.

    Raises:
        ConfigError: a negative threshold.
    """

    def __init__(self, threshold: float = 5.) -> None:
        self.tolerance = as_number('TrackColorFilter.threshold', threshold)

    def __call__(self, look: TrackLook) -> Tensor:
        """Which tracks are kept: bool ``(N,)``."""
        return color_change(look.frames, look.there) < self.tolerance


@FILTERS.register_module()
class TrackPatchFilter:
    """Keep what still has the same surroundings: tracks whose :func:`~mmrefine.geometry.patch_mismatch` to the first
    frame is at most ``threshold`` wherever they are seen. It is blind to gain and offset of the brightness. A flat
    patch is no evidence, so its track is not kept. Ours, not the paper's.

    Args:
        threshold: in [0, 2]: 0 is the same picture, 1 an unrelated one.
        radius: of the patch, which has ``2 radius + 1`` px on a side.
        seen: visibility in [0, 1] from which on a point must look the same; 0: always.

    Raises:
        ConfigError: a value out of range.
    """

    def __init__(self, threshold: float = 0.5, radius: int = 3, seen: float = 0.5) -> None:
        self.tolerance = as_number('TrackPatchFilter.threshold', threshold, '[0, 2]')
        self.radius = as_count('TrackPatchFilter.radius', radius)
        self.seen = as_number('TrackPatchFilter.seen', seen, '[0, 1]')

    def __call__(self, look: TrackLook) -> Tensor:
        """Which tracks are kept: bool ``(N,)``."""
        unlike = patch_mismatch(look.frames, look.there, self.radius)
        return ((unlike <= self.tolerance) | (look.visible < self.seen)).all(dim=1)


@FILTERS.register_module()
class TrackVisibilityFilter:
    """Keep what is seen all the time: tracks seen with at least ``least`` in every frame. Ours, not the paper's.

    Args:
        least: how surely, in [0, 1].

    Raises:
        ConfigError: a value out of range.
    """

    def __init__(self, least: float = 0.5) -> None:
        self.least = as_number('TrackVisibilityFilter.least', least, '[0, 1]')

    def __call__(self, look: TrackLook) -> Tensor:
        """Which tracks are kept: bool ``(N,)``."""
        return (look.visible >= self.least).all(dim=1)


@FILTERS.register_module()
class TrackInsideFilter:
    """Keep what stays in view: tracks that lie between the outermost pixel centres in every frame."""

    def __call__(self, look: TrackLook) -> Tensor:
        """Which tracks are kept: bool ``(N,)``."""
        return points_inside(look.there, (look.frames.shape[-2], look.frames.shape[-1])).all(dim=1)


@FILTERS.register_module()
class TrackSpeedFilter:
    """Keep what moves: tracks whose :func:`~mmrefine.geometry.track_speed` is above ``least``.

    Tracks that stand still are many, easy and teach little. Source: the re-balancing of Refine (Sun et al. 2024) for
    Horse30.

    Args:
        least: px a frame, of the frames that are labelled; the reference's, at 256x448.

    Raises:
        ConfigError: a negative speed.
    """

    def __init__(self, least: float = 5.) -> None:
        self.least = as_number('TrackSpeedFilter.least', least)

    def __call__(self, look: TrackLook) -> Tensor:
        """Which tracks are kept: bool ``(N,)``."""
        return track_speed(look.there) > self.least


def _bins(name: str, bins: Dict[str, Any]) -> Tuple[Tuple[float, ...], Tuple[float, ...]]:
    """Edges and thresholds of bins of speed, checked."""
    if set(bins) != {'edges', 'thresholds'}:
        raise ConfigError(f'{name} must be dict(edges=…, thresholds=…), got {brief(bins)}')
    for key, value in bins.items():
        if not isinstance(value, (list, tuple)) or not all(map(is_number, value)):
            raise ConfigError(f'{name}.{key} must be a list of numbers, got {brief(value)}')
    edges = tuple(as_number(f'{name}.edges', edge, '(0, inf)') for edge in bins['edges'])
    thresholds = tuple(as_number(f'{name}.thresholds', one) for one in bins['thresholds'])
    if not all(low < high for low, high in zip(edges, edges[1:])):
        raise ConfigError(f'{name}.edges must be rising speeds in px a frame, got {brief(bins["edges"])}')
    if len(thresholds) != len(edges) + 1:
        raise ConfigError(f'{name}.thresholds must be {len(edges) + 1} numbers, one for each bin, got '
                          f'{brief(bins["thresholds"])}')
    return edges, thresholds
