"""What a reader of the report learns first: what changed, by how much, how sure that is, and what decided it."""
from __future__ import annotations

from typing import Any, Dict, List, Mapping

from mmrefine.report.formats import format_change, format_interval, format_value, kept_back, title_in_text
from mmrefine.report.known_figures import FORGETTING, headline_figure
from mmrefine.report.record import change_percent
from mmrefine.structures.figures import GROUND_TRUTH, LABEL_FREE, Figure

VIDEOS = {'refined': 'refined videos', 'unseen': 'unseen videos'}


def headline(record: Mapping[str, Any]) -> str:
    """What the run changed on the refined videos, in a sentence or two; first, if so, that no student was accepted."""
    return ' '.join(sentences(record))


def sentences(record: Mapping[str, Any]) -> List[str]:
    """Those of :func:`headline`; the first says what matters most."""
    return [sentence for sentence in (_handed_back(record), _refined(record), _accepted(record)) if sentence]


def figures(record: Mapping[str, Any]) -> List[Dict[str, Any]]:
    """The numbers of the headline, each with its unit and with what decided it.

    Args:
        record: see :mod:`mmrefine.report.record`; that of an older version will do.

    Returns:
        for each group that was scored, for the guard and for its forgetting check: ``name``, ``title``, ``score``,
        ``unit``, ``before`` and ``after`` (None for the guard, whose score is a change only), ``change_percent``,
        ``interval_percent`` ([low, high], either may be None, or None), ``pairs``, ``better`` (share of the pairs, or
        None), ``decided_by``, and ``better_when`` (``'lower'``, ``'higher'`` or None).
    """
    found = [_of_group(str(name), group) for name, group in record.get('groups', {}).items()]
    found += [_of_guard(record.get('guard', {})), _of_forgetting(record.get('guard', {}))]
    return [figure for figure in found if figure]


def headline_record(record: Mapping[str, Any]) -> Dict[str, Any]:
    """``sentence``, ``verdict`` of the guard and :func:`figures`, for report.json."""
    verdict = str(record.get('guard', {}).get('verdict', 'not run'))
    return dict(sentence=headline(record), verdict=verdict, figures=figures(record))


def sample_name(guard: Mapping[str, Any]) -> str:
    """What the guard compared networks on."""
    return str((guard.get('score') or {}).get('sample', 'frame pair'))


def _number(name: str, title: str, figure: Figure, **numbers: Any) -> Dict[str, Any]:
    empty = dict(before=None, after=None, change_percent=None, interval_percent=None, pairs=None, better=None)
    return dict(name=name, title=title, score=figure.title, unit=figure.unit, decided_by=figure.decided_by,
                **{**empty, **numbers}, better_when=figure.better)


def _of_group(name: str, group: Mapping[str, Any]) -> Dict[str, Any]:
    figure = headline_figure(group)
    if figure is None:
        return {}
    before, after = (group[side][figure.name] for side in ('before', 'after'))
    changes = group.get('changes', {})
    changes = changes if changes.get('metric') == figure.name else {}
    pairs = group.get('pairs')
    judged = group.get('pairs_judged', pairs)
    if figure.decided_by == GROUND_TRUTH and pairs is not None:
        judged = pairs - (group.get('pairs_without_truth') or 0)
    return _number(
        name, VIDEOS.get(name, name), figure, before=before, after=after, change_percent=change_percent(before, after),
        pairs=judged, interval_percent=changes.get('interval_percent'),
        better=changes['better'] / changes['pairs'] if changes.get('pairs') else None)


def _of_guard(guard: Mapping[str, Any]) -> Dict[str, Any]:
    chosen = guard.get('chosen') or {}
    if chosen.get('change_percent') is None:
        return {}
    # of those that are surely better the one farthest from the teacher is chosen, which need not be the best
    which = 'best' if guard.get('verdict') == 'teacher' else 'chosen'
    score = Figure('score', better='lower', title=f'label-free score of the {which} candidate', decided_by=LABEL_FREE)
    return _number('guard', f'{sample_name(guard)}s kept back', score, change_percent=chosen['change_percent'],
                   interval_percent=chosen.get('interval_percent'), pairs=chosen.get('pairs'),
                   better=chosen.get('pairs_better'))


def _of_forgetting(guard: Mapping[str, Any]) -> Dict[str, Any]:
    general = guard.get('general') or {}
    if general.get('before') is None or general.get('after') is None:
        return {}
    figure = Figure.from_dict(general['figure']) if 'figure' in general else FORGETTING
    numbers = {key: general.get(key) for key in ('before', 'after', 'change_percent', 'pairs')}
    return _number('general', 'rendered pairs of a fixed look', figure, **numbers)


def _handed_back(record: Mapping[str, Any]) -> str:
    if record.get('guard', {}).get('verdict') != 'teacher':
        return ''
    return 'No student was surely better, so the guard hands back the original network, unchanged.'


def _accepted(record: Mapping[str, Any]) -> str:
    """What the guard found; it stands behind the numbers of the videos."""
    guard = record.get('guard', {})
    figure = _of_guard(guard)
    if guard.get('verdict') not in ('student', 'teacher') or not figure:
        return ''
    interval = format_interval(figure['interval_percent'])
    found = format_change(figure['change_percent']) + (f', interval {interval}' if interval else '')
    where = f'on {kept_back(figure["pairs"], sample_name(guard))}'
    if guard['verdict'] == 'teacher':
        return f'Without ground truth, {where}: the label-free score of the best student changed by {found}.'
    step = guard['chosen'].get('step', 1)
    student = 'the student' if step == 1 else f'{100 * step:.0f} % of the way to the student'
    return f'The guard accepts {student}: without ground truth, {where}, the label-free score changed by {found}.'


def _refined(record: Mapping[str, Any]) -> str:
    group = record.get('groups', {}).get('refined', {})
    figure, found = headline_figure(group), _of_group('refined', group)
    if figure is None:
        return 'Nothing was scored on the refined videos.'
    before, after, change = found['before'], found['after'], found['change_percent']
    verb = 'stayed at' if before == after else 'fell' if after < before else 'rose'
    moved = f'{verb} {"" if before == after else f"from {format_value(before)} to "}{format_value(after)} {figure.unit}'
    interval = format_interval(found['interval_percent'])
    share = f' ({format_change(change)}{f", interval {interval}" if interval else ""})' if change else ''
    title = title_in_text(figure)
    subject = f'{"the " if title[0].islower() else ""}{title} on the refined videos {moved.strip()}{share}'
    if figure.decided_by == GROUND_TRUTH:
        return f'By ground truth: {subject}.'
    return f'Without ground truth: {subject}; this is a hint, not a measured accuracy.'
