"""The record of a run: before against after, in the shape that report.json keeps.

::

    {"schema": 1,
     "groups": {"refined": {"pairs": 20, "pairs_without_truth": 0,
                            "before": {"EPE": 1.9, "Fl": 7.1, …}, "after": {…}, "change_percent": {…},
                            "scenes": {"alley_1": {"before": {…}, "after": {…}, "change_percent": {…}}},
                            "figures": [{"name": "EPE", "unit": "px", "better": "lower", "headline": true, …}, …],
                            "changes": {"metric": "EPE", "better": 15, "interval_percent": [-8.1, -3.9],
                                        "best": […], "worst": […], …}},
                "unseen": {…}},
     "labels": {…}, "guard": {"verdict": "not run"}, "settings": {…}, "seeds": {…}, "versions": {…}, "timings": {…},
     "command": "…", "pictures": [{"path": "pictures/alley_1.png", "caption": "…"}],
     "video": {"path": "before_after.mp4", "caption": "…"},
     "curves": {"loss": {"steps": [4, 11, …], "values": [6.1, 5.8, …], "mean_of": 7}, …},
     "rounds": [{"round": 0, "labels": 20, "kept": 0.6, "agreement": null, "change_percent": -3.1, …}, …],
     "headline": {"sentence": "…", "verdict": "not run", "figures": […]}}

docs/report.md says what each part means. Parts are added, never changed: a record of an older version can be rendered.
"""
from __future__ import annotations

import math
import os
from typing import Any, Dict, Iterable, Mapping, Optional, Sequence

from mmrefine.structures.figures import Figure

SCHEMA = 1
COUNTS = ('pairs', 'pairs_without_truth', 'pairs_judged', 'videos', 'clips')
CURVE_POINTS = 200


def change_percent(before: Any, after: Any) -> Optional[float]:
    """``100 (after - before) / |before|``; None where a side is missing or not finite, or where ``before`` is 0."""
    for value in (before, after):
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
            return None
    return None if before == 0 else 100 * (after - before) / abs(before)


def group_record(before: Mapping[str, Any], after: Mapping[str, Any], figures: Sequence[Figure] = ()) -> Dict[str, Any]:
    """A group of the record from two flat score dicts of a metric.

    Args:
        before: ``{'EPE': …, 'scene/<name>/EPE': …, 'pairs': …}`` of the original network.
        after: the same of the refined network, on the same pairs.
        figures: what the scores are; the record carries those that it has.

    Returns:
        the group, see the top of this module. Its ``scene_mean_change_percent`` is the mean of the scenes' changes, the
        figure that Refine's paper plots, beside the pooled ``change_percent``.

    Raises:
        ValueError: the two do not judge the same number of pairs.
    """
    for count in COUNTS:
        if before.get(count) != after.get(count):
            raise ValueError(f'before and after must judge the same pairs, {count} is {before.get(count)} before and '
                             f'{after.get(count)} after')
    ours, theirs = scores_by_scene(after), scores_by_scene(before)
    scenes = {name: _compare(theirs.get(name, {}), ours.get(name, {})) for name in sorted({*ours, *theirs} - {''})}
    overall = _compare(theirs[''], ours[''])
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


def scores_by_scene(scores: Mapping[str, Any]) -> Dict[str, Dict[str, Any]]:
    """Flat scores as ``{scene: {metric: value}}`` without the counts; the overall ones are under the empty name."""
    table: Dict[str, Dict[str, Any]] = {'': {}}
    for key, value in scores.items():
        if key not in COUNTS:
            scene, metric = key[len('scene/'):].rsplit('/', 1) if key.startswith('scene/') else ('', key)
            table.setdefault(scene, {})[metric] = value
    return table


def _compare(before: Mapping[str, Any], after: Mapping[str, Any]) -> Dict[str, Any]:
    metrics = dict.fromkeys([*before, *after])
    changes = {metric: change_percent(before.get(metric), after.get(metric)) for metric in metrics}
    return dict(before=dict(before), after=dict(after), change_percent=changes)


def _mean(values: Iterable[Optional[float]]) -> Optional[float]:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def thin_curve(values: Sequence[float], last_step: int, points: int = CURVE_POINTS) -> Dict[str, Any]:
    """A curve of few points: means over equally many steps each (the last may have fewer), without what is not finite.

    Args:
        values: one for each optimiser step, the last of them at ``last_step``.
        last_step: counted from 1.
        points: at most.

    Returns:
        ``steps`` (the middle of each mean, rounded up), ``values`` and ``mean_of`` (steps).
    """
    width = max(1, -(-len(values) // points))
    thin: Dict[int, float] = {}
    for start in range(0, len(values), width):
        part = values[start:start + width]
        known = [float(value) for value in part if math.isfinite(value)]
        if known:
            thin[last_step - len(values) + 1 + start + len(part) // 2] = math.fsum(known) / len(known)
    return dict(steps=list(thin), values=list(thin.values()), mean_of=width)


def complete(record: Mapping[str, Any]) -> Dict[str, Any]:
    """The record with every part of the schema, as strict JSON values.

    nan and inf become None, arrays become lists, paths become strings.
    """
    empty = dict(groups={}, labels={}, guard=dict(verdict='not run'), settings={}, seeds={}, versions={}, timings={},
                 command='', pictures=[], video={}, curves={}, rounds=[])
    return {str(key): _json(value) for key, value in {'schema': SCHEMA, **empty, **record}.items()}


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
    if isinstance(value, (set, frozenset)):
        return [_json(item) for item in sorted(value, key=str)]
    return [_json(item) for item in value] if isinstance(value, (list, tuple)) else str(value)
