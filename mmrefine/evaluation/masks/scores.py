"""How well masks that were propagated through a video match the drawn ones: J and F of DAVIS."""
from __future__ import annotations

from dataclasses import astuple, dataclass
from typing import ClassVar, Dict, Sequence, Tuple

import cv2
import numpy as np

from mmrefine.evaluation.tallies import Sums
from mmrefine.geometry.label_maps import VOID
from mmrefine.structures.figures import Figure

BOUNDARY_SHARE = 0.008


def jaccard(pred: np.ndarray, target: np.ndarray) -> float:
    """J: ``|A and B| / |A or B|`` of two masks ``(H, W)`` bool, in [0, 1]; 1 if both are empty."""
    pred, target = _pair(pred, target)
    union = int((pred | target).sum())
    return int((pred & target).sum()) / union if union else 1.


def boundary_f(pred: np.ndarray, target: np.ndarray, tolerance: float = BOUNDARY_SHARE) -> float:
    """F: harmonic mean of the shares of each mask's boundary that lie near the other's.

    As in the official evaluation, near means within a disk of ``ceil(tolerance * diagonal)`` px (8 px at 480p), without
    matching boundary pixels one to one.

    Args:
        pred: ``(H, W)`` bool.
        target: ``(H, W)`` bool.
        tolerance: radius as a share of the diagonal.

    Returns:
        F in [0, 1]; 1 if both have no boundary, 0 if only one has.
    """
    pred, target = _pair(pred, target)
    edge, wanted = _boundary(pred), _boundary(target)
    if not edge.any() or not wanted.any():
        return float(not edge.any() and not wanted.any())
    radius = int(np.ceil(tolerance * np.hypot(*pred.shape)))
    y, x = np.mgrid[-radius:radius + 1, -radius:radius + 1]
    disk = (x**2 + y**2 <= radius**2).astype(np.uint8)
    precision = edge[cv2.dilate(wanted.astype(np.uint8), disk) > 0].sum() / edge.sum()
    recall = wanted[cv2.dilate(edge.astype(np.uint8), disk) > 0].sum() / wanted.sum()
    total = precision + recall
    return float(2 * precision * recall / total) if total else 0.


def _boundary(mask: np.ndarray) -> np.ndarray:
    """Pixels that differ from the one to the right, below, or diagonally below; the border repeats."""
    padded = np.pad(mask, ((0, 1), (0, 1)), mode='edge')
    return (mask ^ padded[:-1, 1:]) | (mask ^ padded[1:, :-1]) | (mask ^ padded[1:, 1:])


def _pair(pred: np.ndarray, target: np.ndarray) -> Sequence[np.ndarray]:
    if pred.shape != target.shape or pred.ndim != 2:
        raise ValueError(f'two masks must have the same shape (H, W), got {pred.shape} and {target.shape}')
    return pred.astype(bool), target.astype(bool)


def summarise(per_frame: Sequence[float]) -> Dict[str, float]:
    """Mean, recall (share of frames > 0.5) and decay of the scores of one object.

    The official protocol leaves out the first frame (it is given) and the last one; that is for the caller. Decay is
    the mean over the first quarter minus the mean over the last, quarters sharing their end frames.

    Args:
        per_frame: J or F of each scored frame, in order.

    Raises:
        ValueError: no frame was scored.
    """
    scores = np.asarray(per_frame, dtype=np.float64)
    if scores.size == 0:
        raise ValueError('there is no scored frame to summarise; a video needs at least 3 frames')
    # the small term makes halves round up, as MATLAB's round() does
    ends = np.round(np.linspace(1, scores.size, 5) + 1e-10).astype(int) - 1
    return {
        'mean': float(scores.mean()),
        'recall': float((scores > 0.5).mean()),
        'decay': float(scores[:ends[1] + 1].mean() - scores[ends[3]:].mean()),
    }


@dataclass(frozen=True)
class MaskTally(Sums):
    """What one or many objects add to DAVIS' scores: sums of each object's statistics, as DAVIS averages over objects.

    Neither long videos nor those of many objects weigh differently than that; recall and decay are no figures of single
    frames, so the object is the smallest thing that can be pooled.
    """
    figures: ClassVar[Tuple[Figure, ...]] = (
        *(Figure(f'{letter}_{name}', '', better, title=f'{letter} {name}') for letter in 'JF'
          for name, better in (('mean', 'higher'), ('recall', 'higher'), ('decay', 'lower'))),
        Figure('J&F', '', 'higher', headline=True),
    )
    objects: int = 0
    j_mean: float = 0.
    j_recall: float = 0.
    j_decay: float = 0.
    f_mean: float = 0.
    f_recall: float = 0.
    f_decay: float = 0.

    @property
    def size(self) -> int:
        """Objects."""
        return self.objects

    def scores(self) -> Dict[str, float]:
        """``J_mean``, ``J_recall``, ``J_decay``, ``F_mean``, …, and ``J&F``, the mean of the two means.

        Empty without objects.
        """
        if self.objects == 0:
            return {}
        names = [f'{letter}_{statistic}' for letter in 'JF' for statistic in ('mean', 'recall', 'decay')]
        scores = {name: total / self.objects for name, total in zip(names, astuple(self)[1:])}
        return {**scores, 'J&F': (scores['J_mean'] + scores['F_mean']) / 2}


def tally_masks(pred: np.ndarray, truth: np.ndarray) -> MaskTally:
    """Score one video, each of its objects by itself.

    The objects are 1 to the highest id of the first drawn mask. The first frame, which is given, and the last one are
    not scored. An object that is not in a prediction is predicted empty there.

    Args:
        pred: ``(T, H, W)`` ids, or bool for one object.
        truth: the same shape, the drawn ids; 255 is background.

    Raises:
        ValueError: other shapes, fewer than 3 frames, or a predicted id that is not an object.
    """
    if pred.shape != truth.shape or pred.ndim != 3 or len(pred) < 3:
        raise ValueError('masks of a video must be two arrays (T, H, W) of at least 3 frames, '
                         f'got {pred.shape} and {truth.shape}')
    first = truth[0].astype(np.int64)
    objects = int(first[first != VOID].max(initial=0))
    highest = int(pred.max(initial=0))
    if highest > objects:
        raise ValueError(f'id {highest} is predicted, but the first mask draws only {objects} object(s)')
    tally = MaskTally()
    for number in range(1, objects + 1):
        frames = [(a == number, b == number) for a, b in zip(pred[1:-1], truth[1:-1])]
        j, f = (summarise([score(*frame) for frame in frames]) for score in (jaccard, boundary_f))
        tally += MaskTally(1, *j.values(), *f.values())
    return tally
