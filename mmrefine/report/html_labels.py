"""The section of the report about the labels."""
from __future__ import annotations

from html import escape
from typing import Any, List, Mapping, Optional, Sequence

from mmrefine.evaluation.labels.quality import SPEED_PREFIX
from mmrefine.report.html_parts import figure, legend, table
from mmrefine.report.record import format_value

# statistics of the store by name: title, unit, factor
LABELS = {
    'kept': ('kept', '%', 100), 'mean_motion': ('mean motion', 'px', 1), 'cycle_error_median': ('cycle error, median', 'px', 1),
    'cycle_error_mean': ('cycle error, mean', 'px', 1), 'color_residual': ('colour residual', 'grey levels', 1)
}


def labels_section(labels: Mapping[str, Any]) -> str:
    """The verdict of each scene, the statistics, folded where and at which speeds labels were kept, and a few labels over their frames.

    Args:
        labels: of a complete record; ``quality`` and ``overlays`` may be missing. Empty: no section.
    """
    if not labels:
        return ''
    where = f' They lie in the folder {labels["store"]}.' if labels.get('store') else ''
    parts = [f'<p class="soft">{escape("What the teacher labelled, and how much of it passed the checks." + where)}</p>']
    quality = labels.get('quality')
    if quality:
        parts += [_verdicts(quality), _details(quality, _statistics(labels))]
    else:
        parts.append(_statistics(labels))
    parts.append(_overlays(labels))
    return '\n'.join(part for part in parts if part)


def _overlays(labels: Mapping[str, Any]) -> str:
    overlays = labels.get('overlays') or []
    if not overlays:
        return ''
    captions = [str(one.get('caption', '')) + (f', rim {one["max_motion"]:.2f} px' if one.get('max_motion') else '')
                for one in overlays]
    figures = [figure(one['path'], caption, f'kept labels over the frame, {caption}') for one, caption in zip(overlays, captions)]
    text = ('Motion that was kept, the stronger its colour the more it weighs; dark where it was not kept. Full colour: the rim of the '
            'wheel; one scale for each scene.')
    return f'<h3>Kept labels</h3>\n{legend(labels.get("wheel"), text)}\n<div class="grid">\n' + '\n'.join(figures) + '\n</div>'


def _verdicts(quality: Mapping[str, Any]) -> str:
    known = 'truth' in quality
    head = ['scene', 'verdict', 'kept [%]', 'colour [grey levels]', 'duplicates', 'cuts', 'still']
    head += ['EPE [px]', 'within 1 px [%]'] if known else []
    rows = [_verdict_row(name, scene, known) for name, scene in quality['scenes'].items()]
    rows.append(_verdict_row('overall', quality, known, ' class="overall"'))
    cells = [f'<th>{title}</th>' for title in head]
    return table([[*cells[:2], '<th class="why">why</th>', *cells[2:]]], rows)


def _verdict_row(name: str, scene: Mapping[str, Any], known: bool, attributes: str = '') -> str:
    truth = scene.get('truth', {})
    cells = [_percent(scene['kept']), format_value(scene['color_residual'])]
    kinds = (scene[kind] for kind in ('duplicates', 'cuts', 'still'))
    cells += [f'{kind["pairs"]} / {kind["judged"]}' if kind['judged'] else '–' for kind in kinds]
    cells += [format_value(truth.get('EPE')), _percent(truth.get('precision'))] if known else []
    color = escape(str(scene['verdict']))
    row = [f'<td>{escape(str(name))}</td>', f'<td><span class="verdict {color}">{color}</span></td>',
           f'<td class="why">{escape(str(scene["reason"]))}</td>']  # yapf: disable
    row += [f'<td>{escape(cell)}</td>' for cell in cells]
    return f'<tr{attributes}>{"".join(row)}</tr>'


def _details(quality: Mapping[str, Any], more: str) -> str:
    speed, cycle, truth = quality['speed'], quality['cycle_error'], quality.get('truth')
    parts = []
    if speed['share'] is not None:
        rows = [('pixels [%]', map(_percent, speed['share'])), ('of these kept [%]', map(_percent, speed['kept']))]
        parts.append(_small('Speed by the teacher, px', speed['bins_px'], rows))
    if truth:
        by = truth['speed']
        rows = [('pixels [%]', map(_percent, by['share'])), ('of these kept [%]', map(_percent, by['coverage'])),
                ('EPE of the kept [px]', map(format_value, by['EPE'])), ('within 1 px [%]', map(_percent, by['precision']))]
        parts.append(_small('True speed, px', by['bins_px'], rows))
    if cycle['share'] is not None:
        edges = [f'{edge:g}' for edge in cycle['edges_px']]
        bins = [f'{low}–{high}' for low, high in zip(edges, edges[1:])] + [f'{edges[-1]}+']
        what = 'label weight [%]' if cycle['of'] == 'pixels' else 'pairs by their median [%]'
        parts.append(_small('Cycle error, px', bins, [(what, map(_percent, cycle['share']))]))
    rows = [(name, map(_percent, row)) for name, row in zip(('top', 'middle', 'bottom'), quality['regions'])]
    parts.append(_small('Part of the frame, kept [%]', ('left', 'centre', 'right'), rows))
    return '<details><summary>Labels by speed, cycle error and place</summary>\n' + '\n'.join([*parts, more]) + '</details>'


def _small(title: str, columns: Sequence[str], rows: Sequence[Any]) -> str:
    head = [f'<th>{escape(title)}</th>'] + [f'<th>{escape(str(column))}</th>' for column in columns]
    lines = [f'<tr><td>{escape(name)}</td>' + ''.join(f'<td>{escape(cell)}</td>' for cell in cells) + '</tr>' for name, cells in rows]
    return table([head], lines)


def _percent(share: Optional[float]) -> str:
    return '–' if share is None else f'{100 * share:.1f}'


def _statistics(labels: Mapping[str, Any]) -> str:
    overall = {key: value for key, value in labels.items() if not isinstance(value, (Mapping, list, str))}
    scenes = labels.get('scenes') or {}
    columns = list(dict.fromkeys([*overall, *(key for stats in scenes.values() for key in stats)]))
    columns = [column for column in columns if not column.startswith(SPEED_PREFIX)]
    head = ['<th>scene</th>']
    for column in columns:
        title, unit, _ = LABELS.get(column, (column.replace('_', ' '), '', 1))
        head.append(f'<th>{escape(title)}{f" [{escape(unit)}]" if unit else ""}</th>')
    rows = [_label_row(name, stats, columns) for name, stats in scenes.items()]
    if overall:
        rows.append(_label_row('overall', overall, columns, ' class="overall"'))
    return table([head], rows)


def _label_row(name: str, stats: Mapping[str, Any], columns: List[str], attributes: str = '') -> str:
    cells = [f'<td>{escape(str(name))}</td>']
    for column in columns:
        value, factor = stats.get(column), LABELS.get(column, ('', '', 1))[2]
        cells.append(f'<td>{escape(format_value(value * factor if isinstance(value, float) else value))}</td>')
    return f'<tr{attributes}>{"".join(cells)}</tr>'
