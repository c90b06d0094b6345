"""Tables over many runs, and of one network."""
from __future__ import annotations

import re

import pytest

from mmrefine.errors import InputError
from mmrefine.report import group_record, read_report, score_table, summary_table, write_report


def report(**scenes):
    """A report whose scenes have these EPEs (before, after); the overall value is of no matter here."""
    before, after = ({'EPE': 1., **{f'scene/{name}/EPE': epe[i] for name, epe in scenes.items()}} for i in range(2))
    return dict(groups=dict(refined=group_record(before, after)))


def test_every_scene_weighs_the_same_whatever_its_error():
    lines = summary_table([report(alley_1=(1., 0.5)), report(market_5=(10., 11.))]).splitlines()
    assert [line.split() for line in lines] == [
        ['scene', 'EPE', 'before', 'after', 'change'],
        ['alley_1', '1.000', '0.500', '-50.0', '%'],
        ['market_5', '10.000', '11.000', '+10.0', '%'],
        ['mean', 'of', 'the', 'changes', '-20.0', '%'],  # (-50 + 10) / 2, not (11.5 - 11) / 11
    ]
    assert len({len(line) for line in lines}) == 1


def test_a_run_without_truth_is_summed_up_by_its_cycle_error():
    sides = [{'cycle_median': value, 'scene/a/cycle_median': value} for value in (0.4, 0.3)]
    lines = summary_table([dict(groups=dict(refined=group_record(*sides)))]).splitlines()
    assert lines[0].split()[1:3] == ['cycle_median', 'before'] and lines[1].split() == ['a', '0.400', '0.300', '-25.0',
                                                                                        '%']


def test_runs_are_told_apart_by_name_unless_they_are_named_after_their_scene():
    lines = summary_table([report(dog=(1., 0.5)), report(dog=(1., 2.)), report(cat=(1., 1.))],
                          ['first', 'second', 'cat']).splitlines()
    assert [line.split()[0] for line in lines[1:4]] == ['first/dog', 'second/dog', 'cat']


def test_reports_without_the_group_are_left_out_and_nothing_is_made_up():
    assert summary_table([dict(groups={})]).splitlines()[-1].split() == ['mean', 'of', 'the', 'changes', '-']
    assert 'nan' not in summary_table([report(a=(0., 0.))])


def test_a_written_report_is_read_back(tmp_path):
    assert read_report(tmp_path) is None
    written = write_report(tmp_path, report(alley_1=(1., 0.5)))
    assert read_report(tmp_path) == written and written['groups']['refined']['scenes']['alley_1']['after']['EPE'] == 0.5


@pytest.mark.parametrize('text, sentence', [
    ('{"gro', 'is not valid JSON'), ('[1]', 'is not a report of mmrefine'), ('{}', 'its "groups" is missing'),
    ('[' * 100_000, 'not valid JSON (objects lie in objects too deep)'), ('{"groups": NaN}', 'holds NaN'),
    ('{"groups": ' + '9' * 5000 + '}', 'is not valid JSON'), ('{"groups": []}', 'its "groups" is not an object'),
    ('{"groups": {"refined": 5}}', 'it cannot be shown (AttributeError'),
    ('{"groups": {}, "labels": {"quality": 5}}', 'it cannot be shown (')])
def test_something_else_in_its_place_is_refused(tmp_path, text, sentence):
    (tmp_path / 'report.json').write_text(text)
    with pytest.raises(InputError, match=re.escape(sentence)) as error:
        read_report(tmp_path)
    assert str(tmp_path / 'report.json') in str(error.value)


def test_the_scores_of_one_network_stand_in_one_block_a_group():
    scores = {'EPE': 1.5, 'Fl': 7.25, 'pairs': 3, 'pairs_without_truth': 0, 'scene/b/EPE': 2.,
              'scene/a/EPE': 1., 'scene/a/Fl': 7.}
    blocks = score_table(dict(refined=scores, unseen={'cycle_median': 0.1, 'pairs': 1})).split('\n\n')
    assert [line.split() for line in blocks[0].splitlines()] == [
        ['refined', '(3', 'pairs)'],
        ['scene', 'EPE', '[px]', 'Fl', '[%]'],
        ['a', '1.000', '7.000'],
        ['b', '2.000', '-'],
        ['overall', '1.500', '7.250'],
    ]
    assert blocks[1].splitlines()[0] == 'unseen (1 pairs)' and blocks[1].splitlines()[-1].split() == ['overall',
                                                                                                      '0.100']
