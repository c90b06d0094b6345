"""What all scores of tracks share: one number of each video, the mean over videos, and the checks of what comes in."""
from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Dict, Mapping, Tuple

import numpy as np

from mmrefine.errors import InputError, MMRefineError
from mmrefine.structures.figures import Figure


@dataclass(frozen=True)
class TrackTally:
    """What one or many videos add to figures that are plain means over videos, as TAP-Vid, PIPs and PIPs++ report them.

    Neither a long video nor one of many points weighs more than another. For each figure: the sum over the videos, and
    how many videos it is known of.
    """
    figures: Tuple[Figure, ...] = ()
    sums: Tuple[float, ...] = ()
    videos: Tuple[int, ...] = ()

    @classmethod
    def of_video(cls, figures: Tuple[Figure, ...], scores: Mapping[str, float]) -> TrackTally:
        """Of one video.

        Args:
            figures: of the tally.
            scores: by name of the figure; nan where the video says nothing about it.
        """
        found = [float(scores[figure.name]) for figure in figures]
        return cls(figures, tuple(0. if math.isnan(value) else value for value in found),
                   tuple(int(not math.isnan(value)) for value in found))

    @property
    def size(self) -> int:
        """Videos that the headline figure is known of."""
        return next((count for figure, count in zip(self.figures, self.videos) if figure.headline), 0)

    def __add__(self, other: TrackTally) -> TrackTally:
        if not self.figures or not other.figures:
            return self if self.figures else other
        if self.figures != other.figures:
            mine, theirs = (', '.join(figure.name for figure in one.figures) for one in (self, other))
            raise ValueError(f'the scores {mine} cannot be added to {theirs}')
        return TrackTally(self.figures, tuple(a + b for a, b in zip(self.sums, other.sums)),
                          tuple(a + b for a, b in zip(self.videos, other.videos)))

    def scores(self) -> Dict[str, float]:
        """Mean over videos of each figure; figures that no video says anything about are left out."""
        return {figure.name: total / count for figure, total, count in zip(self.figures, self.sums, self.videos)
                if count}


def check_judged(pred: np.ndarray, truth: np.ndarray) -> None:
    """Refuse positions that cannot be compared: a comparison with nan is false, so it would hide in a score.

    Args:
        pred: ``(K, 2)``, those that are judged.
        truth: ``(L, 2)``, those that they are judged by.

    Raises:
        MMRefineError: a prediction that is not finite.
        InputError: a truth that is not.
    """
    if lost := _not_finite(pred):
        raise MMRefineError(f'{lost} of {len(pred)} predicted positions that are to be judged are not finite; lower '
                            'the learning rate if the network has diverged, or leave out frames in which it does not '
                            'follow the points')
    if lost := _not_finite(truth):
        raise InputError(f'{lost} of {len(truth)} true positions that are needed are not finite; correct them, or mark '
                         'them as not visible or not valid')


def _not_finite(points: np.ndarray) -> int:
    return int((~np.isfinite(points)).any(axis=-1).sum())
