"""The statistics of many labels in a few numbers."""
from __future__ import annotations

import math
from typing import Any, Dict, List, Mapping, Sequence

__all__ = ['summarize']


def summarize(pairs: Mapping[str, Mapping[str, float]]) -> Dict[str, Any]:
    """Means of the statistics over all labels, and the same for each scene under ``scenes``; the order of the labels does not count.

    Args:
        pairs: key ``scene/frame1__frame2`` -> the statistics of that label. One that some labels lack (another version made
            them) has no mean.
    """
    by_scene: Dict[str, List[Mapping[str, float]]] = {}
    for key, stats in pairs.items():
        by_scene.setdefault(key.rpartition('/')[0], []).append(stats)
    return dict(_means(list(pairs.values())), scenes={scene: _means(stats) for scene, stats in sorted(by_scene.items())})


def _means(stats: Sequence[Mapping[str, float]]) -> Dict[str, float]:
    # fsum is exact, so that a merged store has the means of a store that was made in one go
    return {name: round(math.fsum(s[name] for s in stats) / len(stats), 6) for name in stats[0] if all(name in s for s in stats)}
