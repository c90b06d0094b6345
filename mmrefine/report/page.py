"""The report as one static page: no network, readable on a phone, with script only where there is a slider to move."""
from __future__ import annotations

from typing import Any, Dict, List, Mapping

from markupsafe import Markup

from mmrefine.evaluation.labels.quality import SPEED_PREFIX
from mmrefine.report.formats import format_value, title_in_text
from mmrefine.report.headlines import VIDEOS, badge, figures, sample_name, sentences, teachers_ahead
from mmrefine.report.known_figures import figure_of, figures_of, label_figures, main_figures, witness_figures
from mmrefine.report.long_tables import Folded, fold, fold_scores
from mmrefine.report.plots import Dot, dot_plot, line_plot
from mmrefine.report.record import change_percent
from mmrefine.report.rounds import rounds_section
from mmrefine.report.template import FOLDER, render
from mmrefine.structures.figures import Figure

VERDICTS = ('red', 'amber', 'green')  # from the worst on
# of the guard; what else a record says of it is shown as it is
GUARD_PARTS = ('verdict', 'reason', 'chosen', 'witnesses', 'candidates', 'looks', 'general', 'held_out', 'score',
               'teachers')
CURVES = {'loss': 'training loss', 'epe_to_label': 'distance to the labels [px]',
          'error_to_label': 'distance to the labels [px]', 'lr': 'learning rate',
          'grad_norm': 'norm of the gradient'}


def render_page(record: Mapping[str, Any]) -> str:
    """The whole page; every string of the record is escaped.

    Args:
        record: a complete record of strict JSON values, see :mod:`mmrefine.report.record`. The paths of pictures are
            relative to the folder of the page.
    """
    guard = record['guard']
    color, decision = badge(record)
    groups = [(str(name), group) for name, group in record['groups'].items()]
    changed = [(_title(name), group['changes'], figure_of(str(group['changes'].get('metric')), group),
                next((kind for kind in ('videos', 'clips') if kind in group), 'pairs'))
               for name, group in groups if (group.get('changes') or {}).get('pairs')]
    sections = [
        ('video', 'Before and after', render('video.html', video=record.get('video') or {})),
        ('pairs', f'{"Clips" if {one[-1] for one in changed} == {"clips"} else "Frame pairs"} that changed most',
         render('pairs.html', groups=changed, change_percent=change_percent, title_in_text=title_in_text)),
        ('pictures', 'Pictures', render('pictures.html', pictures=record['pictures'])),
        *((f'group-{i}', _title(name), _group(name, group)) for i, (name, group) in enumerate(groups, 1)),
        ('guard', 'Regression guard', _guard(guard, decision)),
        ('rounds', 'Rounds', rounds_section(record.get('rounds') or [], guard)),
        ('labels', 'Labels', _labels(record['labels'])),
        ('curves', 'Training', _curves(record.get('curves', {}))),
        ('made', 'How it was made', render('made.html', record=record)),
    ]
    style, script = (Markup((FOLDER / name).read_text(encoding='utf-8')) for name in ('style.css', 'slider.js'))
    page = render('page.html', sentences=sentences(record), color=color, decision=decision, figures=figures(record),
                  sections=[one for one in sections if one[2]], style=style, script=script)
    return f'{page}\n'


def _title(group: str) -> str:
    return VIDEOS[group].capitalize() if group in VIDEOS else group


def _group(name: str, group: Mapping[str, Any]) -> Markup:
    shown = figures_of(group)
    main = main_figures(group)
    return render('scores.html', name=name, group=group, main=main, more=[one for one in shown if one not in main],
                  fold=fold_scores(group.get('scenes') or {}, main))


def _folded_labels(scenes: Mapping[str, Any]) -> Folded:
    """The scenes by their verdicts, and by how much was kept, from the worst on."""
    kept = {name: None if scene.get('kept') is None else 100 * scene['kept'] for name, scene in scenes.items()}
    ranks = {name: (VERDICTS.index(scene['verdict']) if scene.get('verdict') in VERDICTS else len(VERDICTS),
                    kept[name] or 0.) for name, scene in scenes.items()}
    return fold(scenes, ranks, kept, 'kept [%]', 'scenes, from the worst to the best verdict [%]')


def _guard(guard: Mapping[str, Any], decision: str) -> Markup:
    candidates: List[Dict[str, Any]] = guard.get('candidates') or []
    chosen = guard.get('chosen') or {}
    students = list(dict.fromkeys(one.get('iter') for one in candidates))
    dots = [Dot(100 * one['step'], one['change_percent'], one.get('interval_percent') or (None, None),
                _same(one, chosen), students.index(one.get('iter')))
            for one in candidates if one.get('change_percent') is not None and one.get('step') is not None]
    shown, learned = witness_figures(guard), (guard.get('score') or {}).get('learned') or []
    axes = 'way from the original network to the student [%]', 'change of the label-free score [%]'
    reason = ': '.join([decision, *([str(guard['reason'])] if guard.get('reason') else [])])
    return render(
        'guard.html', guard=guard, reason=reason[:1].upper() + reason[1:] + ('' if reason.endswith('.') else '.'),
        candidates=[(one, _same(one, chosen)) for one in candidates], students=students, sample=sample_name(guard),
        plot=dot_plot(dots, *axes, 'original') if dots else '',
        witnesses=shown, learned=[figure.title for figure in shown if figure.name in learned],
        teachers=teachers_ahead(guard), change_percent=change_percent,
        forgetting=next((figure for figure in figures(dict(guard=guard)) if figure['name'] == 'general'), None),
        rest={key: value for key, value in guard.items() if key not in GUARD_PARTS})


def _same(candidate: Mapping[str, Any], chosen: Mapping[str, Any]) -> bool:
    return all(candidate.get(key) == chosen.get(key) for key in ('iter', 'step'))


def _labels(labels: Mapping[str, Any]) -> Markup:
    if not labels:
        return Markup('')
    scenes = labels.get('scenes') or {}
    overall = {key: value for key, value in labels.items() if not isinstance(value, (Mapping, list, str))}
    lines = [*scenes.items(), *([('overall', overall)] if overall else [])]
    columns = label_figures(name for stats in [overall, *scenes.values()] for name in stats
                            if not name.startswith(SPEED_PREFIX))
    rows = [(name, [_statistic(stats.get(column.name), column) for column in columns]) for name, stats in lines]
    edges = [f'{edge:g}' for edge in (labels.get('quality') or {}).get('cycle_error', {}).get('edges_px', ())]
    bins = [f'{low}–{high}' for low, high in zip(edges, edges[1:])] + [f'{low}+' for low in edges[-1:]]
    return render('labels.html', labels=labels, columns=columns, rows=rows, overall=bool(overall), cycle_bins=bins,
                  fold=_folded_labels((labels.get('quality') or {}).get('scenes') or {}))


def _statistic(value: Any, figure: Figure) -> str:
    """A store keeps shares in [0, 1]."""
    return format_value(100 * value if figure.unit == '%' and isinstance(value, float) else value)


def _curves(curves: Mapping[str, Any]) -> Markup:
    """A plot of each curve that has points."""
    plots, steps = [], 1
    for name, curve in curves.items():
        both = zip(curve.get('steps') or [], curve.get('values') or [])
        points = [point for point in both if None not in point]
        if points:
            plots.append(line_plot(CURVES.get(name, name.replace('_', ' ')), points, 'optimiser step'))
            steps = max(steps, curve.get('mean_of', 1))
    return render('curves.html', plots=plots, steps=steps)
