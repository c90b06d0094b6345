"""Which frame pairs are kept back, so that a guard can judge a network on what it has not learned from."""
from __future__ import annotations

import math
from typing import Any, Dict, List, Mapping, NamedTuple, Sequence, Set

from mmrefine.errors import ConfigError
from mmrefine.values import as_count, is_number

LEAST_SCENES = 4  # with this many or more, whole scenes are kept back
LEAST_PAIRS = 4  # in a scene that is cut; with fewer, nothing would be left to learn from
MOST_SHARE = 0.4  # of the video that is kept back for the sake of a least number of pairs


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
    """Keep back a share of a video; the same pairs give the same split.

    Of :data:`LEAST_SCENES` scenes or more whole scenes are kept back, at least one, spread evenly over the list. Of
    fewer, the end of each scene of :data:`LEAST_PAIRS` pairs or more, at least one pair; the pairs that reach across
    the cut belong to neither side. Shorter scenes stay whole and are learned from.

    Args:
        pairs: with ``scene``, ``index``, the number of the earlier frame, and ``step`` if they differ in it.
        share: of the scenes, or of the pairs of each scene, in [0, 1); 0 keeps nothing back.
        step: most frames from one frame of a pair to the other.
        least: keep back this many pairs, counted by their earlier frames, even where that is a larger share, up to
            :data:`MOST_SHARE` of the video; 0: whatever ``share`` gives.

    Raises:
        ConfigError: a share out of range, ``least`` below 0, or nothing can be kept back.
    """
    as_count('least_held', least, 0)
    if not is_number(share) or not 0 <= share < 1:
        raise ConfigError(f'held_out must be a share of the video in [0, 1), got {share!r}')
    if share == 0:
        return Split(list(pairs), [], {})
    scenes = list(dict.fromkeys(pair['scene'] for pair in pairs))
    if len(scenes) >= LEAST_SCENES:
        count = min(max(1, round(share * len(scenes))), len(scenes) - 1)
        chosen = _spread(scenes, count)
        while _frames_of(pairs, chosen) < least and (count + 1) / len(scenes) <= MOST_SHARE:
            count += 1
            chosen = _spread(scenes, count)
        sides = [[pair for pair in pairs if (pair['scene'] in chosen) is is_held] for is_held in (False, True)]
        return Split(sides[0], sides[1], {})
    ends: Dict[str, int] = {}
    starts = {scene: sorted({pair['index'] for pair in pairs if pair['scene'] == scene}) for scene in scenes}
    needed = max(LEAST_PAIRS, 2 * step + 2)
    cut = {scene: indices for scene, indices in starts.items() if len(indices) >= needed}
    wanted = max(share, min(MOST_SHARE, least / max(1, sum(map(len, cut.values())))))
    for scene, indices in cut.items():
        held = min(max(1, round(wanted * len(indices))), len(indices) - step - 1)
        ends[scene] = indices[-held]
    if not ends:
        raise ConfigError(f'held_out={share:g}: no scene has the {needed} frame pairs that it takes to keep some back '
                          f'for the guard (the most is {max(map(len, starts.values()), default=0)}, without those of '
                          'corrupt frames that are left out); give it longer scenes, or set held_out=0, which leaves '
                          'the guard out')
    last = {scene: ends.get(scene, math.inf) for scene in scenes}
    return Split([pair for pair in pairs if pair['index'] + pair.get('step', step) < last[pair['scene']]],
                 [pair for pair in pairs if pair['index'] >= last[pair['scene']]], ends)


def _spread(scenes: Sequence[str], count: int) -> Set[str]:
    """So many of the scenes, from all over the list."""
    return {scenes[int((k + 0.5) * len(scenes) / count)] for k in range(count)}


def _frames_of(pairs: Sequence[Mapping[str, Any]], scenes: Set[str]) -> int:
    """How many frames of these scenes a pair begins with."""
    return len({(pair['scene'], pair['index']) for pair in pairs if pair['scene'] in scenes})
