import html
import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from report_records import Page, bare

from mmrefine.errors import MMRefineError
from mmrefine.evaluation import quality_record, speed_stats, tally_label, tally_truth
from mmrefine.report import format_table, group_record, headline, write_report
from mmrefine.report.record import change_percent, complete
from mmrefine.structures import FlowLabel

BEFORE = {'EPE': 2.0, 'Fl': 10.0, '1px': 50.0, 'scene/a/EPE': 1.0, 'scene/a/Fl': 5.0, 'scene/a/1px': 60.0,
          'scene/b/EPE': 4.0,
          'scene/b/Fl': 20.0, 'scene/b/1px': 30.0, 'pairs': 7, 'pairs_without_truth': 0}
AFTER = {**BEFORE, 'EPE': 1.5, 'scene/a/EPE': 0.5, 'scene/b/EPE': 5.0, 'Fl': 12.0}


def record(**more):
    return dict(groups=dict(refined=group_record(BEFORE, AFTER)), **more)


def test_a_group_holds_both_sides_the_change_and_the_scenes():
    group = group_record(BEFORE, AFTER)
    assert group['pairs'] == 7 and 'pairs' not in group['before']
    assert group['before']['EPE'] == 2.0 and group['after']['EPE'] == 1.5
    assert group['change_percent']['EPE'] == pytest.approx(-25)
    assert group['scenes']['a']['change_percent']['EPE'] == pytest.approx(-50)
    assert group['scenes']['b'] == {
        'before': {'EPE': 4.0, 'Fl': 20.0, '1px': 30.0},
        'after': {'EPE': 5.0, 'Fl': 20.0, '1px': 30.0},
        'change_percent': {'EPE': 25.0, 'Fl': 0.0, '1px': 0.0},
    }
    assert group['scene_mean_change_percent']['EPE'] == pytest.approx(-12.5)


def test_before_and_after_must_judge_the_same_pairs():
    with pytest.raises(ValueError, match='pairs is 7 before and 8 after'):
        group_record(BEFORE, {**AFTER, 'pairs': 8})


@pytest.mark.parametrize('before, after, change', [
    (2., 1., -50.), (2., 3., 50.), (0., 1., None), (None, 1., None), (1., None, None),
    (float('nan'), 1., None), (1., float('inf'), None)])
def test_a_change_is_relative_to_before_or_unknown(before, after, change):
    assert change_percent(before, after) == change


def test_the_files_appear_with_their_folder_and_nothing_else(tmp_path):
    write_report(tmp_path / 'work', record())
    assert sorted(path.name for path in (tmp_path / 'work').iterdir()) == ['report.html', 'report.json']


def test_report_json_has_every_part_of_the_schema(tmp_path):
    write_report(tmp_path, record())
    found = json.loads((tmp_path / 'report.json').read_text())
    assert list(found) == [
        'schema', 'groups', 'labels', 'guard', 'settings', 'seeds', 'versions', 'timings', 'command', 'pictures',
        'video', 'curves', 'rounds',
        'headline']
    assert found['schema'] == 1 and found['guard'] == {'verdict': 'not run'}
    assert found['groups']['refined']['scenes']['b']['after']['EPE'] == 5.0


def test_report_json_is_strict_and_knows_numpy_torch_and_paths(tmp_path):
    odd = dict(a=float('nan'), b=np.float32(0.5), c=torch.tensor([1, 2]), d=(np.inf, 3), e=Path('x/y'),
               f={'k': np.nan}, g={3, 1},
               h=torch.float32)
    write_report(tmp_path, record(settings=odd))

    def refuse(name):
        raise AssertionError(f'{name} is not JSON')

    found = json.loads((tmp_path / 'report.json').read_text(), parse_constant=refuse)
    assert found['settings'] == dict(a=None, b=0.5, c=[1, 2], d=[None, 3], e='x/y', f={'k': None}, g=[1, 3],
                                     h='torch.float32')


def test_a_work_dir_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / 'file').write_text('')
    with pytest.raises(MMRefineError, match=r'file/work/report\.json: cannot be written'):
        write_report(tmp_path / 'file' / 'work', record())


def test_completing_a_record_leaves_the_callers_untouched():
    mine = record(settings=dict(a=float('nan')))
    complete(mine)
    assert mine['settings']['a'] != mine['settings']['a'] and 'seeds' not in mine


@pytest.mark.parametrize('after, sentence', [
    (1.5, 'By ground truth: EPE on the refined videos fell from 2.000 to 1.500 px (−25.0 %).'),
    (2.5, 'By ground truth: EPE on the refined videos rose from 2.000 to 2.500 px (+25.0 %).'),
    (2.0, 'By ground truth: EPE on the refined videos stayed at 2.000 px.')])
