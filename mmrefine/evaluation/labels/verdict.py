"""Are the labels of a scene worth training on: green, amber or red, and one sentence that says why.

All thresholds are here. A figure beyond its amber threshold is worth a look, beyond the red one the scene teaches
little, or the wrong thing. They speak of what enters training: a cut that a guard has refused has no weight, so it
costs nothing.

========== ==================================================== ================ ================
rule       figure                                               amber            red
========== ==================================================== ================ ================
cuts       share of the label weight from pairs of two shots    over 1 %         over 10 %
duplicates share of the weight from pairs of one frame twice    over 1 %         over 25 %
still      share of the pairs in which nothing moves            over 50 %        over 95 %
motion     colour change along the motion / in place, where the over 0.95        over 1.1
           teacher sees motion
kept       mean weight of a pixel, as it is or as the filters   under 10 %       under 1 %
           gave it (a balance lowers it on purpose)
fast       kept share of the fastest motion that 1 % of the     under 1/10       under 1/50
           pixels have / that of the speed that is kept best
region     kept share of the worst of 3 x 3 regions / of all    under 1/10       under 1/100
residual   colour change along the kept motion, grey levels     over 10          over 20
========== ==================================================== ================ ================
"""
from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Callable, Dict, List, Mapping, Optional, Tuple

from mmrefine.geometry.stillness import STILL_MOTION

GREEN, AMBER, RED = 'green', 'amber', 'red'
LEVELS = (GREEN, AMBER, RED)
# edges of the speed bins in px; the last bin is open
SPEED_EDGES = (0., STILL_MOTION, 2., 8., 32.)
SPEED_BINS = tuple(f'{low:g}-{high:g}' for low, high in zip(SPEED_EDGES, SPEED_EDGES[1:])) + (f'{SPEED_EDGES[-1]:g}+', )
POPULATED = 0.01  # share of the pixels from which on a speed counts
REGIONS = tuple(f'{row} {column}' for row in ('top', 'middle', 'bottom') for column in ('left', 'centre', 'right'))
FINE = 'nothing speaks against these labels'

Quality = Mapping[str, Any]


@dataclass(frozen=True)
class Rule:
    """One way in which labels can be bad.

    Args:
        figure: of the record of a scene; None where it is unknown.
        amber: threshold, which is itself still green.
        red: threshold, which is itself still amber.
        sentence: why, from the record.
        low_is_bad: whether a figure under the threshold is beyond it.
    """
    figure: Callable[[Quality], Optional[float]]
    amber: float
    red: float
    sentence: Callable[[Quality], str]
    low_is_bad: bool = False

    def level(self, quality: Quality) -> str:
        """Green, amber or red; green where the figure is unknown."""
        value = self.figure(quality)
        if value is None:
            return GREEN
        sign = -1 if self.low_is_bad else 1
        return RED if sign * value > sign * self.red else AMBER if sign * value > sign * self.amber else GREEN


def _speeds(quality: Quality) -> Optional[Tuple[Tuple[float, str], Tuple[float, str]]]:
    """Kept share and px of the fastest and of the best kept speed that enough pixels have; None if fewer than two."""
    shares, kept = (quality['speed'][name] or () for name in ('share', 'kept'))
    there = [(keep, name) for share, keep, name in zip(shares, kept, SPEED_BINS) if share >= POPULATED]
    return (there[-1], max(there, key=lambda speed: speed[0])) if len(there) > 1 else None


def _fast(quality: Quality) -> Optional[float]:
    speeds = _speeds(quality)
    return None if speeds is None or speeds[1][0] == 0 else speeds[0][0] / speeds[1][0]


def _fast_sentence(quality: Quality) -> str:
    speeds = _speeds(quality)
    assert speeds is not None  # or there was no figure
    (fast_kept, fast), (best_kept, best) = speeds
    return (f'only slow motion is kept: {_percent(fast_kept)} of the pixels that move by {fast} px, '
            f'{_percent(best_kept)} of those that move by {best} px')


def _cells(quality: Quality) -> List[float]:
    """The kept shares of the regions; a frame of two rows has none in the third."""
    return [quality['kept'] if share is None else share for row in quality['regions'] for share in row]


def _region(quality: Quality) -> Optional[float]:
    return min(_cells(quality)) / quality['kept'] if quality['kept'] > 0 else None


def _region_sentence(quality: Quality) -> str:
    cells = _cells(quality)
    worst = cells.index(min(cells))
    never = 'never' if cells[worst] == 0 else 'hardly ever'
    shares = f'{_percent(cells[worst])} kept there, {_percent(quality["kept"])} overall'
    return f'the {REGIONS[worst]} of the frame is {never} labelled: {shares}'


