"""Scores as plain text, for the terminal."""
from __future__ import annotations

from typing import Any, Dict, List, Mapping, Optional, Sequence

from mmrefine.report.formats import format_change, format_value
from mmrefine.report.headlines import headline
from mmrefine.report.known_figures import SCORES, figures_of, main_figures
from mmrefine.report.long_tables import fold_scores
from mmrefine.report.record import scores_by_scene
from mmrefine.structures.figures import GROUND_TRUTH, Figure

ABOUT = {'refined': 'refined: the videos it was refined on', 'unseen': 'unseen: videos it was not refined on'}
Figures = Mapping[str, Sequence[Figure]]


def format_table(record: Mapping[str, Any], metrics: Optional[Sequence[str]] = None) -> str:
    """Before against after: a block for each group, with a line for each scene (of more than ten, for those that gained
    most and those that lost most) and the overall line.

    Args:
        record: see :mod:`mmrefine.report.record`.
        metrics: names of the scores to show, in this order. Default: the main ones of those that were measured.

    Returns:
        aligned lines without a trailing newline; the last one is the headline.
    """
    blocks = [_block(name, group, metrics) for name, group in record.get('groups', {}).items()]
    return '\n\n'.join([*blocks, headline(record)])


def _block(name: str, group: Mapping[str, Any], metrics: Optional[Sequence[str]]) -> str:
    known = {figure.name: figure for figure in (main_figures if metrics is None else figures_of)(group)}
    shown = [known[metric] for metric in (known if metrics is None else metrics) if metric in known]
    judged = f'{group["pairs_judged"]} of ' if 'pairs_judged' in group else ''
    title = f'{ABOUT.get(name, name)} ({judged}{_count(group)})'
    if not shown:
        return f'{title}\nno scores'
    heads = [_title(figure) for figure in shown]
    rows = [['scene', *('before', 'after', 'change') * len(shown)]]
    fold = fold_scores(group.get('scenes', {}), shown)
    rows += [[scene, *_cells(scores, shown)] for scene, scores in fold.ends]
    if fold.is_folded:
        left_out = f'{fold.count - len(fold.ends)} more in report.html'
        rows.insert(1 + len(fold.ends) // 2, [left_out, *[''] * (3 * len(shown))])
    last = [['overall', *_cells(group, shown)]]
    if len(rows) > 2:
        last.append(['scene mean', *_cells(dict(change_percent=group['scene_mean_change_percent']), shown)])
    widths = [max(map(len, column)) for column in zip(*rows, *last)]
    for i, head in enumerate(heads):  # three columns are at least as wide as their common title
        widths[3 * i + 1] += max(0, len(head) - sum(widths[3 * i + 1:3 * i + 4]) - 4)
    spans = [widths[0], *(sum(widths[i:i + 3]) + 4 for i in range(1, len(widths), 3))]
    line = '-' * (sum(widths) + 2 * (len(widths) - 1))
    lines = [_join(['', *heads], spans), _join(rows[0], widths), line]
    lines += [*(_join(row, widths) for row in rows[1:]), line] if len(rows) > 1 else []
    return '\n'.join([title, *lines, *(_join(row, widths) for row in last)])


def _cells(scores: Mapping[str, Any], shown: Sequence[Figure]) -> List[str]:
    cells = []
    for figure in shown:
        cells += [format_value(scores[side].get(figure.name)) if side in scores else '' for side in ('before', 'after')]
        cells.append(format_change(scores['change_percent'].get(figure.name)))
    return cells


def summary_table(reports: Sequence[Mapping[str, Any]], runs: Sequence[str] = ()) -> str:
    """The ``refined`` group of several runs: scene, before, after, change in %, and the mean of the changes.

    Scenes are weighed equally, as in the bar chart of Refine's paper, whatever their length. The score is the headline
    of the reports, one by ground truth if any has such. Reports without a ``refined`` group are left out.

    Args:
        reports: one of each run.
        runs: their names; a line then begins with ``<run>/<scene>``, or with the scene alone where the run is named
            after it.
    """
    groups = [report.get('groups', {}).get('refined', {}) for report in reports]
    headlines = [figure for group in groups for figure in figures_of(group) if figure.headline] or [SCORES[0]]
    metric = min(headlines, key=lambda figure: figure.decided_by != GROUND_TRUTH).name
    rows, changes = [['scene', f'{metric} before', 'after', 'change']], []
    for i, group in enumerate(groups):
        for name, scene in group.get('scenes', {}).items():
            change = scene['change_percent'].get(metric)
            changes += [] if change is None else [change]
            sides = [format_value(scene[side].get(metric), '-') for side in ('before', 'after')]
            rows.append([f'{runs[i]}/{name}' if runs and runs[i] != name else name, *sides, _signed(change)])
    rows.append(['mean of the changes', '', '', _signed(sum(changes) / len(changes) if changes else None)])
    return _aligned(rows)


def score_table(groups: Mapping[str, Mapping[str, Any]], figures: Optional[Figures] = None) -> str:
    """The scores of one network: a block for each group, a line for each scene, and the overall line.

    Args:
        groups: group -> ``{'EPE': …, 'scene/<name>/EPE': …, 'pairs': …}``, as metrics give them.
        figures: group -> what these scores are; default: those that are known by their names.
    """
    blocks = []
    for name, scores in groups.items():
        scenes = scores_by_scene(scores)
        overall = scenes.pop('')
        known = figures_of(dict(before=overall)) if figures is None else figures.get(name, ())
        shown = [figure for figure in known if figure.name in overall and figure.table != 'benchmark']
        lines = [*sorted(scenes.items()), ('overall', overall)]
        rows = [[scene, *(format_value(found.get(figure.name), '-') for figure in shown)] for scene, found in lines]
        blocks.append(f'{name} ({_count(scores)})\n' + _aligned([['scene', *map(_title, shown)], *rows]))
    return '\n\n'.join(blocks)


def benchmark_table(groups: Mapping[str, Mapping[str, Any]], figures: Figures) -> str:
    """The overall scores of the flow benchmarks: a block for each group, a line for the whole frame and for each part.

    Args:
        groups: as in :func:`score_table`.
        figures: group -> what these scores are.

    Returns:
        the blocks of those groups that have figures of a benchmark; empty if none has.
    """
    blocks = []
    for name, scores in groups.items():
        known = figures.get(name, ())
        by_part: Dict[str, Dict[str, Any]] = {}
        for figure in known:
            by_part.setdefault(figure.part or 'all', {})[figure.title] = scores.get(figure.name)
        titles = {figure.title for figure in known if figure.part}
        columns = [one for one in known if not one.part and (one.table == 'benchmark' or one.title in titles)]
        if columns:
            rows = [[part, *(format_value(found.get(column.title), '-') for column in columns)]
                    for part, found in by_part.items()]
            blocks.append(f'{name}, as the benchmarks score\n' + _aligned([['part', *map(_title, columns)], *rows]))
    return '\n\n'.join(blocks)


def _count(scores: Mapping[str, Any]) -> str:
    name = next((name for name in ('videos', 'clips') if name in scores), 'pairs')
    return f'{scores.get(name, "?")} {name}'


def _title(figure: Figure) -> str:
    return f'{figure.title} [{figure.unit}]' if figure.unit else figure.title


def _signed(change: Optional[float]) -> str:
    return '-' if change is None else f'{change:+.1f} %'


def _aligned(rows: Sequence[Sequence[str]]) -> str:
    return '\n'.join(_join(row, [max(map(len, column)) for column in zip(*rows)]) for row in rows)


def _join(row: Sequence[str], widths: Sequence[int]) -> str:
    """The first column to the left, the others to the right."""
    return '  '.join([row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:]))])
