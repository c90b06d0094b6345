"""Many runs at once: one line a scene, and the mean of their changes (the figure that Refine's paper plots)."""
from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Dict, List, Mapping, Optional, Sequence, Union

from mmrefine.errors import InputError
from mmrefine.report.record import HEADLINES, KNOWN
from mmrefine.structures.figures import Figure

Figures = Mapping[str, Sequence[Figure]]


def read_report(work_dir: Union[str, Path]) -> Optional[Dict[str, Any]]:
    """The ``report.json`` of a run, or None if there is none.

    Raises:
        InputError: a file that is not a report.
    """
    path = Path(work_dir) / 'report.json'
    if not path.is_file():
        return None
    try:
        report = json.loads(path.read_text(encoding='utf-8'))
    except ValueError as error:
        raise InputError(f'{path}: is not JSON ({error}); delete it and run again') from error
    if not isinstance(report, dict) or 'groups' not in report:
        raise InputError(f'{path}: is not a report of mmrefine, it has no "groups"; delete it and run again')
    return report


def summary_table(reports: Sequence[Dict[str, Any]], runs: Sequence[str] = ()) -> str:
    """The ``refined`` group of several runs: scene, before, after, change in %, and the mean of the changes.

    Scenes are weighed equally, as in the paper's bar chart, whatever their length. Reports without a ``refined`` group are left out.

    Args:
        reports: one of each run.
        runs: their names; a line then begins with ``<run>/<scene>``, or with the scene alone where the run is named after it.
    """
    rows: List[List[str]] = []
    changes: List[float] = []
    metric = next((m for m in HEADLINES if any(m in _refined(r).get('before', {}) for r in reports)), HEADLINES[0])
    for i, report in enumerate(reports):
        for name, scene in _refined(report).get('scenes', {}).items():
            change = scene['change_percent'].get(metric)
            if change is not None:
                changes.append(change)
            title = f'{runs[i]}/{name}' if runs and runs[i] != name else name
            rows.append([title] + [_number(scene[side].get(metric)) for side in ('before', 'after')] + [_signed(change)])
    mean = sum(changes) / len(changes) if changes else None
    rows.append(['mean of the changes', '', '', _signed(mean)])
    return _aligned([['scene', f'{metric} before', 'after', 'change']] + rows)


def _refined(report: Dict[str, Any]) -> Dict[str, Any]:
    return report.get('groups', {}).get('refined', {})


def _number(value: Optional[float]) -> str:
    return '-' if value is None else f'{value:.3f}'


def _signed(value: Optional[float]) -> str:
    return '-' if value is None else f'{value:+.1f} %'


def score_table(groups: Mapping[str, Mapping[str, Any]], figures: Optional[Figures] = None) -> str:
    """The scores of one network: a block for each group, a line for each scene, and the overall line.

    Args:
        groups: group -> ``{'EPE': …, 'scene/<name>/EPE': …, 'pairs': …}``, as metrics give them.
        figures: group -> what these scores are; default: those that are known by their names.
    """
    blocks = []
    for name, scores in groups.items():
        by_scene: Dict[str, Dict[str, Any]] = {}
        for key, value in scores.items():
            scene, metric = key[len('scene/'):].rsplit('/', 1) if key.startswith('scene/') else ('overall', key)
            by_scene.setdefault(scene, {})[metric] = value
        overall = by_scene.pop('overall', {})
        shown = [figure for figure in (figures or {}).get(name, KNOWN) if figure.name in overall and figure.table != 'benchmark']
        rows = [[scene] + [_number(by_scene[scene].get(figure.name)) for figure in shown] for scene in sorted(by_scene)]
        rows.append(['overall'] + [_number(overall.get(figure.name)) for figure in shown])
        count = f'{scores["videos"]} videos' if 'videos' in scores else f'{scores.get("pairs", "?")} pairs'
        blocks.append(f'{name} ({count})\n' + _aligned([['scene'] + [_title(figure) for figure in shown]] + rows))
    return '\n\n'.join(blocks)


def benchmark_table(groups: Mapping[str, Mapping[str, Any]], figures: Figures) -> str:
    """The overall scores of the flow benchmarks: a block for each group, a line for the whole frame and for each of its parts.

    Args:
        groups: as in :func:`score_table`.
        figures: group -> what these scores are.

    Returns:
        the blocks of those groups that have figures of a benchmark; empty if none has.
    """
    blocks = []
    for name, scores in groups.items():
        by_part: Dict[str, Dict[str, Any]] = {}
        for figure in figures.get(name, ()):
            by_part.setdefault(figure.part or 'all', {})[figure.title] = scores.get(figure.name)
        parts = {figure.title for figure in figures.get(name, ()) if figure.part}
        columns = [one for one in figures.get(name, ()) if not one.part and (one.table == 'benchmark' or one.title in parts)]
        if not columns:
            continue
        rows = [[part] + [_number(found.get(column.title)) for column in columns] for part, found in by_part.items()]
        blocks.append(f'{name}, as the benchmarks score\n' + _aligned([['part'] + [_title(column) for column in columns]] + rows))
    return '\n\n'.join(blocks)


def _title(figure: Figure) -> str:
    return f'{figure.title} [{figure.unit}]' if figure.unit else figure.title


def _aligned(rows: Sequence[Sequence[str]]) -> str:
    """The first column to the left, the others to the right."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = ['  '.join([row[0].ljust(widths[0])] + [cell.rjust(w) for cell, w in zip(row[1:], widths[1:])]) for row in rows]
    return '\n'.join(lines)