def test_the_headline_says_fell_rose_or_stayed(after, sentence):
    assert headline(dict(groups=dict(refined=group_record({'EPE': 2.}, {'EPE': after})))) == sentence


def test_the_headline_without_truth_is_called_a_hint():
    sentence = headline(dict(groups=dict(refined=group_record({'cycle_median': .4}, {'cycle_median': .3}))))
    start = 'Without ground truth: the median cycle error on the refined videos fell from 0.400 to 0.300 px'
    assert sentence.startswith(start)
    assert sentence.endswith('a hint, not a measured accuracy.')


def test_the_headline_of_an_empty_record_says_so():
    assert headline({}) == 'Nothing was scored on the refined videos.'


def test_the_page_is_well_formed_static_and_asks_for_nothing(tmp_path):
    pictures = [dict(path='pictures/a 1.png', caption='a')]
    write_report(tmp_path, record(pictures=pictures, settings=dict(lr=1e-4), command='train x'))
    text = (tmp_path / 'report.html').read_text()
    page = Page(text)
    assert page.open == [] and page.tags.count('table') == 1 and page.tags.count('details') == 1
    assert not {'script', 'link', 'iframe'} & set(page.tags)
    assert not re.search(r'https?:|//|@import|url\(', text)
    assert ('img', {'loading': 'lazy', 'src': 'pictures/a%201.png', 'alt': 'a'}) in page.attributes
    assert ('meta', {'name': 'viewport', 'content': 'width=device-width, initial-scale=1'}) in page.attributes


def test_a_better_score_is_green_and_a_worse_one_red_whichever_way_is_better(tmp_path):
    after = {**BEFORE, 'EPE': 1.0, 'Fl': 11.0, '1px': 75.0, 'scene/a/1px': 30.0}
    write_report(tmp_path, dict(groups=dict(refined=group_record(BEFORE, after))))
    text = (tmp_path / 'report.html').read_text()
    # EPE and Fl: lower is better; within 1 px: higher is better
    assert '<td class="good">−50.0 %</td>' in bare(text) and '<td class="bad">+10.0 %</td>' in bare(text)
    assert '<td class="good">+50.0 %</td>' in bare(text) and '<td class="bad">−50.0 %</td>' in bare(text)
    assert '<td>0.0 %</td>' in bare(text)


def test_strings_of_the_user_cannot_become_markup(tmp_path):
    evil = '<script>alert("1")</script>'
    scenes = {**BEFORE, f'scene/{evil.replace("/", "")}/EPE': 1.}
    write_report(tmp_path, dict(
        groups={'refined': group_record(scenes, scenes), evil: group_record(BEFORE, AFTER)},
        labels={evil: 1., 'scenes': {evil: {'kept': 0.5}}}, guard={'verdict': evil, 'why': evil}, settings={evil: evil},
        command=evil, pictures=[dict(path='javascript:alert(1)', caption='"' + evil)]))
    text = (tmp_path / 'report.html').read_text()
    page = Page(text)
    assert 'script' not in page.tags and '<script' not in text
    # shown as text instead: guard (badge, verdict, more), group (card, link, title), scene, labels (title, scene),
    # command, caption
    assert page.text.count('alert("1")') == 10 and page.text.count('alert(\\"1\\")') == 3
    assert [a['src'] for tag, a in page.attributes if tag == 'img'] == ['javascript%3Aalert%281%29']


def test_label_statistics_are_shown_by_scene_and_overall_with_shares_in_percent(tmp_path):
    write_report(tmp_path, record(labels=dict(kept=0.75, pairs=7, scenes=dict(a=dict(kept=0.875, mean_motion=3.25)))))
    text = bare((tmp_path / 'report.html').read_text())
    for cell in ('<th>kept [%]</th>', '<td>87.500</td>', '<td>75.000</td>', '<td>3.250</td>'):
        assert cell in text


def test_a_group_without_truth_says_so(tmp_path):
    counts = {'pairs': 4, 'pairs_without_truth': 4}
    write_report(tmp_path, dict(groups=dict(refined=group_record(counts, counts))))
    text = (tmp_path / 'report.html').read_text()
    assert 'No pair has ground truth.' in text and 'Nothing was scored.' in text


def test_the_table_for_the_terminal_is_aligned_and_complete():
    assert format_table(record(), metrics=['EPE', 'Fl']) == '''\
refined: the videos it was refined on (7 pairs)
                          EPE [px]                   Fl [%]
scene       before  after   change  before   after   change
-----------------------------------------------------------
a            1.000  0.500  −50.0 %   5.000   5.000    0.0 %
b            4.000  5.000  +25.0 %  20.000  20.000    0.0 %
-----------------------------------------------------------
overall      2.000  1.500  −25.0 %  10.000  12.000  +20.0 %
scene mean                 −12.5 %                    0.0 %

By ground truth: EPE on the refined videos fell from 2.000 to 1.500 px (−25.0 %).'''


