"""Which frame pairs are kept back, so that a guard can judge a network on what it has not learned from."""
from __future__ import annotations

import math
from typing import Any, Collection, Dict, List, Mapping, NamedTuple, Sequence, Set

from mmrefine.errors import ConfigError
from mmrefine.values import as_count, is_number

ENOUGH_SCENES = 6  # so many whole scenes are evidence; fewer say little of the others
LONG = 8  # pairs, of the mean scene; where scenes are shorter a cut, which costs a pair, costs too much
FEW_SCENES = 3  # so many or fewer are cut however short they are
LEAST_LEFT = 2  # of a scene that is cut, if the least is kept back; where fewer are left there is nothing to learn from
MOST_SHARE = 0.4  # of the video that is kept back for the sake of a least number of pairs or scenes


class Split(NamedTuple):
    """The two sides of a data set that was split.

    Args:
        rest: pairs to label and to learn from.
        held: pairs to judge with; none of their frames is in ``rest``.
        ends: for each scene that was cut the number of its first held frame.
    """
    rest: List[Mapping[str, Any]]
    held: List[Mapping[str, Any]]
    ends: Dict[str, int]


def split_pairs(pairs: Sequence[Mapping[str, Any]], share: float, step: int = 1, least: int = 0) -> Split:
    """Keep back a share of a video; the same pairs (or clips) give the same split.

    Where the share makes :data:`ENOUGH_SCENES` scenes or more whole scenes are kept back, spread evenly over the list.
    Else the end of each scene, so that all of them have a say: of each that leaves :data:`LEAST_LEFT` pairs or more, at
    least one pair; the pairs that reach across the cut belong to neither side, and shorter scenes stay whole and are
    learned from. But of four or more short scenes (fewer than :data:`LONG` pairs each on average) whole scenes are kept
    back all the same.

    Args:
        pairs: with ``scene``, ``index``, the number of the first frame, and ``step`` if they differ in it.
        share: of the scenes, or of the pairs of each scene, in [0, 1); 0 keeps nothing back.
        step: most frames from the first frame of a pair to the last.
        least: keep back this many pairs, counted by their earlier frames, and of short scenes
            :data:`ENOUGH_SCENES`, even where that is a larger share, up to :data:`MOST_SHARE` of the video; 0: whatever
            ``share`` gives.

    Raises:
        ConfigError: a share out of range, ``least`` below 0, or nothing can be kept back.
    """
    as_count('least_held', least, 0)
    if not is_number(share) or not 0 <= share < 1:
        raise ConfigError(f'held_out must be a share of the video in [0, 1), got {share!r}')
    if share == 0:
        return Split(list(pairs), [], {})
    starts: Dict[str, Dict[int, int]] = {}  # scene -> where pairs begin -> least frames from there to their last
    for pair in pairs:
        known = starts.setdefault(pair['scene'], {})
        known[pair['index']] = min(pair.get('step', step), known.get(pair['index'], step))
    cut = {scene: sorted(known) for scene, known in starts.items() if _left_of(known, max(known)) >= LEAST_LEFT}
    count = round(share * len(starts))
    is_short = not cut or sum(map(len, starts.values())) < LONG * len(starts)
    if count >= ENOUGH_SCENES or (len(starts) > FEW_SCENES and is_short):
        chosen = _whole_scenes(starts, count, least)
        sides = [[pair for pair in pairs if (pair['scene'] in chosen) is is_held] for is_held in (False, True)]
        return Split(sides[0], sides[1], {})
    ends: Dict[str, int] = {}
    wanted = max(share, min(MOST_SHARE, least / max(1, sum(map(len, cut.values())))))
    for scene, indices in cut.items():
        held = max(1, round(wanted * len(indices)))
        while held > 1 and not _left_of(starts[scene], indices[-held]):
            held -= 1  # something must be left to learn from
        ends[scene] = indices[-held]
    if not ends:
        most = max(map(len, starts.values()), default=0)
        raise ConfigError(
            f'held_out={share:g}: no scene has enough frame pairs, or clips, to keep the last back for the guard and '
            f'to leave {LEAST_LEFT} that share no frame with it (the most is {most}, without those that are left out); '
            'give it longer scenes, or set held_out=0, which leaves the guard out')
    last = {scene: ends.get(scene, math.inf) for scene in starts}
    return Split([pair for pair in pairs if pair['index'] + pair.get('step', step) < last[pair['scene']]],
                 [pair for pair in pairs if pair['index'] >= last[pair['scene']]], ends)


def _left_of(starts: Mapping[int, int], end: int) -> int:
    """How many pairs, or clips, lie before a frame as a whole."""
    return sum(index + step < end for index, step in starts.items())


def _whole_scenes(starts: Mapping[str, Collection[int]], count: int, least: int) -> Set[str]:
    """At least ``count`` of the scenes, from all over the list; more for the sake of evidence, see
    :func:`split_pairs`."""
    scenes = list(starts)
    count = min(max(1, count), len(scenes) - 1)
    chosen = _spread(scenes, count)
    while least and (count + 1) / len(scenes) <= MOST_SHARE and (
            count < ENOUGH_SCENES or sum(len(starts[scene]) for scene in chosen) < least):
        count += 1
        chosen = _spread(scenes, count)
    return chosen


def _spread(scenes: Sequence[str], count: int) -> Set[str]:
    """So many of the scenes, from all over the list."""
    return {scenes[int((k + 0.5) * len(scenes) / count)] for k in range(count)}
