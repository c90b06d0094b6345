"""Batches of frame pairs that can share a forward pass."""
from __future__ import annotations

from typing import Any, List, Mapping, Sequence


def scene_batches(pairs: Sequence[Mapping[str, Any]], indices: Sequence[int], batch_size: int) -> List[List[int]]:
    """``indices`` into ``pairs``, in their order, in batches that never mix scenes (whose frames may differ in size)."""
    batches: List[List[int]] = []
    for i in indices:
        if batches and len(batches[-1]) < batch_size and pairs[batches[-1][0]]['scene'] == pairs[i]['scene']:
            batches[-1].append(i)
        else:
            batches.append([i])
    return batches
