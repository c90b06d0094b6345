"""Badge, headline and log of a report say the same."""
from __future__ import annotations

from pathlib import Path

import pytest
from report_records import BEFORE, FREE, Page, full_record, guard_record

from mmrefine.report import format_table, group_record, headline, keeps_original, teachers_ahead, write_report

VERDICTS = ('student', 'teacher', 'unproven', 'nothing to learn', 'not run')
FIRST = dict(
    student='The guard accepts 50 % of the way to the student: ',
    teacher='No student was surely better, so the guard hands back the original network, unchanged.',
    unproven='Too little was kept back to prove that a student is better, so the guard hands back the original ',
    **{'nothing to learn': 'There is nothing to learn from this video, so nothing was trained and the original '})


def record_of(verdict, change, scores, name):
    """A record whose refined videos changed by so many per cent."""
    after = {key: value * (1 + change / 100) if key.endswith(name) else value for key, value in scores.items()}
    guard = guard_record(verdict)
    if verdict in ('nothing to learn', 'not run'):
        guard = dict(verdict=verdict, reason='a sentence of the guard')
    return dict(groups=dict(refined=group_record(scores, after)), guard=guard)


def color_of(page: Page) -> str:
    """The colour of the first badge."""
    return next(values['class'] for tag, values in page.attributes if tag == 'span')


@pytest.mark.parametrize('scores, name, worse', [(BEFORE, 'EPE', 'red'), (FREE, 'cycle_median', 'amber')])
@pytest.mark.parametrize('change', [-20., 0., 20.])
@pytest.mark.parametrize('verdict', VERDICTS)
def test_badge_headline_and_log_say_the_same(tmp_path: Path, verdict, change, scores, name, worse):
    record = record_of(verdict, change, scores, name)
    write_report(tmp_path, record)
    text = (tmp_path / 'report.html').read_text(encoding='utf-8')
    page, logged = Page(text), format_table(record).splitlines()[-1]
    said = headline(record)
    assert logged == said and f'<title>{said.split(". ")[0].rstrip(".")}' in text.replace('&#39;', "'")
    assert said.startswith(FIRST.get(verdict, '')) and ('original' in said) is keeps_original(record['guard'])
    accepted = verdict == 'student'
    assert color_of(page) == 'verdict ' + (
        '' if verdict == 'not run' else 'amber' if not accepted else worse if change > 0 else 'green')
    assert ('speaks against the student' in said) is (accepted and change > 0)
    moved = {-1: ' fell from ', 0: ' stayed at ', 1: ' rose from '}[int(change > 0) - int(change < 0)]
    assert moved in said and page.text.index(said.split('. ')[0]) < page.text.index(moved)


def test_what_was_forgotten_is_said_where_it_is_much_and_the_student_is_handed_back(tmp_path):
    record = full_record(tmp_path)
    assert 'forgot' not in headline(record)  # 2 %
    record['guard']['general'].update(after=.6, change_percent=20.)
    assert headline(record).endswith('It forgot some of what it knew beyond this video: on 8 rendered pairs of a fixed '
                                     'look EPE rose by +20.0 %.')
    record['guard']['verdict'] = 'teacher'
    assert 'forgot' not in headline(record)


def test_a_student_that_is_refused_whatever_its_score_is_said_to_be_so():
    guard = guard_record('teacher')
    guard['chosen'] = dict(guard['chosen'], objection='has lost the motion', change_percent=-30.)
    said = headline(dict(groups={}, guard=guard))
    assert said.startswith('The best student has lost the motion; so the guard hands back the original network')
    assert 'No student was surely better' not in said and '−30.0 %' in said


@pytest.mark.parametrize('change, surely, said', [
    (-20., True, 'is ahead of the original network'), (-20., False, 'is perhaps ahead of the original network'),
    (3., False, 'is not ahead of the original network'),
])
def test_how_far_a_teacher_is_ahead_is_said_with_its_interval(change, surely, said):
    guard = guard_record()
    del guard['teachers']
    assert teachers_ahead(guard) == []
    raft = dict(name='raft', surely=surely, change_percent=change, interval_percent=[-30., 5.], pairs=12)
    guard['teachers'] = [raft, dict(raft, name='gma')]
    found, other = teachers_ahead(guard)
    assert found.startswith(f'The teacher, raft, {said}: on 12 frame pairs that were kept back its')
    assert found.endswith(', interval −30.0 to +5.0 %.') and other == found.replace('raft', 'gma')
    raft.update(surely=False, objection='has lost the motion')
    found = teachers_ahead(guard)[0]
    assert ' is not ahead of the original network: ' in found
    assert found.endswith(', interval −30.0 to +5.0 %; it has lost the motion.')
