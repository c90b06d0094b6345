"""How far the labels of one round agree with those of the round before."""
from __future__ import annotations

from dataclasses import dataclass
from functools import reduce
from operator import add
from typing import Any, Callable, Dict, Mapping, Optional

import numpy as np
import torch
from mmengine.dist import all_gather_object, get_dist_info
from torch import Tensor

from mmrefine.engine.runtime.processes import together
from mmrefine.fileio.store.label_store import LabelStore
from mmrefine.structures import FlowLabel, Tracks

STEPS = 64  # of a px, as labels are stored; the distances are counted in these
FARTHEST = 2048 * STEPS  # counts whatever is farther, too


@dataclass(frozen=True)
class Agreement:
    """Sums and counts over two labels of the same frames, or over many such labels.

    Args:
        distances: ``(FARTHEST + 1,)``, how many points lie so many 1/64 px apart, rounded.
        total: of the distances, px.
        both: pixels or tracks that both labels keep.
        either: pixels or tracks that one of them keeps, or both.
    """
    distances: np.ndarray
    total: float = 0.
    both: int = 0
    either: int = 0

    @classmethod
    def of(cls, distances: Tensor, both: int, either: int) -> Agreement:
        """Of the distances of all points, px, whatever their shape."""
        steps = (STEPS * distances).round().clamp(max=FARTHEST).long().flatten()
        counts = torch.bincount(steps, minlength=FARTHEST + 1).numpy()
        return cls(counts, float(distances.double().sum()), both, either)

    def __add__(self, other: Agreement) -> Agreement:
        return Agreement(self.distances + other.distances, self.total + other.total, self.both + other.both,
                         self.either + other.either)

    def to_dict(self) -> Dict[str, Optional[float]]:
        """JSON-able.

        Returns:
            ``common``: share of what either keeps that both keep, in [0, 1]; ``epe_median`` (the lower one of two, to
            1/64 px) and ``epe_mean``: distance of the points that both keep, px. Each is None where there are none.
        """
        count = int(self.distances.sum())
        middle = int(np.searchsorted(self.distances.cumsum(), (count + 1) // 2))
        return dict(
            common=round(self.both / self.either, 6) if self.either else None,
            epe_median=middle / STEPS if count else None,
            epe_mean=round(self.total / count, 6) if count else None)


def label_agreement(before: LabelStore, after: LabelStore) -> Optional[Dict[str, Optional[float]]]:
    """Compare the labels that two complete stores hold of the same frames; see :meth:`Agreement.to_dict`.

    One label of each store is in memory at a time. The processes of a distributed run share the labels, and all get the
    same.

    Returns:
        None for a kind of label that cannot be compared, and for tracks none of which begin at the same points.

    Raises:
        LabelStoreError: a label is missing or damaged.
    """
    compare = _COMPARED.get(after.codec.kind)
    if compare is None or before.codec.kind != after.codec.kind:
        return None
    known, (rank, world) = set(before.keys()), get_dist_info()
    keys = [key for key in after.keys() if key in known][rank::world]
    nothing = Agreement(np.zeros(FARTHEST + 1, np.int64))
    parts = all_gather_object(together(
        lambda: reduce(add, (compare(before.read(key), after.read(key)) for key in keys), nothing)))
    whole = reduce(add, parts)
    return None if compare is track_agreement and not whole.both else whole.to_dict()


def flow_agreement(before: FlowLabel, after: FlowLabel) -> Agreement:
    """Of two labels of a frame pair, over the pixels that have weight in both."""
    kept, now = before.weight[0] > 0, after.weight[0] > 0
    both = kept & now
    distances = (after.flow[:, both] - before.flow[:, both]).norm(dim=0)
    return Agreement.of(distances, int(both.sum()), int((kept | now).sum()))


def track_agreement(before: Tracks, after: Tracks) -> Agreement:
    """Of two labels of a clip: over tracks that begin at the same point of the same frame, and over the frames other
    than that one in which both are followed.
    """
    kept, now = ({tuple(query): i for i, query in enumerate(label.queries.tolist())} for label in (before, after))
    same = [query for query in kept if query in now]
    one, other = before.points[[kept[query] for query in same]], after.points[[now[query] for query in same]]
    distances = (other - one).norm(dim=-1)
    begins = before.queries[[kept[query] for query in same], 0].long()
    later = torch.arange(distances.shape[1]) != begins[:, None]
    return Agreement.of(distances[later & distances.isfinite()], len(same), len(kept.keys() | now.keys()))


_COMPARED: Mapping[str, Callable[[Any, Any], Agreement]] = {'flow': flow_agreement, 'tracks': track_agreement}
