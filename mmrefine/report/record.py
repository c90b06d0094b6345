"""The record of a run: before against after, in the shape that report.json keeps.

::

    {"schema": 1,
     "groups": {"refined": {"pairs": 20, "pairs_without_truth": 0,
                            "before": {"EPE": 1.9, "Fl": 7.1, …}, "after": {…}, "change_percent": {…},
                            "scenes": {"alley_1": {"before": {…}, "after": {…}, "change_percent": {…}}},
                            "figures": [{"name": "EPE", "unit": "px", "better": "lower", "headline": true, "title": "EPE", …}, …],
                            "changes": {"metric": "EPE", "better": 15, "interval_percent": [-8.1, -3.9], "best": […], "worst": […], …}},
                "unseen": {…}},
     "labels": {…}, "guard": {"verdict": "not run"}, "settings": {…}, "seeds": {…}, "versions": {…}, "timings": {…},
     "command": "…", "pictures": [{"path": "pictures/alley_1.png", "caption": "…"}],
     "curves": {"loss": {"steps": [4, 11, …], "values": [6.1, 5.8, …], "mean_of": 7}, …},
     "headline": {"sentence": "…", "verdict": "not run", "figures": […]}}

docs/report.md tells what each part means. Parts are added, never changed: a record of an older version can be rendered.
"""
from __future__ import annotations

import math
import os
from typing import Any, Dict, Iterable, List, Mapping, NamedTuple, Optional, Sequence

from mmrefine.evaluation import FlowTally, KeypointTally, LabelFreeTally, MaskTally
from mmrefine.evaluation.joints.pck import PCK_SHARE
from mmrefine.structures.figures import Figure

SCHEMA = 1
# the figures of records that do not say theirs
KNOWN = (*FlowTally.figures, *LabelFreeTally.figures, *MaskTally.figures, *KeypointTally((PCK_SHARE, )).figures)
COUNTS = ('pairs', 'pairs_without_truth', 'pairs_judged', 'videos')


class Kind(NamedTuple):
    """How a score is shown: its title, its unit, and which way is better (-1 lower, 1 higher, 0 neither)."""
    title: str
    unit: str
    better: int


KINDS: Dict[str, Kind] = {
    'EPE': Kind('EPE', 'px', -1),
    'EPE_per_pair': Kind('EPE per pair', 'px', -1),
    'Fl': Kind('Fl', '%', -1),
    '1px': Kind('within 1 px', '%', 1),
    '3px': Kind('within 3 px', '%', 1),
    '5px': Kind('within 5 px', '%', 1),
    'cycle_median': Kind('cycle error, median', 'px', -1),
    'cycle_mean': Kind('cycle error, mean', 'px', -1),
    'consistent': Kind('consistent', '%', 1),
    'inside': Kind('lands in frame', '%', 0),
    'color_residual': Kind('colour residual', 'grey levels', -1),
    'motion': Kind('mean motion', 'px', 0),
    **{f'{letter}_{name}': Kind(f'{letter} {name}', '', better)
       for letter in 'JF' for name, better in (('mean', 1), ('recall', 1), ('decay', -1))},
    'J&F': Kind('J&F', '', 1),
    'PCK@0.2': Kind('PCK@0.2', '', 1),
}
HEADLINES = ('EPE', 'cycle_median')
MAIN = ('EPE', 'Fl', '1px', 'cycle_median', 'consistent', 'color_residual')


def kind_of(metric: str) -> Kind:
    """The :class:`Kind` of a score; one that is not known here is shown under its own name, without colour."""
    return KINDS.get(metric, Kind(metric, '', 0))


def change_percent(before: Any, after: Any) -> Optional[float]:
    """``100 (after - before) / |before|``; None where a side is missing, not finite, or nothing was there before."""
    for value in (before, after):
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
            return None
    return None if before == 0 else 100 * (after - before) / abs(before)


def figures_of(group: Mapping[str, Any]) -> List[Figure]:
    """The figures of a group, in the order in which they are shown.

    A record of an older version does not say them: those of flow, masks and joints are known by their names, and any other is shown under
    its own name.
    """
    found = list(dict.fromkeys([*group.get('before', {}), *group.get('after', {})]))
    said = [Figure.from_dict(figure) for figure in group.get('figures') or [] if figure.get('name') in found]
    known = {figure.name: figure for figure in [*said, *(figure for figure in KNOWN if figure.name not in {one.name for one in said})]}
    return [figure for name, figure in known.items() if name in found] + [Figure(name) for name in found if name not in known]


