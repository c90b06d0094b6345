"""What only the pixels of a label and its two frames can say of its quality, as sums.

A store keeps these few numbers with the label.
"""
from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Dict, Mapping, Optional, Tuple

import numpy as np
from torch import Tensor

from mmrefine.geometry import backwarp, color_residual, cycle_error
from mmrefine.structures import FlowLabel

CYCLE_EDGES = (0., 0.05, 0.1, 0.25, 0.5, 1., 2.)  # px; the last bin is open
VERSION = 1  # of what is summed, and how; sums of another version are made again


@dataclass(frozen=True)
class LabelSums:
    """Sums over the pixels of one label, rounded to 6 decimals, so that the order of summation does not show.

    Args:
        size: (height, width) of the frame, px.
        weight: of all pixels.
        regions: weight of 3 x 3 parts of the frame, row by row.
        color: weighted change of colour along the motion in grey levels, and the weight of the pixels of which it is
            known.
        cycle: weight by error of the round trip over both stored labels (``CYCLE_EDGES``), and last the weighted error
            in px; None if the way back is not labelled.
        kinds: whether the pair is one of ``duplicates``, ``cuts``, ``still``, as far as that is known.
    """
    size: Tuple[int, int]
    weight: float
    regions: Tuple[float, ...]
    color: Tuple[float, float]
    cycle: Optional[Tuple[float, ...]]
    kinds: Mapping[str, bool]

    def plain(self) -> Dict[str, Any]:
        """For JSON; :meth:`from_plain` gives the same sums back, to the bit."""
        return dict(vars(self), version=VERSION)

    @classmethod
    def from_plain(cls, found: Any) -> Optional['LabelSums']:
        """The sums that ``found`` says; None if it says none, or none of this version."""
        try:
            if found['version'] != VERSION:
                return None
            (height, width), cycle = map(int, found['size']), found['cycle']
            color, error = map(float, found['color'])
            return cls(
                size=(height, width),
                weight=float(found['weight']),
                regions=_floats(found['regions'], 9),
                color=(color, error),
                cycle=None if cycle is None else _floats(cycle, len(CYCLE_EDGES) + 1),
                kinds={str(kind): bool(hit) for kind, hit in found['kinds'].items()})
        except (TypeError, ValueError, KeyError, AttributeError):
            return None


def sum_label(label: FlowLabel,
              frame1: Tensor,
              frame2: Tensor,
              back: Optional[FlowLabel] = None,
              kinds: Optional[Mapping[str, bool]] = None) -> LabelSums:
    """The sums of one label.

    Args:
        label: the label as it is stored.
        frame1: ``(3, H, W)`` RGB in [0, 1].
        frame2: the same shape.
        back: the label of the reversed pair as it is stored, if there is one.
        kinds: whether the pair is one of ``duplicates``, ``cuts``, ``still``; those that are not known are left out.
    """
    weight = label.weight[0].double().numpy()
    height, width = weight.shape
    residual = color_residual(frame1[None], frame2[None], label.flow[None])[0, 0].double().numpy()
    seen = (weight > 0) & np.isfinite(residual)
    cycle = None
    if back is not None:
        error = stored_cycle_error(label, back).double().numpy()
        known = np.isfinite(error)
        counts = count_by(bins_of(error[known], CYCLE_EDGES), weight[known], len(CYCLE_EDGES))
        cycle = (*map(_rounded, counts), _rounded((error[known] * weight[known]).sum()))
    return LabelSums(
        size=(height, width),
        weight=_rounded(weight.sum()),
        regions=tuple(map(_rounded, count_by(_regions(height, width), weight, 9))),
        color=(_rounded((residual[seen] * weight[seen]).sum()), _rounded(weight[seen].sum())),
        cycle=cycle,
        kinds=dict(kinds or {}))


def stored_cycle_error(label: FlowLabel, back: FlowLabel) -> Tensor:
    """How far off the round trip over two stored labels lands.

    Args:
        label: frame 1 -> frame 2.
        back: frame 2 -> frame 1.

    Returns:
        ``(H, W)`` px; nan where the pixel is not labelled, or one of the four pixels around the place where it lands is
        not.
    """
    flow, labelled = label.flow[None], (back.weight[None] > 0).float()
    error = cycle_error(flow, back.flow[None])[0, 0]
    known = (label.weight[0] > 0) & (backwarp(labelled, flow)[0, 0] > 1 - 1e-4) & error.isfinite()
    return error.masked_fill(~known, float('nan'))


def region_pixels(size: Tuple[int, int]) -> np.ndarray:
    """Pixels of each of the 3 x 3 parts of a frame of (height, width) px, row by row."""
    return count_by(_regions(*size), None, 9)


def bins_of(values: np.ndarray, edges: Tuple[float, ...]) -> np.ndarray:
    """The number of the bin of each value; a bin begins at its edge, the last one is open."""
    return np.searchsorted(np.array(edges[1:]), values, side='right')


def count_by(bins: np.ndarray, weight: Optional[np.ndarray], length: int) -> np.ndarray:
    """Sum of the weights, or the number, of what lies in each of ``length`` bins."""
    weights = None if weight is None else weight.ravel().astype(np.float64)
    return np.bincount(bins.ravel(), weights, minlength=length).astype(np.float64)


def _regions(height: int, width: int) -> np.ndarray:
    rows, columns = (np.arange(side) * 3 // side for side in (height, width))
    return rows[:, None] * 3 + columns[None]


def _rounded(value: float) -> float:
    return round(float(value), 6)


def _floats(values: Any, length: int) -> Tuple[float, ...]:
    floats = tuple(map(float, values))
    if len(floats) != length:
        raise ValueError(f'{len(floats)} sums, wanted {length}')
    return floats