def test_the_table_shows_a_dash_where_a_side_is_missing():
    group = group_record({'EPE': 1.}, {'EPE': float('nan')})
    lines = format_table(complete(dict(groups=dict(refined=group)))).splitlines()
    assert lines[4].split() == ['overall', '1.000', '–', '–']


def test_the_main_scores_come_first_and_the_others_fold_away(tmp_path):
    before = {'EPE': 2., 'EPE_per_pair': 2., '3px': 50., 'mine': 1.}
    write_report(tmp_path, dict(groups=dict(refined=group_record(before, before))))
    main, more = (tmp_path / 'report.html').read_text().split('<details><summary>More scores</summary>')
    assert 'colgroup">EPE ' in main and 'within 3 px' not in main
    assert all(title in more for title in ('EPE per pair', 'within 3 px', 'colgroup">mine<'))


def test_the_mean_of_the_scenes_changes_stands_under_the_pooled_change(tmp_path):
    write_report(tmp_path, record())
    rows = re.findall('<tr.*</tr>', (tmp_path / 'report.html').read_text())
    assert rows[-2].startswith('<tr class="overall">') and '−25.0 %' in rows[-2]
    assert "mean of the scenes' changes" in html.unescape(rows[-1]) and '−12.5 %' in rows[-1]


def judged_labels():
    """Two scenes of one label each, of which the second is hardly kept; speeds are in the statistics too."""
    tallies = []
    for scene, weight in (('cat <1>', 1.), ('dog', .005)):
        label = FlowLabel(torch.ones(2, 6, 6), torch.full((1, 6, 6), weight))
        tallies.append((scene, tally_label(label, speed_stats(label), *torch.zeros(2, 3, 6, 6),
                                           kinds=dict(cuts=False))))
        tallies.append((scene, tally_truth(label, torch.ones(2, 6, 6), torch.ones(6, 6, dtype=torch.bool))))
    return dict(kept=.5, **speed_stats(label), scenes={'dog': dict(kept=.5, **speed_stats(label))},
                quality=quality_record(tallies))


def test_the_labels_have_a_verdict_a_reason_and_folded_figures(tmp_path):
    write_report(tmp_path, record(labels=judged_labels()))
    text = bare((tmp_path / 'report.html').read_text())
    page = Page(text)
    assert page.open == [] and page.tags.count('details') == 1
    names = ('cat &lt;1&gt;', 'dog', 'overall')
    good, bad, overall = (re.search(f'<tr[^>]*><td>{name}</td><td><span.*</tr>', text).group() for name in names)
    assert '<span class="verdict green">green</span>' in good
    assert '<td class="why">nothing speaks against these labels</td>' in good
    assert '<td>100.0</td><td>0.000</td><td>–</td><td>0 / 1</td><td>0 / 1</td><td>0.000</td><td>100.0</td>' in good
    assert '<span class="verdict red">red</span>' in bad
    assert '<td class="why">only 0.5 % of the motion was kept</td>' in bad
    assert 'verdict amber' in overall and '1 of 2 scenes are red, the first is dog' in overall
    for title in ('Speed by the teacher, px', 'True speed, px', 'Part of the frame, kept [%]'):
        assert title in page.text
    assert 'speed_' not in text and 'speed 0' not in text  # the statistics are told by the tables above
    found = json.loads((tmp_path / 'report.json').read_text())['labels']
    assert found['kept'] == .5 and found['quality']['scenes']['dog']['verdict'] == 'red'


def test_a_long_table_in_the_terminal_shows_its_ends():
    before = {'EPE': 1., **{f'scene/s{i:02d}/EPE': 1. for i in range(14)}}
    after = {'EPE': 1., **{f'scene/s{i:02d}/EPE': 1 + (i * 5 % 14) / 100 for i in range(14)}}
    lines = format_table(dict(groups=dict(refined=group_record(before, after)))).splitlines()
    ranked = sorted(range(14), key=lambda i: i * 5 % 14)
    shown = [line.split('  ')[0] for line in lines if line.startswith('s') and line[1].isdigit()]
    assert shown == [f's{i:02d}' for i in (*ranked[:5], *ranked[-5:])]
    assert lines.index(next(line for line in lines if line.startswith('4 more in report.html'))) == lines.index(
        next(line for line in lines if line.startswith(f's{ranked[4]:02d}'))) + 1
