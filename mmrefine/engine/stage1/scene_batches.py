"""Batches of pairs or clips that can share a forward pass."""
from __future__ import annotations

from typing import List, Sequence


def scene_batches(scenes: Sequence[str], indices: Sequence[int], batch_size: int) -> List[List[int]]:
    """``indices``, in their order, in batches that never mix scenes, whose frames may differ in size.

    Args:
        scenes: the scene of each item.
        indices: of the items to share out.
        batch_size: most items in a batch.
    """
    batches: List[List[int]] = []
    for i in indices:
        if batches and len(batches[-1]) < batch_size and scenes[batches[-1][0]] == scenes[i]:
            batches[-1].append(i)
        else:
            batches.append([i])
    return batches
