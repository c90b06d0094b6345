"""What a reader of the report learns first: what changed, by how much, how sure that is, and who says so."""
from __future__ import annotations

from typing import Any, Dict, List, Mapping, Optional, Sequence

from mmrefine.report.record import HEADLINES, change_percent, format_change, kept_back, kind_of

TRUTH, FREE = 'ground truth', 'label-free score'
VIDEOS = {'refined': 'refined videos', 'unseen': 'unseen videos'}


def headline(record: Mapping[str, Any]) -> str:
    """What the run changed on the refined videos, in a sentence or two; first of all, if so, that the teacher was handed back."""
    return ' '.join(sentences(record))


def sentences(record: Mapping[str, Any]) -> List[str]:
    """Those of :func:`headline`; the first says what matters most."""
    return [sentence for sentence in (_given_back(record), _refined(record), _accepted(record)) if sentence]


def figures(record: Mapping[str, Any]) -> List[Dict[str, Any]]:
    """The numbers of the headline, each with its unit and with what decided it.

    Args:
        record: see :mod:`mmrefine.report.record`; that of an older version will do.

    Returns:
        for each group that was scored, for the guard and for its forgetting check: ``name``, ``title``, ``score``, ``unit``, ``before``
        and ``after`` (None for the guard, whose score is a change only), ``change_percent``, ``interval_percent`` ([low, high], either
        may be None, or None), ``pairs``, ``better`` (share of the pairs, or None) and ``decided_by``.
    """
    found = [_of_group(str(name), group) for name, group in record.get('groups', {}).items()]
    found += [_of_guard(record.get('guard', {})), _of_general(record.get('guard', {}))]
    return [figure for figure in found if figure]


def headline_record(record: Mapping[str, Any]) -> Dict[str, Any]:
    """``sentence``, ``verdict`` of the guard and :func:`figures`, for report.json."""
    return dict(sentence=headline(record), verdict=str(record.get('guard', {}).get('verdict', 'not run')), figures=figures(record))


def format_interval(interval: Optional[Sequence[Optional[float]]]) -> str:
    """``−12.0 to −4.1 %``; empty where none is known, and an end that has no bound is said to have none."""
    if not interval or len(interval) != 2 or all(end is None for end in interval):
        return ''
    low, high = ('no bound' if end is None else format_change(end) for end in interval)
    return f'{low[:-2] if low.endswith(" %") else low} to {high}'


def _figure(name: str, title: str, score: str, unit: str, decided_by: str, **numbers: Any) -> Dict[str, Any]:
    empty = dict(before=None, after=None, change_percent=None, interval_percent=None, pairs=None, better=None)
    return dict(name=name, title=title, score=score, unit=unit, decided_by=decided_by, **{**empty, **numbers})


def _of_group(name: str, group: Mapping[str, Any]) -> Dict[str, Any]:
    for metric in HEADLINES:
        before, after = group.get('before', {}).get(metric), group.get('after', {}).get(metric)
        if before is None or after is None:
            continue
        changes = group.get('changes', {})
        changes = changes if changes.get('metric') == metric else {}
        pairs, kind = group.get('pairs'), kind_of(metric)
        judged = group.get('pairs_judged', pairs)
        if metric == 'EPE' and pairs is not None:
            judged = pairs - (group.get('pairs_without_truth') or 0)
        return _figure(
            name, VIDEOS.get(name, name), kind.title, kind.unit, TRUTH if metric == 'EPE' else FREE,
            before=before, after=after, change_percent=change_percent(before, after), pairs=judged,
            interval_percent=changes.get('interval_percent'),
            better=changes['better'] / changes['pairs'] if changes.get('pairs') else None)  # yapf: disable
    return {}


def _of_guard(guard: Mapping[str, Any]) -> Dict[str, Any]:
    chosen = guard.get('chosen') or {}
    if chosen.get('change_percent') is None:
        return {}
    # of those that are surely better the farthest is chosen, which need not be the best
    which = 'best' if guard.get('verdict') == 'teacher' else 'chosen'
    return _figure(
        'guard', 'frame pairs kept back', f'label-free score of the {which} candidate', '', FREE, change_percent=chosen['change_percent'],
        interval_percent=chosen.get('interval_percent'), pairs=chosen.get('pairs'), better=chosen.get('pairs_better'))  # yapf: disable


def _of_general(guard: Mapping[str, Any]) -> Dict[str, Any]:
    general = guard.get('general') or {}
    if general.get('before') is None or general.get('after') is None:
        return {}
    return _figure(
        'general', 'rendered pairs of a fixed look', 'EPE', 'px', TRUTH, before=general['before'], after=general['after'],
        change_percent=general.get('change_percent'), pairs=general.get('pairs'))  # yapf: disable


def _given_back(record: Mapping[str, Any]) -> str:
    if record.get('guard', {}).get('verdict') != 'teacher':
        return ''
    return 'No student was surely better, so the guard hands back the network as it came, unchanged.'


def _accepted(record: Mapping[str, Any]) -> str:
    """What the guard found, behind the numbers of the videos."""
    guard = record.get('guard', {})
    figure = _of_guard(guard)
    if guard.get('verdict') not in ('student', 'teacher') or not figure:
        return ''
    interval = format_interval(figure['interval_percent'])
    found = f'{format_change(figure["change_percent"])}{f", interval {interval}" if interval else ""}'
    where = f'on {kept_back(figure["pairs"])}'
    if guard['verdict'] == 'teacher':
        return f'Without ground truth, {where}: the label-free score of the best student changed by {found}.'
    step = guard['chosen'].get('step', 1)
    part = '' if step == 1 else f' {100 * step:.0f} % of the way to'
    return f'The guard accepts{part} the student: without ground truth, {where}, the label-free score changed by {found}.'


def _refined(record: Mapping[str, Any]) -> str:
    figure = _of_group('refined', record.get('groups', {}).get('refined', {}))
    if not figure:
        return 'Nothing was scored on the refined videos.'
    before, after, change = figure['before'], figure['after'], figure['change_percent']
    verb = 'stayed at' if before == after else 'fell' if after < before else 'rose'
    moved = f'{verb} {after:.3f} px' if before == after else f'{verb} from {before:.3f} to {after:.3f} px'
    interval = format_interval(figure['interval_percent'])
    share = '' if not change else f' ({format_change(change)}{f", interval {interval}" if interval else ""})'
    if figure['decided_by'] == TRUTH:
        return f'By ground truth: EPE on the refined videos {moved}{share}.'
    return (f'Without ground truth: the median cycle error on the refined videos {moved}{share}; '
            'this is a hint, not a measured accuracy.')
