"""The headline of the report, and its tables of scores."""
from __future__ import annotations

from html import escape
from typing import Any, List, Mapping

from mmrefine.report.headlines import figures, format_interval, sentences
from mmrefine.report.html_parts import change_color, sure_class, table
from mmrefine.report.record import MAIN, counted, format_change, format_value, kind_of, metrics_of

GROUPS = {
    'refined': ('Refined videos', 'The videos that the network was refined on.'),
    'unseen': ('Unseen videos', 'Videos that it was not refined on: did it unlearn anything?'),
}
VERDICTS = {
    'student': ('green', 'The guard accepts the student'),
    'teacher': ('amber', 'The guard hands back the network as it came'),
    'not run': ('', 'The guard was not run'),
}


def headline_section(record: Mapping[str, Any]) -> str:
    """The verdict of the guard, what was found, and a card for each number: unit, interval, and what decided it."""
    verdict = str(record['guard'].get('verdict', 'not run'))
    color, said = VERDICTS.get(verdict, ('', verdict))
    first, *others = sentences(record)
    more = f'<p class="lead">{escape(" ".join(others))}</p>\n' if others else ''
    cards = '\n'.join(_card(figure) for figure in figures(record))
    return (f'<h1>mmrefine report</h1>\n<p><span class="verdict {color}">{escape(said)}</span></p>\n'
            f'<p class="headline">{escape(first)}</p>\n{more}' + (f'<ul class="cards">\n{cards}\n</ul>' if cards else ''))


def _card(figure: Mapping[str, Any]) -> str:
    """All scores of headlines are better when lower."""
    change, interval, unit = figure['change_percent'], format_interval(figure['interval_percent']), figure['unit']
    title = str(figure['title'])
    lines = [f'<span class="name">{escape(title[:1].upper() + title[1:])}</span>',
             f'<b{sure_class(change, figure["interval_percent"])}>{escape(format_change(change))}</b>']  # yapf: disable
    score = figure['score']
    if figure['before'] is not None:
        score += f': {format_value(figure["before"])} → {format_value(figure["after"])} {unit}'
    lines.append(f'<span>{escape(score)}</span>')
    if interval:
        lines.append(f'<span>interval {escape(interval)}</span>')
    by = [f'decided by {figure["decided_by"]}']
    by += [] if figure['pairs'] is None else [counted(figure['pairs'])]
    by += [] if figure['better'] is None else [f'{100 * figure["better"]:.0f}\u00a0% of them better']
    lines.append(f'<span class="soft">{escape(", ".join(by))}</span>')
    return f'<li>{"".join(lines)}</li>'


def group_title(name: str) -> str:
    """How a group of videos is called on the page."""
    return GROUPS.get(name, (name, ''))[0]


def group_section(name: str, group: Mapping[str, Any]) -> str:
    """The tables of a group of videos."""
    return _group(GROUPS.get(name, (name, ''))[1], group)


def _group(about: str, group: Mapping[str, Any]) -> str:
    pairs, without = group.get('pairs'), group.get('pairs_without_truth')
    counts = [] if pairs is None else [f'{counted(pairs)}.']
    if without:
        counts.append('No pair has ground truth.' if without == pairs else
                      f'{without} of them have no ground truth and are not scored.')
    if group.get('pairs_judged') is not None:
        counts.append(f'{group["pairs_judged"]} of them, spread evenly, are scored.')
    metrics = metrics_of(group)
    text = f'<p class="soft">{escape(" ".join([about, *counts]))}</p>'
    if not metrics:
        return text + '\n<p>Nothing was scored.</p>'
    main = [metric for metric in metrics if metric in MAIN] or metrics
    rest = [metric for metric in metrics if metric not in main]
    more = f'\n<details><summary>More scores</summary>{_scores(group, rest)}</details>' if rest else ''
    return f'{text}\n{_scores(group, main)}{more}'


def _scores(group: Mapping[str, Any], metrics: List[str]) -> str:
    top, sub = ['<th></th>'], ['<th>scene</th>']
    for metric in metrics:
        kind = kind_of(metric)
        unit = f' <span class="unit">[{escape(kind.unit)}]</span>' if kind.unit else ''
        top.append(f'<th class="first" colspan="3" scope="colgroup">{escape(kind.title)}{unit}</th>')
        sub += ['<th class="first">before</th>', '<th>after</th>', '<th>change</th>']
    rows = [_row(scene, scores, metrics) for scene, scores in group.get('scenes', {}).items()]
    several = len(rows) > 1
    rows.append(_row('overall', group, metrics, ' class="overall"'))
    if several:  # the figure that Refine's paper plots
        mean = dict(change_percent=group.get('scene_mean_change_percent', {}))
        rows.append(_row('mean of the scenes\' changes', mean, metrics))
    return table([top, sub], rows)


def _row(name: str, scores: Mapping[str, Any], metrics: List[str], attributes: str = '') -> str:
    cells = [f'<td>{escape(str(name))}</td>']
    for metric in metrics:
        change = scores.get('change_percent', {}).get(metric)
        cells += [
            f'<td class="first">{_value(scores, "before", metric)}</td>',
            f'<td>{_value(scores, "after", metric)}</td>',
            f'<td{change_color(change, metric)}>{escape(format_change(change))}</td>'
        ]
    return f'<tr{attributes}>{"".join(cells)}</tr>'


def _value(scores: Mapping[str, Any], side: str, metric: str) -> str:
    return escape(format_value(scores[side].get(metric))) if side in scores else ''