def group_record(before: Mapping[str, Any], after: Mapping[str, Any], figures: Sequence[Figure] = ()) -> Dict[str, Any]:
    """A group of the record from two flat score dicts of a metric.

    Args:
        before: ``{'EPE': …, 'scene/<name>/EPE': …, 'pairs': …}`` of the network as it came.
        after: the same of the refined network, on the same pairs.
        figures: what the scores are; the record carries those that it has.

    Returns:
        the group, see the top of this module. Its ``scene_mean_change_percent`` is the mean of the scenes' changes, the figure
        that Refine's paper plots, beside the pooled ``change_percent``.

    Raises:
        ValueError: the two do not judge the same number of pairs.
    """
    for count in COUNTS:
        if before.get(count) != after.get(count):
            raise ValueError(f'before and after must judge the same pairs, {count} is {before.get(count)} before and '
                             f'{after.get(count)} after')
    sides = {'before': _by_scene(before), 'after': _by_scene(after)}
    names = sorted({name for side in sides.values() for name in side} - {''})
    scenes = {name: _compare(sides['before'].get(name, {}), sides['after'].get(name, {})) for name in names}
    overall = _compare(sides['before'].get('', {}), sides['after'].get('', {}))
    group: Dict[str, Any] = {count: before[count] for count in COUNTS if count in before}
    group.update(overall)
    group['scene_mean_change_percent'] = {
        metric: _mean(scene['change_percent'].get(metric) for scene in scenes.values())
        for metric in overall['change_percent']
    }
    group['scenes'] = scenes
    if figures:
        group['figures'] = [figure.to_dict() for figure in figures if figure.name in overall['change_percent']]
    return group


def _by_scene(scores: Mapping[str, Any]) -> Dict[str, Dict[str, Any]]:
    """Flat scores as ``{scene: {metric: value}}``, the overall ones under the empty name."""
    table: Dict[str, Dict[str, Any]] = {}
    for key, value in scores.items():
        if key in COUNTS:
            continue
        scene, metric = key[len('scene/'):].rsplit('/', 1) if key.startswith('scene/') else ('', key)
        table.setdefault(scene, {})[metric] = value
    return table


def _compare(before: Mapping[str, Any], after: Mapping[str, Any]) -> Dict[str, Any]:
    metrics = list(dict.fromkeys([*before, *after]))
    return {
        'before': dict(before),
        'after': dict(after),
        'change_percent': {metric: change_percent(before.get(metric), after.get(metric)) for metric in metrics},
    }


def _mean(values: Iterable[Optional[float]]) -> Optional[float]:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def complete(record: Mapping[str, Any]) -> Dict[str, Any]:
    """The record with every part of the schema, as strict JSON values: nan and inf become None, arrays lists, paths strings."""
    whole: Dict[str, Any] = {
        'schema': SCHEMA,
        'groups': {},
        'labels': {},
        'guard': {'verdict': 'not run'},
        'settings': {},
        'seeds': {},
        'versions': {},
        'timings': {},
        'command': '',
        'pictures': [],
        'curves': {},
    }
    whole.update(record)
    return {str(key): _json(value) for key, value in whole.items()}


def _json(value: Any) -> Any:
    if value is None or isinstance(value, (bool, str, int)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): _json(item) for key, item in value.items()}
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if hasattr(value, 'tolist'):  # numpy and torch, scalars too
        return _json(value.tolist())
    if isinstance(value, (list, tuple, set, frozenset)):
        items = sorted(value, key=str) if isinstance(value, (set, frozenset)) else value
        return [_json(item) for item in items]
    return str(value)


def metrics_of(group: Mapping[str, Any]) -> List[str]:
    """The scores of a group, the known ones first, in the order in which they are shown."""
    found = [*group.get('before', {}), *group.get('after', {})]
    return [name for name in KINDS if name in found] + [name for name in dict.fromkeys(found) if name not in KINDS]


def counted(count: Any, name: str = 'frame pair') -> str:
    """``1 frame pair``, ``12 frame pairs``."""
    return f'{count} {name}{"" if count == 1 else "s"}'


def kept_back(count: Any, name: str = 'frame pair') -> str:
    """``12 frame pairs that were kept back``."""
    return f'{counted(count, name)} that {"was" if count == 1 else "were"} kept back'


def format_change(change: Optional[float]) -> str:
    """A change in percent with its sign, ``−6.2 %``; an en dash where there is none."""
    if change is None:
        return '–'
    text = f'{change:+.1f} %'
    return '0.0 %' if text[1:] == '0.0 %' else text.replace('-', '−')


def format_value(value: Any) -> str:
    """A score with three decimals, an en dash where there is none."""
    return '–' if value is None else f'{value:.3f}' if isinstance(value, float) else str(value)
