"""PCK, the percentage of correct keypoints: how well propagated points match the clicked ones."""
from __future__ import annotations

from dataclasses import dataclass
from itertools import zip_longest
from typing import Dict, Optional, Sequence, Tuple

import numpy as np

from mmrefine.structures.figures import Figure

PCK_SHARE = 0.2  # of the side of a square as large as the object: BADJA's
BOX_SHARE = 0.6  # of the diagonal of the box around a person's joints: what JHMDB's PCK takes for the person's size
PCK_RULES = ('mask', 'joints', 'box', 'joints_box')
PCK_NAMES = {'box': 'PCK_max', 'joints_box': 'PCK_max'}  # as published; of the other rules PCK


def object_sizes(rule: str, truth: np.ndarray, visible: np.ndarray, masks: Optional[np.ndarray] = None) -> np.ndarray:
    """How large the object is in each frame, px ``(T,)``; a keypoint may be off by a share of it.

    ``'mask'``: the root of the mask's area (BADJA). ``'joints'``: 0.6 times the diagonal of the tight box around the
    visible joints (JHMDB, per instance). ``'box'``: the longer side of the tight box around the mask (JHMDB, PCK_max).
    ``'joints_box'``: that of the box around the visible joints, where there are no masks. 0 where there is nothing.

    Args:
        rule: one of :data:`PCK_RULES`.
        truth: ``(T, N, 2)`` px (x, y).
        visible: ``(T, N)`` bool.
        masks: ``(T, H, W)``, the object where it is not 0; the rules 'mask' and 'box' need it.

    Raises:
        ValueError: another rule, or no masks where they are needed.
    """
    if rule not in PCK_RULES:
        raise ValueError(f'the size of an object is taken from one of {", ".join(PCK_RULES)}, got {rule!r}')
    if rule in ('joints', 'joints_box'):
        boxes = [np.ptp(points[seen], axis=0) if seen.any() else np.zeros(2)
                 for points, seen in zip(np.asarray(truth, np.float64), np.asarray(visible, bool))]
        return np.array([BOX_SHARE * np.hypot(*sides) if rule == 'joints' else sides.max() for sides in boxes])
    if masks is None:
        raise ValueError(f'the rule {rule!r} needs the masks of the object')
    if rule == 'mask':
        return np.sqrt([np.count_nonzero(mask) for mask in masks])
    found = [np.argwhere(mask) for mask in masks]
    return np.array([float(np.ptp(pixels, axis=0).max() + 1) if len(pixels) else 0. for pixels in found])


@dataclass(frozen=True)
class KeypointTally:
    """What one or many videos add to PCK.

    By joint: how often it was to be found, and for each share how often it was right; and the name of the score.
    """
    shares: Tuple[float, ...] = ()
    seen: Tuple[int, ...] = ()
    right: Tuple[Tuple[int, ...], ...] = ()
    name: str = 'PCK'

    @property
    def figures(self) -> Tuple[Figure, ...]:
        """Two of each share."""
        return tuple(figure for i, share in enumerate(self.shares) for figure in (
            Figure(f'{self.name}@{share:g}', '', 'higher', headline=i == 0),
            Figure(f'{self.name}@{share:g}_joints', '', 'higher', title=f'{self.name}@{share:g}, mean over joints')))

    @property
    def size(self) -> int:
        """Keypoints that were to be found."""
        return sum(self.seen)

    def __add__(self, other: 'KeypointTally') -> 'KeypointTally':
        if not self.shares or not other.shares:
            return self if self.shares else other
        if (self.name, self.shares) != (other.name, other.shares):
            raise ValueError(f'{self.name} at {self.shares} cannot be added to {other.name} at {other.shares}')
        return KeypointTally(self.shares, _sums(self.seen, other.seen), tuple(map(_sums, self.right, other.right)),
                             self.name)

    def scores(self) -> Dict[str, float]:
        """``<name>@<share>``, over all keypoints, and ``<name>@<share>_joints``, the mean over the joints.

        Empty if no keypoint was to be found.
        """
        if not self.size:
            return {}
        scores = {}
        for share, right in zip(self.shares, self.right):
            scores[f'{self.name}@{share:g}'] = sum(right) / self.size
            rates = [hits / count for hits, count in zip(right, self.seen) if count]
            scores[f'{self.name}@{share:g}_joints'] = sum(rates) / len(rates)
        return scores


def tally_keypoints(pred: np.ndarray, truth: np.ndarray, visible: np.ndarray, sizes: np.ndarray,
                    shares: Sequence[float] = (PCK_SHARE, ), name: str = 'PCK') -> KeypointTally:
    """Score one video.

    Joints are carried from the first frame that has any; only those seen there count, in the frames after it.

    Args:
        pred: ``(T, N, 2)`` px (x, y); nan is wrong.
        truth: the same shape; where not visible, anything.
        visible: ``(T, N)`` bool; frames that nobody clicked have none.
        sizes: ``(T,)`` px, of :func:`object_sizes`.
        shares: of the size, each one PCK.
        name: of the score.

    Raises:
        ValueError: shapes that do not belong together, or a share below 0.
    """
    pred, truth, visible = np.asarray(pred, np.float64), np.asarray(truth, np.float64), np.asarray(visible, bool)
    if (visible.ndim != 2 or pred.shape != (*visible.shape, 2) or truth.shape != pred.shape
            or np.shape(sizes) != visible.shape[:1]):
        raise ValueError('keypoints need predictions and truth (T, N, 2), visible (T, N) and sizes (T,), '
                         f'got {pred.shape}, {truth.shape}, {visible.shape} and {np.shape(sizes)}')
    if not all(share >= 0 for share in shares):
        raise ValueError(f'PCK needs shares of at least 0, got {tuple(shares)}')
    clicked = visible.any(axis=1)
    start = int(clicked.argmax())
    scored = visible & visible[start]
    scored[:start + 1] = False
    off = np.linalg.norm(pred - truth, axis=-1)
    limit = np.asarray(sizes, np.float64)[:, None]
    right = tuple(tuple((scored & (off <= share * limit)).sum(axis=0).tolist()) for share in shares)
    return KeypointTally(tuple(float(share) for share in shares), tuple(scored.sum(axis=0).tolist()), right,
                         name)


def _sums(one: Sequence[int], other: Sequence[int]) -> Tuple[int, ...]:
    """Joint by joint; a video of fewer joints adds nothing to the rest."""
    return tuple(a + b for a, b in zip_longest(one, other, fillvalue=0))
