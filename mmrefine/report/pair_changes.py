"""What refinement changed on each frame pair: how many got better, how sure the change is, which changed most."""
from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from typing import Any, Dict, Hashable, List, Optional, Sequence, Tuple

import numpy as np

from mmrefine.structures.figures import Figure

DRAWS = 2000
CONFIDENCE = 0.95
LONGEST_RUN, FEWEST_RUNS = 10, 8

Result = Tuple[int, str, Any]


@dataclass(frozen=True)
class PairChange:
    """One frame pair, judged twice.

    Args:
        index: in the data set.
        scene: it belongs to.
        before: headline score of the original network.
        after: the same of the refined network.
        weight: how much of the overall score it is, > 0.
        sign: -1 where a lower score is better, 1 where a higher one is.
    """
    index: int
    scene: str
    before: float
    after: float
    weight: float = 1.
    sign: int = -1

    @property
    def change(self) -> float:
        """Of the score, turned so that it is below 0 where the pair got better."""
        return -self.sign * (self.after - self.before)


def pair_changes(before: Sequence[Result], after: Sequence[Result], figure: Figure) -> List[PairChange]:
    """The pairs that have a score on both sides.

    Args:
        before: (index, scene, tally) of each judged pair, of the original network.
        after: the same of the refined network, in any order.
        figure: the headline; a pair weighs as much in it as the ``size`` of its tally says.
    """
    ours = {index: tally.scores() for index, _, tally in after}
    changes = []
    for index, scene, tally in before:
        one, two = (scores.get(figure.name, math.nan) for scores in (tally.scores(), ours.get(index, {})))
        if math.isfinite(one) and math.isfinite(two):
            changes.append(PairChange(index, scene, one, two, float(tally.size), figure.sign))
    return changes


def changes_record(changes: Sequence[PairChange], figure: Figure, confidence: float = CONFIDENCE,
                   seed: int = 0) -> Dict[str, Any]:
    """For the report: how many pairs got better and worse, and the interval of the overall change. JSON-able.

    Args:
        changes: at least one.
        figure: what was compared.
        confidence: of the interval, in (0, 1).
        seed: of its draws.
    """
    better, worse = (sum(sign * one.change > 0 for one in changes) for sign in (-1, 1))
    clusters, drawn_by = _clusters(changes)
    return dict(
        metric=figure.name, decided_by=figure.decided_by, pairs=len(changes), better=better, worse=worse,
        same=len(changes) - better - worse, interval_percent=change_interval(changes, clusters, confidence, seed),
        confidence=confidence, draws=DRAWS, drawn_by=drawn_by)


def change_interval(changes: Sequence[PairChange], clusters: Sequence[Hashable], confidence: float = CONFIDENCE,
                    seed: int = 0) -> Optional[List[float]]:
    """Bootstrap interval of ``100 (after / before - 1)``, where before and after are weighted means over the pairs.

    Pairs of one cluster are drawn together, because they are not independent.

    Args:
        changes: the pairs.
        clusters: of each pair what it belongs to.
        confidence: in (0, 1).
        seed: of the draws.

    Returns:
        [low, high] in %; None with fewer than two clusters, or where all scores before are 0.
    """
    names = {name: i for i, name in enumerate(dict.fromkeys(clusters))}
    if len(names) < 2:
        return None
    member = np.array([names[name] for name in clusters])
    before, after = (np.bincount(member, [one.weight * score for one, score in zip(changes, scores)])
                     for scores in ([one.before for one in changes], [one.after for one in changes]))
    rng = np.random.default_rng(seed)
    ratios = []
    for _ in range(DRAWS):  # one by one: all draws at once would not fit in memory for a long video
        drawn = rng.integers(0, len(names), len(names))
        if before[drawn].sum() > 0:
            ratios.append(after[drawn].sum() / before[drawn].sum())
    if not ratios:
        return None
    ends = np.quantile(ratios, [(1 - confidence) / 2, (1 + confidence) / 2])
    return [float(100 * (end - 1)) for end in ends]


def most_changed(changes: Sequence[PairChange], count: int) -> Dict[str, List[PairChange]]:
    """The pairs that improved most, ``best``, and those that got worse by most, ``worst``; the first changed most.

    From different scenes as far as there are enough. Empty if no pair changed; a pair is in one list only. Where fewer
    than ``count`` got better, or worse, the lists are filled with those that come next.
    """
    moved = sorted((one for one in changes if one.change != 0), key=lambda one: (one.change, one.index))
    best = _varied(moved, min(count, (len(moved) + 1) // 2))
    return dict(best=best, worst=_varied([one for one in reversed(moved) if one not in best], count))


def _varied(ranked: Sequence[PairChange], count: int) -> List[PairChange]:
    """The first of each scene, then others; in the order of ``ranked``."""
    turns = sorted((turn, place) for place, turn in enumerate(_places(ranked)))
    return [ranked[place] for place in sorted(place for _, place in turns[:count])]


def _clusters(changes: Sequence[PairChange]) -> Tuple[List[Hashable], str]:
    """Scenes where there are more than three, else runs of neighbouring pairs, which see much the same."""
    if len({one.scene for one in changes}) > 3:
        return [one.scene for one in changes], 'scene'
    length = max(1, min(LONGEST_RUN, len(changes) // FEWEST_RUNS))
    runs: List[Hashable] = [(one.scene, place // length) for one, place in zip(changes, _places(changes))]
    return runs, 'pair' if length == 1 else f'runs of {length} neighbouring pairs'


def _places(changes: Sequence[PairChange]) -> List[int]:
    """Of each pair how many of its scene come before it."""
    seen: Counter = Counter()
    places = []
    for one in changes:
        places.append(seen[one.scene])
        seen[one.scene] += 1
    return places
