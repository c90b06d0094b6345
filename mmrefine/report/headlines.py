"""What a reader of the report learns first: what changed, by how much, how sure that is, and what decided it."""
from __future__ import annotations

from typing import Any, Dict, List, Mapping, Optional, Tuple

from mmrefine.report.formats import counted, format_change, format_interval, format_value, kept_back, title_in_text
from mmrefine.report.known_figures import FORGETTING, headline_figure
from mmrefine.report.record import change_percent
from mmrefine.structures.figures import GROUND_TRUTH, LABEL_FREE, Figure

# what the badge says of each verdict of the guard; in all but the last two the original network is handed back
DECISIONS = {
    'teacher': 'The guard hands back the original network',
    'unproven': 'Unproven: the guard hands back the original network',
    'nothing to learn': 'Nothing to learn: the original network is handed back',
    'student': 'The guard accepts the student',
    'not run': 'The guard was not run',
}
ORIGINAL = ('teacher', 'unproven', 'nothing to learn')
FORGOTTEN_PERCENT = 5.  # of the error on general pairs; more is said in the headline
VIDEOS = {'refined': 'refined videos', 'unseen': 'unseen videos'}


def headline(record: Mapping[str, Any]) -> str:
    """What the guard decided and what the run changed on the refined videos, in a few sentences."""
    return ' '.join(sentences(record))


def sentences(record: Mapping[str, Any]) -> List[str]:
    """Those of :func:`headline`; the first is the verdict of the guard, if it gave one."""
    guard = record.get('guard', {})
    if guard.get('verdict') == 'student':
        found = [_judged(guard), _refined(record), _contradicted(record), _forgotten(guard)]
    else:
        found = [_handed_back(guard), _refined(record), _judged(guard)]
    return [sentence for sentence in found if sentence]


def badge(record: Mapping[str, Any]) -> Tuple[str, str]:
    """The colour and the text of the badge of a record, which go with the first sentence.

    Green only where the guard accepts the student and the score of the refined videos does not speak against it: if
    that got worse the badge is amber, or red if ground truth says so. Amber where the original network is handed back;
    no colour where there was no guard.
    """
    verdict = str(record.get('guard', {}).get('verdict', 'not run'))
    color = 'amber' if verdict in ORIGINAL else ''
    if verdict == 'student':
        decided_by = _worse_by(record)
        color = 'green' if decided_by is None else 'red' if decided_by == GROUND_TRUTH else 'amber'
    return color, DECISIONS.get(verdict, verdict)


def keeps_original(guard: Mapping[str, Any]) -> bool:
    """Whether the network that is handed back is the original one."""
    return guard.get('verdict') in ORIGINAL