def _kept(quality: Quality) -> float:
    return max(quality['kept'], quality['verified'] or 0.)


def _weight(name: str) -> Callable[[Quality], Optional[float]]:
    return lambda quality: quality[name]['weight']


def _share_of_still(quality: Quality) -> Optional[float]:
    still = quality['still']
    return still['pairs'] / still['judged'] if still['judged'] else None


def _pairs(quality: Quality, name: str) -> str:
    return f'{quality[name]["pairs"]} of {quality[name]["judged"]} pairs'


def _weight_of(quality: Quality, name: str) -> str:
    return f'{_percent(quality[name]["weight"])} of the labels'


# in the order in which they are reported: a cause before what follows from it
RULES: Dict[str, Rule] = {
    'cuts': Rule(_weight('cuts'), 0.01, 0.1,
                 lambda q: f'{_pairs(q, "cuts")} look like cuts between two shots and give {_weight_of(q, "cuts")}'),
    'duplicates': Rule(_weight('duplicates'), 0.01, 0.25,
                       lambda q: f'{_pairs(q, "duplicates")} show one frame twice and give '
                       f'{_weight_of(q, "duplicates")}'),
    'still': Rule(_share_of_still, 0.5, 0.95, lambda q: f'nothing moves in {_pairs(q, "still")}'),
    'motion': Rule(lambda q: q.get('explained'), 0.95, 1.1,
                   lambda q: f'colours change {q["explained"]:.2f} times as much along the motion as in place; is it '
                   'that of these frames, in px, with x first?'),
    'kept': Rule(_kept, 0.1, 0.01, lambda q: f'only {_percent(_kept(q))} of the motion was kept', low_is_bad=True),
    'fast': Rule(_fast, 1 / 10, 1 / 50, _fast_sentence, low_is_bad=True),
    'region': Rule(_region, 1 / 10, 1 / 100, _region_sentence, low_is_bad=True),
    'residual': Rule(lambda q: q['color_residual'], 10., 20.,
                     lambda q: f'colours change by {q["color_residual"]:.1f} grey levels along the motion that was '
                     'kept'),
}


def verdict(quality: Quality) -> Dict[str, Any]:
    """What to think of a scene, or of a whole store.

    Args:
        quality: ``kept``, ``verified``, ``speed``, ``regions``, ``color_residual``, ``explained``, ``duplicates``,
            ``cuts`` and ``still`` of a record, see :mod:`mmrefine.evaluation.labels.quality`.

    Returns:
        ``verdict``: the worst colour of the rules; ``reason``: one sentence, that of the first rule with this colour;
            ``findings``:
        rule -> its colour, for those that are not green.
    """
    levels = {name: rule.level(quality) for name, rule in RULES.items()}
    worst = max(levels.values(), key=LEVELS.index)
    first = next(name for name, level in levels.items() if level == worst)
    return dict(
        verdict=worst,
        reason=FINE if worst == GREEN else RULES[first].sentence(quality),
        findings={name: level for name, level in levels.items() if level != GREEN})


def overall_verdict(quality: Quality, scenes: Mapping[str, Quality]) -> Dict[str, Any]:
    """The verdict over all scenes together; never green while a scene is red."""
    found = verdict(quality)
    red = [name for name, scene in scenes.items() if scene['verdict'] == RED]
    if found['verdict'] == GREEN and red:
        reason = f'{len(red)} of {len(scenes)} scenes are red, the first is {red[0]}: {scenes[red[0]]["reason"]}'
        found.update(verdict=AMBER, reason=reason)
    return found


def verdict_lines(quality: Quality) -> List[Tuple[str, str]]:
    """Lines for the log and their colours: how many scenes have which colour, then each scene that is not green."""
    colors = [scene['verdict'] for scene in quality['scenes'].values()]
    counts = ', '.join(f'{colors.count(level)} {level}' for level in LEVELS if level in colors)
    overall = f'labels are {quality["verdict"]}: {quality["reason"]} ({len(colors)} scenes: {counts})'
    lines = [(overall, quality['verdict'])]
    for name, scene in quality['scenes'].items():
        if scene['verdict'] != GREEN:
            lines.append((f'labels of scene {name} are {scene["verdict"]}: {scene["reason"]}', scene['verdict']))
    return lines


def _percent(share: float) -> str:
    return f'{100 * share:.1f} %'
