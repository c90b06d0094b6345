"""The statistics of many labels in a few numbers."""
from __future__ import annotations

import math
from array import array
from collections import Counter
from itertools import chain
from typing import Any, Dict, Iterable, List, Mapping, Optional, Tuple


def summarize(pairs: Iterable[Tuple[str, Mapping[str, Optional[float]]]]) -> Dict[str, Any]:
    """Means of the statistics over all labels, whatever their order, and those of each scene under ``scenes``.

    Args:
        pairs: key ``scene/frame1__frame2`` and the statistics of that label. One that some labels lack (another version
            made them, or it was not finite) has no mean.
    """
    columns: Dict[str, Dict[str, array[float]]] = {}  # numbers alone take little room
    labels: Counter[str] = Counter()
    for key, stats in pairs:
        scene = key.rpartition('/')[0]
        labels[scene] += 1
        of_scene = columns.setdefault(scene, {})
        for name, value in stats.items():
            if value is not None:  # it was not finite
                of_scene.setdefault(name, array('d')).append(value)

    def means(scenes: List[str]) -> Dict[str, float]:
        count, found = sum(labels[scene] for scene in scenes), {}
        for name in columns[scenes[0]]:
            parts = [columns[scene].get(name, ()) for scene in scenes]
            if sum(map(len, parts)) == count:
                # fsum is exact, so that a merged store has the means of a store that was made in one go
                found[name] = round(math.fsum(chain.from_iterable(parts)) / count, 6)
        return found

    return dict(means(list(columns)), scenes={scene: means([scene]) for scene in sorted(columns)})
