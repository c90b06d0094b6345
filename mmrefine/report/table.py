"""Before against after as plain text, for the terminal."""
from __future__ import annotations

from typing import Any, List, Mapping, Optional, Sequence

from mmrefine.report.headlines import headline
from mmrefine.report.record import MAIN, format_change, format_value, kind_of, metrics_of

ABOUT = {'refined': 'refined: the videos it was refined on', 'unseen': 'unseen: videos it was not refined on'}


def format_table(record: Mapping[str, Any], metrics: Optional[Sequence[str]] = None) -> str:
    """The scores of every group: a block for each, a line for each scene, and the overall line.

    Args:
        record: see :mod:`mmrefine.report.record`.
        metrics: scores to show, in this order. Default: the main ones of those that were measured.

    Returns:
        aligned lines without a trailing newline; the last one is the headline.
    """
    blocks = [_block(name, group, metrics) for name, group in record.get('groups', {}).items()]
    return '\n\n'.join(blocks + [headline(record)])


def _block(name: str, group: Mapping[str, Any], metrics: Optional[Sequence[str]]) -> str:
    found = metrics_of(group)
    shown = [metric for metric in (MAIN if metrics is None else metrics) if metric in found]
    judged = f'{group["pairs_judged"]} of ' if 'pairs_judged' in group else ''
    title = f'{ABOUT.get(name, name)} ({judged}{group.get("pairs", "?")} pairs)'
    if not shown:
        return f'{title}\nno scores'
    head1, head2 = [''], ['scene']
    for metric in shown:
        kind = kind_of(metric)
        head1 += [f'{kind.title} [{kind.unit}]' if kind.unit else kind.title, '', '']
        head2 += ['before', 'after', 'change']
    rows = [[scene, *_cells(scores, shown)] for scene, scores in group.get('scenes', {}).items()]
    last = [['overall', *_cells(group, shown)]]
    if len(rows) > 1:
        last.append(['scene mean', *_cells(dict(change_percent=group['scene_mean_change_percent']), shown, '')])
    widths = [max(len(row[i]) for row in [head2, *rows, *last]) for i in range(len(head2))]
    for i in range(1, len(widths), 3):  # a block of three columns is at least as wide as its title
        widths[i] += max(0, len(head1[i]) - sum(widths[i:i + 3]) - 4)
    line = '-' * (sum(widths) + 2 * (len(widths) - 1))
    top = ' ' * widths[0] + ''.join('  ' + head1[i].rjust(sum(widths[i:i + 3]) + 4) for i in range(1, len(widths), 3))
    body = [_join(row, widths) for row in rows]
    end = [_join(row, widths) for row in last]
    return '\n'.join([title, top, _join(head2, widths), line, *body, *([line] if body else []), *end])


def _cells(scores: Mapping[str, Any], shown: Sequence[str], absent: str = '–') -> List[str]:
    cells = []
    for metric in shown:
        for side in ('before', 'after'):
            cells.append(format_value(scores[side].get(metric)) if side in scores else absent)
        cells.append(format_change(scores.get('change_percent', {}).get(metric)))
    return cells


def _join(row: Sequence[str], widths: Sequence[int]) -> str:
    return '  '.join([row[0].ljust(widths[0])] + [cell.rjust(width) for cell, width in zip(row[1:], widths[1:])])
