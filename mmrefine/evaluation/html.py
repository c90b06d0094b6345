"""The report as one static page: no script, no network, readable on a phone."""
from __future__ import annotations

import json
from html import escape
from typing import Any, List, Mapping
from urllib.parse import quote

from mmrefine.evaluation.html_labels import labels_section, table
from mmrefine.evaluation.record import (MAIN, format_change, format_value, headline, kind_of,
                                        metrics_of)

GROUPS = {
    'refined': ('Refined videos', 'The videos that the network was refined on.'),
    'unseen': ('Unseen videos', 'Videos that it was not refined on: did it unlearn anything?'),
}
SETTINGS = ('settings', 'seeds', 'versions', 'timings')
STYLE = '''
:root { color-scheme: light; --ink: #1d2733; --soft: #5b6776; --line: #dfe4ea; --good: #10693a; --bad: #a8231d; }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 68rem; padding: 1.5rem 1rem 3rem; color: var(--ink); background: #fff;
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; }
h1 { margin: 0; font-size: 1rem; font-weight: 600; color: var(--soft); }
.headline { margin: .3rem 0 1.5rem; font-size: clamp(1.3rem, 1rem + 2vw, 2rem); line-height: 1.25; font-weight: 650; }
h2 { margin: 2.2rem 0 .2rem; font-size: 1.2rem; }
p { margin: .2rem 0 .8rem; } .soft, figcaption, .unit { color: var(--soft); }
.scroll { overflow-x: auto; }
table { border-collapse: separate; border-spacing: 0; font-size: .92rem; font-variant-numeric: tabular-nums; }
th, td { padding: .32rem .6rem; text-align: right; white-space: nowrap; border-bottom: 1px solid var(--line); }
th { font-weight: 600; } .unit { font-weight: 400; }
th:first-child, td:first-child { position: sticky; left: 0; min-width: 6.5rem; padding-left: 0; background: #fff;
  white-space: normal; overflow-wrap: anywhere; }
thead tr:last-child th { font-weight: 400; color: var(--soft); }
th.first, td.first { padding-left: 1.4rem; } th[colspan] { border-bottom: 0; text-align: center; }
tr th:first-child, tr td:first-child { text-align: left; }
tr.overall td, tr.overall th { font-weight: 650; border-top: 2px solid var(--ink); border-bottom: 0; }
.good { color: var(--good); } .bad { color: var(--bad); }
.verdict { padding: .05rem .5rem; border-radius: .6rem; color: #fff; background: var(--soft); }
.verdict.green { background: var(--good); } .verdict.amber { background: #96620a; } .verdict.red { background: var(--bad); }
td.why { min-width: 14rem; white-space: normal; } .why { text-align: left; }
figure { margin: 1rem 0 1.6rem; } img { display: block; max-width: 100%; height: auto; border: 1px solid var(--line); }
figcaption { margin-top: .3rem; font-size: .9rem; overflow-wrap: anywhere; }
details { margin-top: .8rem; } summary { cursor: pointer; font-weight: 600; }
pre { margin: .4rem 0; padding: .7rem; overflow-x: auto; background: #f5f7f9; font-size: .82rem; white-space: pre-wrap;
  overflow-wrap: anywhere; }
'''


def render_html(record: Mapping[str, Any]) -> str:
    """The whole page; every string of the record is escaped.

    Args:
        record: a complete record of strict JSON values, see :mod:`mmrefine.evaluation.record`. The paths of ``pictures`` are
            relative to the folder of the page.
    """
    sentence = headline(record)
    parts = [f'<h1>mmrefine report</h1>\n<p class="headline">{escape(sentence)}</p>']
    parts += [_group(str(name), group) for name, group in record['groups'].items()]
    parts += [labels_section(record['labels']), _guard(record['guard']), _pictures(record['pictures']), _settings(record)]
    body = '\n'.join(part for part in parts if part)
    return ('<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
            '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
            f'<title>{escape(sentence)}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n{body}\n</body>\n</html>\n')


def _group(name: str, group: Mapping[str, Any]) -> str:
    title, about = GROUPS.get(name, (name, ''))
    pairs, without = group.get('pairs'), group.get('pairs_without_truth')
    counts = [] if pairs is None else [f'{pairs} frame pairs.']
    if without:
        counts.append('No pair has ground truth.' if without == pairs else
                      f'{without} of them have no ground truth and are not scored.')
    metrics = metrics_of(group)
    text = f'<h2>{escape(title)}</h2>\n<p class="soft">{escape(" ".join([about, *counts]))}</p>'
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
        better = kind_of(metric).better * (change or 0)
        color = ' class="good"' if better > 0 else ' class="bad"' if better < 0 else ''
        cells += [
            f'<td class="first">{_value(scores, "before", metric)}</td>',
            f'<td>{_value(scores, "after", metric)}</td>',
            f'<td{color}>{escape(format_change(change))}</td>'
        ]
    return f'<tr{attributes}>{"".join(cells)}</tr>'


def _value(scores: Mapping[str, Any], side: str, metric: str) -> str:
    return escape(format_value(scores[side].get(metric))) if side in scores else ''


def _guard(guard: Mapping[str, Any]) -> str:
    rest = {key: value for key, value in guard.items() if key != 'verdict'}
    more = f'\n<pre>{escape(_dump(rest))}</pre>' if rest else ''
    return f'<h2>Regression guard</h2>\n<p>Verdict: {escape(str(guard.get("verdict", "not run")))}</p>{more}'


def _pictures(pictures: List[Mapping[str, Any]]) -> str:
    if not pictures:
        return ''
    figures = []
    for picture in pictures:
        caption = escape(str(picture.get('caption', '')))
        # quote() also disarms "javascript:" and friends: the colon becomes %3A
        figures.append(f'<figure><img loading="lazy" src="{escape(quote(str(picture["path"])))}" alt="{caption}">'
                       f'<figcaption>{caption}</figcaption></figure>')
    return '<h2>Pictures</h2>\n' + '\n'.join(figures)


def _settings(record: Mapping[str, Any]) -> str:
    parts = [f'<details><summary>{name.capitalize()}</summary><pre>{escape(_dump(record[name]))}</pre></details>'
             for name in SETTINGS if record.get(name)]
    command = record.get('command')
    if command:
        parts.insert(0, f'<pre>{escape(str(command))}</pre>')
    return '<h2>How it was made</h2>\n' + '\n'.join(parts) if parts else ''


def _dump(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, indent=2, ensure_ascii=False)
