"""How many independent pieces of evidence samples of a video are: neighbours in one shot see much the same."""
from __future__ import annotations

import math
from collections import Counter
from typing import Dict, Hashable, List, Sequence, Tuple

import numpy as np

LEAST_RUNS = 6  # of whatever is drawn; fewer prove nothing
TINY = 1e-20  # squared losses; rounding
DIFFERENT = 0.1  # so rarely would scenes that do not differ seem to
SHUFFLES = 999
ROUNDING = 1e-9
STRONGEST = 0.95  # correlation; beyond, no number of samples of one video would be enough


def correlation_of_neighbours(values: Sequence[float], scenes: Sequence[str]) -> float:
    """The correlation of a sample with the next one of its scene, in [0, 0.95], as far as it is more than chance.

    Estimated about the mean of each scene; corrected by ``(1 + 2 r) / samples of a scene``, as neighbours look less
    alike about a mean that is their own; and less a quarter of a standard error, ``0.25 / sqrt(neighbours)``.

    Args:
        values: of each sample, in order.
        scenes: of each sample what it belongs to; samples of one scene are neighbours.
    """
    names = list(dict.fromkeys(scenes))
    parts = [np.array([value for value, other in zip(values, scenes) if other == name], np.float64) for name in names]
    parts = [part - part.mean() for part in parts]
    neighbours = len(values) - len(parts)
    power = sum(float(part @ part) for part in parts) / max(1, neighbours)
    if power < TINY:
        return 0.
    found = sum(float(part[:-1] @ part[1:]) for part in parts) / neighbours / power
    found += (1 + 2 * max(found, 0.)) * len(parts) / len(values)
    return min(max(found - 0.25 / math.sqrt(neighbours), 0.), STRONGEST)


def run_length(values: Sequence[float], scenes: Sequence[str]) -> int:
    """How many neighbouring samples are worth one independent sample, at least 1.

    The mean of ``n`` samples of an autoregressive process whose neighbours have the correlation ``r`` is as certain as
    that of ``n (1 - r) / (1 + r)`` independent ones; the length is the inverse of that factor, rounded.

    Args:
        values: see :func:`correlation_of_neighbours`.
        scenes: see there.
    """
    found = correlation_of_neighbours(values, scenes)
    return round((1 + found) / (1 - found))


def independent_runs(values: Sequence[float], scenes: Sequence[str], sampled: bool = False) -> List[Hashable]:
    """Of each sample what it is drawn with in a bootstrap: its scene if there are :data:`LEAST_RUNS` scenes or more,
    else a run of neighbours in its scene.

    A scene is cut into runs of equal length, but for one sample, each at least :func:`run_length` long; a scene that is
    shorter is one run. Where few scenes stand for others that were not looked at (``sampled``) and differ among
    themselves, their runs say nothing of those others, and each is drawn as a whole.

    Args:
        values: see :func:`correlation_of_neighbours`.
        scenes: see there.
        sampled: whether the scenes are some of those of the video; False: all of them have their say.
    """
    sizes = Counter(scenes)
    if len(sizes) >= LEAST_RUNS:
        return list(scenes)
    length = run_length(values, scenes)
    seen: Dict[str, int] = Counter()
    runs: List[Tuple[str, int]] = []
    for scene in scenes:
        runs.append((scene, seen[scene] * max(1, sizes[scene] // length) // sizes[scene]))
        seen[scene] += 1
    return list(scenes) if sampled and scenes_differ(values, runs) else list(runs)


def scenes_differ(values: Sequence[float], runs: Sequence[Tuple[str, int]]) -> bool:
    """Whether scenes differ more than a chance of one in ten lets those differ that are alike.

    A permutation test: how far apart the means of scenes are, against the same of runs that are dealt out anew.

    Args:
        values: of each sample.
        runs: of each sample its scene and the number of its run there.
    """
    parts: Dict[Tuple[str, int], List[float]] = {}
    for value, run in zip(values, runs):
        parts.setdefault(run, []).append(value)
    names = list(dict.fromkeys(scene for scene, _ in parts))
    if len(names) < 2 or len(parts) == len(names):
        return False
    means = np.array([np.mean(part) for part in parts.values()])
    member = np.array([[scene == name for scene, _ in parts] for name in names], np.float64)
    rng = np.random.default_rng(0)
    dealt = np.stack([means, *(rng.permutation(means) for _ in range(SHUFFLES))])
    spread = (((dealt - means.mean()) @ member.T)**2 / member.sum(axis=1)).sum(axis=1)
    return bool((spread >= spread[0] * (1 - ROUNDING)).mean() <= DIFFERENT)