def figures(record: Mapping[str, Any]) -> List[Dict[str, Any]]:
    """The numbers of the headline, each with its unit and with what decided it.

    Args:
        record: see :mod:`mmrefine.report.record`; that of an older version will do.

    Returns:
        for each group that was scored, for the guard and for its forgetting check: ``name``, ``title``, ``score``,
        ``unit``, ``before`` and ``after`` (None for the guard, whose score is a change only), ``change_percent``,
        ``interval_percent`` ([low, high], either may be None, or None), ``pairs`` and what one of them is called
        (``sample``), ``better`` (share of the pairs, or None), ``decided_by``, and ``better_when`` (``'lower'``,
        ``'higher'`` or None).
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


def teachers_ahead(guard: Mapping[str, Any]) -> List[str]:
    """How far each teacher that is another network is ahead of the original network.

    Args:
        guard: of the record.

    Returns:
        a sentence for each; none where the network itself labelled alone, or no teacher was compared.
    """
    found = (_ahead(teacher, sample_name(guard)) for teacher in guard.get('teachers') or ())
    return [sentence for sentence in found if sentence]


def _ahead(teacher: Mapping[str, Any], sample: str) -> str:
    change = teacher.get('change_percent')
    if change is None:
        return ''
    objection = teacher.get('objection')
    perhaps = 'perhaps ahead' if change < 0 and not objection else 'not ahead'
    ahead = 'ahead' if teacher.get('surely') else perhaps
    interval = format_interval(teacher.get('interval_percent'))
    numbers = format_change(change) + (f', interval {interval}' if interval else '')
    return (f'The teacher, {teacher.get("name", "another network")}, is {ahead} of the original network: on '
            f'{kept_back(teacher.get("pairs"), sample)} its label-free score differs by {numbers}'
            f'{f"; it {objection}" if objection else ""}.')


def _number(name: str, title: str, figure: Figure, **numbers: Any) -> Dict[str, Any]:
    empty = dict(before=None, after=None, change_percent=None, interval_percent=None, pairs=None, sample='frame pair',
                 better=None)
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
    judged = changes.get('pairs') if 'clips' in group else group.get('pairs_judged', pairs)
    if figure.decided_by == GROUND_TRUTH and pairs is not None:
        judged = pairs - (group.get('pairs_without_truth') or 0)
    return _number(
        name, VIDEOS.get(name, name), figure, before=before, after=after, change_percent=change_percent(before, after),
        pairs=judged, interval_percent=changes.get('interval_percent'),
        sample='clip' if 'clips' in group else 'frame pair',
        better=changes['better'] / changes['pairs'] if changes.get('pairs') else None)


def _of_guard(guard: Mapping[str, Any]) -> Dict[str, Any]:
    chosen = guard.get('chosen') or {}
    if chosen.get('change_percent') is None:
        return {}
    # of those that are surely better the one farthest from the teacher is chosen, which need not be the best
    which = 'best' if keeps_original(guard) else 'chosen'
    score = Figure('score', better='lower', title=f'label-free score of the {which} candidate', decided_by=LABEL_FREE)
    return _number('guard', f'{sample_name(guard)}s kept back', score, change_percent=chosen['change_percent'],
                   interval_percent=chosen.get('interval_percent'), pairs=chosen.get('pairs'),
                   sample=sample_name(guard), better=chosen.get('pairs_better'))


def _of_forgetting(guard: Mapping[str, Any]) -> Dict[str, Any]:
    general = guard.get('general') or {}
    if general.get('before') is None or general.get('after') is None:
        return {}
    figure = Figure.from_dict(general['figure']) if 'figure' in general else FORGETTING
    numbers = {key: general.get(key) for key in ('before', 'after', 'change_percent', 'pairs')}
    return _number('general', f'rendered {sample_name(guard).split()[-1]}s of a fixed look', figure,
                   sample=sample_name(guard), **numbers)


def _handed_back(guard: Mapping[str, Any]) -> str:
    objection = (guard.get('chosen') or {}).get('objection')
    if guard.get('verdict') == 'teacher' and objection:
        return f'The best student {objection}; so the guard hands back the original network, unchanged.'
    return {
        'teacher': 'No student was surely better, so the guard hands back the original network, unchanged.',
        'unproven': 'Too little was kept back to prove that a student is better, so the guard hands back the original '
                    'network, unchanged; the student is kept in student.pth.',
        'nothing to learn': 'There is nothing to learn from this video, so nothing was trained and the original '
                            'network is handed back, unchanged.',
    }.get(str(guard.get('verdict')), '')


def _worse_by(record: Mapping[str, Any]) -> Optional[str]:
    """What decided that the refined videos got worse, ground truth or the label-free score; None if they did not."""
    found = _of_group('refined', record.get('groups', {}).get('refined', {}))
    change = found.get('change_percent')
    if change is None or format_change(change) == '0.0 %':
        return None
    return str(found['decided_by']) if (change > 0) == (found['better_when'] == 'lower') else None


def _contradicted(record: Mapping[str, Any]) -> str:
    decided_by = _worse_by(record)
    if decided_by is None:
        return ''
    return (f'So the {decided_by} on the refined videos speaks against the student that the guard accepts; look at '
            'both before you use it.')


def _forgotten(guard: Mapping[str, Any]) -> str:
    found = _of_forgetting(guard)
    if not found or found['change_percent'] is None or found['change_percent'] <= FORGOTTEN_PERCENT:
        return ''
    rendered = f'rendered {sample_name(guard).split()[-1]}'
    return (f'It forgot some of what it knew beyond this video: on {counted(found["pairs"], rendered)} of a '
            f'fixed look {title_in_text(Figure(found["score"]))} rose by {format_change(found["change_percent"])}.')


def _judged(guard: Mapping[str, Any]) -> str:
    """What the guard found."""
    figure = _of_guard(guard)
    if guard.get('verdict') not in ('student', 'teacher', 'unproven'):
        return ''
    if not figure:
        return f'{DECISIONS["student"]}.' if guard['verdict'] == 'student' else ''
    interval = format_interval(figure['interval_percent'])
    found = format_change(figure['change_percent']) + (f', interval {interval}' if interval else '')
    where = f'on {kept_back(figure["pairs"], sample_name(guard))}'
    if keeps_original(guard):
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
