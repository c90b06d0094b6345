"""The page of a report without a browser: what it refers to exists, what it says first is what matters first."""
import json
import re
from pathlib import Path
from urllib.parse import unquote

import pytest
from jinja2 import UndefinedError
from report_records import AFTER, BEFORE, FREE, Page, bare, full_record, guard_record, pair_record, track_record

from mmrefine.report import figures, format_table, group_record, headline, thin_curve, write_report
from mmrefine.report.headlines import format_interval
from mmrefine.report.plots import Dot, dot_plot, line_plot, nice_ticks
from mmrefine.report.template import FOLDER, change_class, render
from mmrefine.structures.figures import Figure

STYLE = (FOLDER / 'style.css').read_text(encoding='utf-8')
# pictures before tables
SECTIONS = ['pairs', 'pictures', 'group-1', 'group-2', 'guard', 'labels', 'curves', 'made']


def written(root, record):
    write_report(root, record)
    text = (root / 'report.html').read_text()
    return text, Page(text)


def test_a_page_with_every_part_is_well_formed_and_asks_for_nothing_elsewhere(tmp_path):
    text, page = written(tmp_path, full_record(tmp_path))
    assert page.open == [] and page.tags.count('svg') == 3 and page.tags.count('script') == 1
    assert not {'link', 'iframe', 'object', 'base', 'form'} & set(page.tags)
    assert not re.search(r'https?:|//|@import|url\(|data:', text)
    assert not [name for _, values in page.attributes for name in values if name.startswith('on')]
    assert page.all('script', 'src') == []


def test_every_picture_exists_beside_the_page_and_has_words_for_who_cannot_see_it(tmp_path):
    _, page = written(tmp_path, full_record(tmp_path))
    sources = page.all('img', 'src')
    assert len(sources) == 2 * 5 + 2 + 1 + 1 + 1  # of two pairs, their wheels, an overlay with its wheel, a sheet
    assert all((tmp_path / unquote(source)).is_file() and not source.startswith('/') for source in sources)
    pictures = [path for path in tmp_path.rglob('*') if path.suffix in ('.png', '.jpg')]
    assert {unquote(source) for source in sources} == {path.relative_to(tmp_path).as_posix() for path in pictures}
    assert all(page.all('img', 'alt')) and len(page.all('img', 'alt')) == len(sources)
    assert all(page.all('svg', 'aria-label')) and len(page.all('svg', 'aria-label')) == 3


def test_every_link_leads_to_a_section_and_every_section_has_a_link(tmp_path):
    _, page = written(tmp_path, full_record(tmp_path))
    assert page.all('section', 'id') == SECTIONS
    assert page.all('a', 'href') == [f'#{name}' for name in SECTIONS]
    named = [values['id'] for _, values in page.attributes if 'id' in values]
    assert len(named) == len(set(named))


def test_strings_of_the_user_stay_text_in_the_new_sections_too(tmp_path):
    evil, safe = '<script>alert("1")</script>', full_record(tmp_path)
    pair = dict(pair_record(tmp_path, 'a/1', 2., 1.), key=evil, scene=evil, truth='javascript:alert(1)',
                frame=f'"{evil}')
    changes = dict(safe['groups']['refined']['changes'], best=[pair], worst=[], drawn_by=evil, decided_by=evil,
                   wheel=f'"{evil}')
    guard = dict(guard_record(), reason=evil, witnesses=dict(before={evil: 1.}, after={evil: 2.}),
                 held_out=dict(pairs=evil, scenes=evil), more=evil, looks=[dict(iter=evil)],
                 score=dict(sample=evil, figures=[dict(name=evil, title=evil, unit=evil)]),
                 general=dict(pairs=evil, before=1., after=1.))
    scenes = {**BEFORE, 'scene/"><img src=x onerror=alert(1)>/EPE': 1.}
    refined = dict(group_record(scenes, scenes), changes=changes)
    labels = dict(store=evil, wheel='javascript:alert(2)', overlays=[dict(path=evil, caption=evil)])
    text, page = written(tmp_path, dict(safe, groups={'refined': refined, evil: dict(refined)}, guard=guard,
                                        labels=labels))
    assert page.open == [] and page.tags.count('script') == 1 and text.count('<script') == 1  # ours
    assert not [name for _, values in page.attributes for name in values if name.startswith('on')]
    # nothing is left out because it is strange; the scene has a row in each group's table
    assert 'alert("1")' in page.text and page.text.count('"><img src=x onerror=alert(1)>') == 2
    assert all(':' not in source for source in page.all('img', 'src'))


def clip_group():
    """A group that another kind of motion is scored on: its figures are declared, and no one else knows them."""
    declared = (Figure('hits', '%', 'higher', True, 'hits, first', 'main'),
                Figure('lag <ms>', 'ms', 'lower', table='main'), Figure('size'))
    scores = [{'hits': hits, 'lag <ms>': lag, 'size': 3., 'videos': 4} for hits, lag in ((50., 8.), (60., 10.))]
    return group_record(*scores, declared)


def test_a_record_says_what_its_scores_are_called_and_which_way_is_better(tmp_path):
    group = clip_group()
    group['changes'] = dict(metric='hits', pairs=4, better=3, worse=1, interval_percent=[5., 30.])
    record = dict(groups=dict(refined=group))
    assert headline(record) == ('By ground truth: the first hits on the refined videos rose from 50.000 to 60.000 % '
                                '(+20.0 %, interval +5.0 to +30.0 %).')
    text, page = written(tmp_path, record)
    assert '<b class="good">+20.0 %</b>' in text and 'hits, first: 50.000 → 60.000 %' in page.text
    assert '<td class="good">+20.0 %</td>' in bare(text) and '<td class="bad">+25.0 %</td>' in bare(text)
    assert 'lag &lt;ms&gt; <span class="unit">[ms]</span>' in text and 'size' in text.partition('More scores')[2]
    assert '3 of 4 videos have a higher first hits than before, 1 a lower one' in page.text
    assert 'refined on. 4 videos.' in page.text and '(4 videos)\n' in format_table(record)
    assert json.loads((tmp_path / 'report.json').read_text())['headline']['figures'][0]['better_when'] == 'higher'


def many_scenes(count):
    """Scenes s00, s01, …; scene i changes by i - 3 %, but the last one has no score before."""
    before = {'EPE': 1., **{f'scene/s{i:02d}/EPE': 1. for i in range(count - 1)}}
    after = {'EPE': 1., **{f'scene/s{i:02d}/EPE': 1 + (i - 3) / 100 for i in range(count)}}
    return group_record(before, after)


def rows_of(text):
    return re.findall(r'<tr(?: class="\w+")?><td>([^<]*)</td>', text)


def test_a_long_table_shows_its_ends_and_a_plot_of_all(tmp_path):
    text, page = written(tmp_path, dict(groups=dict(refined=many_scenes(14))))
    section = text.partition('id="group-1"')[2].partition('</section>')[0]
    shown, _, folded = section.partition('<details>')
    assert rows_of(shown) == [*(f's{i:02d}' for i in (0, 1, 2, 3, 4, 8, 9, 10, 11, 12)), 'overall',
                              'mean of the scenes&#39; changes']
    assert shown.count('class="dot"') == 13 and 'change of EPE [%] by scenes' in shown
    assert 'All 14 scenes' in folded and rows_of(folded)[:14] == [f's{i:02d}' for i in range(14)]
    text, page = written(tmp_path, dict(groups=dict(refined=many_scenes(10))))
    assert '<details>' not in text.partition('id="group-1"')[2].partition('</section>')[0] and 'svg' not in page.tags


def test_scenes_without_any_score_are_folded_too(tmp_path):
    group = many_scenes(14)
    for scene in group['scenes'].values():
        scene['change_percent'] = {}
    text, page = written(tmp_path, dict(groups=dict(refined=group)))
    assert 'svg' not in page.tags and 'All 14 scenes' in page.text


def test_labels_of_many_scenes_are_shown_from_the_worst_on(tmp_path):
    verdict = dict(reason='why', color_residual=1., duplicates=dict(pairs=0, judged=1), cuts=dict(pairs=0, judged=1),
                   still=dict(pairs=0, judged=1))
    scenes = {f's{i:02d}': dict(verdict, verdict='green', kept=i / 20) for i in range(12)}
    scenes['s07']['verdict'], scenes['s09']['verdict'] = 'red', 'amber'
    quality = dict(verdict, verdict='red', kept=.5, scenes=scenes, speed=dict(share=None), cycle_error=dict(share=None),
                   regions=[[.1] * 3] * 3)
    text, _ = written(tmp_path, dict(labels=dict(quality=quality)))
    shown, _, folded = text.partition('id="labels"')[2].partition('<details>')
    assert rows_of(shown) == ['s07', 's09', 's00', 's01', 's02', 's05', 's06', 's08', 's10', 's11', 'overall']
    assert 'All 12 scenes' in folded and rows_of(folded)[:12] == list(scenes)


def test_each_cell_says_on_a_phone_what_its_column_is(tmp_path):
    text, _ = written(tmp_path, full_record(tmp_path))
    for row in re.findall(r'<tr[^>]*>(<td.*?)</tr>', text, re.DOTALL):
        first, *others = re.findall(r'<td[^>]*>', row)
        assert first == '<td>' and all('data-label="' in cell for cell in others)


def test_the_video_of_before_and_after_comes_first(tmp_path):
    video = dict(path='before after.mp4', caption='<refined>')
    text, page = written(tmp_path, dict(full_record(tmp_path), video=video))
    assert page.all('section', 'id') == ['video', *SECTIONS]
    assert page.all('video', 'src') == ['before%20after.mp4'] and '&lt;refined&gt;' in text
    assert 'video' not in written(tmp_path, full_record(tmp_path))[1].tags


def test_a_page_that_asks_for_what_is_not_there_is_an_error():
    with pytest.raises(UndefinedError, match="'pictures' is undefined"):
        render('pictures.html')


def test_a_change_that_is_shown_as_none_has_no_colour():
    assert [change_class(change) for change in (-.04, .04, None, 0.)] == [''] * 4
    good, bad = ' class="good"', ' class="bad"'
    assert (change_class(-.06), change_class(.06), change_class(.06, 1)) == (good, bad, good)
    assert change_class(5., 0) == ''  # neither way is better


def test_a_report_of_an_older_version_is_still_rendered(tmp_path):
    old = full_record(tmp_path)
    for part in ('curves', 'guard'):
        del old[part]
    for part in ('overlays', 'wheel'):
        del old['labels'][part]
    del old['groups']['refined']['changes']
    text, page = written(tmp_path, json.loads(json.dumps(dict(old, schema=1))))
    assert page.open == []
    assert page.all('section', 'id') == ['pictures', 'group-1', 'group-2', 'guard', 'labels', 'made']
    assert 'script' not in page.tags and 'svg' not in page.tags and 'interval' not in page.text
    assert 'The guard was not run' in page.text and 'fell from 2.000 to 1.500 px (−25.0 %).' in page.text


def test_rendering_the_written_record_again_changes_nothing(tmp_path):
    first, _ = written(tmp_path, full_record(tmp_path))
    record = json.loads((tmp_path / 'report.json').read_text())
    again, _ = written(tmp_path, record)
    assert again == first and json.loads((tmp_path / 'report.json').read_text()) == record


def test_the_headline_begins_with_the_teacher_where_he_was_handed_back(tmp_path):
    kept = full_record(tmp_path, 'teacher')
    kept['groups']['refined'] = group_record(BEFORE, BEFORE)
    assert headline(kept) == (
        'No student was surely better, so the guard hands back the original network, unchanged. By ground truth: EPE '
        'on the refined videos stayed at 2.000 px. Without ground truth, on 12 frame pairs that were kept back: the '
        'label-free score of the best student changed by −8.0 %, interval −12.0 to −4.0 %.')
    text, page = written(tmp_path, kept)
    badge = re.search('<span class="verdict amber">(.*?)</span>', text)
    assert badge.group(1) == 'The guard hands back the original network'
    assert badge.start() < text.index('class="headline"')
    first = 'No student was surely better, so the guard hands back the original network, unchanged.'
    assert f'<title>{first}</title>' in text
    assert f'<p class="headline">{first}</p>\n<p class="lead">By ground truth: EPE' in text
    assert 'The guard hands back the original network: a sentence of the guard.' in page.text
    assert json.loads((tmp_path / 'report.json').read_text())['headline']['verdict'] == 'teacher'


def test_the_headline_of_an_accepted_student_has_both_intervals_and_how_far_the_way_was(tmp_path):
    assert headline(full_record(tmp_path)) == (
        'The guard accepts 50 % of the way to the student: without ground truth, on 12 frame pairs that were kept '
        'back, the label-free score changed by −8.0 %, interval −12.0 to −4.0 %. By ground truth: EPE on the refined '
        'videos fell from 2.000 to 1.500 px (−25.0 %, interval −31.0 to −19.0 %).')


def test_one_pair_is_one_and_the_chosen_candidate_is_not_called_the_best(tmp_path):
    record, kept = full_record(tmp_path), full_record(tmp_path, 'teacher')
    scores = [figure['score'] for one in (record, kept) for figure in figures(one) if figure['name'] == 'guard']
    assert scores == ['label-free score of the chosen candidate', 'label-free score of the best candidate']
    record['guard']['chosen']['pairs'] = record['guard']['held_out']['pairs'] = record['groups']['refined']['pairs'] = 1
    assert 'on 1 frame pair that was kept back, the label-free score changed' in headline(record)
    _, page = written(tmp_path, record)
    assert 'decided by ground truth, 1 frame pair,' in page.text
    assert '1 frame pair of 2 scenes was kept back' in page.text
    assert '1 frame pairs' not in page.text


def test_each_number_of_the_headline_has_its_unit_and_who_decided_it(tmp_path):
    found = {figure['name']: figure for figure in figures(full_record(tmp_path))}
    assert list(found) == ['refined', 'unseen', 'guard', 'general']
    assert {name: (figure['decided_by'], figure['unit']) for name, figure in found.items()} == dict(
        refined=('ground truth', 'px'), unseen=('label-free score', 'px'), guard=('label-free score', ''),
        general=('ground truth', 'px'))
    assert found['refined']['pairs'] == 7 and found['refined']['better'] == pytest.approx(5 / 7)
    assert found['unseen']['change_percent'] == pytest.approx(25.) and found['unseen']['interval_percent'] is None
    assert found['guard']['before'] is None and found['guard']['change_percent'] == -8.
    _, page = written(tmp_path, full_record(tmp_path))
    for text in ('EPE: 2.000 → 1.500 px', 'interval −31.0 to −19.0 %',
                 'decided by ground truth, 7 frame pairs, 71\u00a0% of them better',
                 'cycle error, median: 0.400 → 0.500 px', 'decided by label-free score, 3 frame pairs',
                 'EPE: 0.500 → 0.510 px'):
        assert text in page.text


def test_an_interval_of_another_score_than_the_headlines_is_not_shown(tmp_path):
    record = full_record(tmp_path)
    record['groups']['refined']['changes']['metric'] = 'cycle_median'
    assert figures(record)[0]['interval_percent'] is None and 'interval −31' not in headline(record)


@pytest.mark.parametrize('interval, text', [
    ([-12.04, -4.], '−12.0 to −4.0 %'), ([-1., 2.5], '−1.0 to +2.5 %'), ([-100., None], '−100.0 to no bound'),
    ([None, None], ''), (None, ''), ([0., 0.], '0.0 to 0.0 %')])
def test_an_interval_is_written_with_minus_signs_and_says_where_it_has_no_bound(interval, text):
    assert format_interval(interval) == text


def test_the_section_of_the_guard_has_a_row_a_dot_and_a_bar_for_each_candidate(tmp_path):
    text, page = written(tmp_path, full_record(tmp_path))
    assert text.count('class="dot"') == 2 and text.count('class="bar"') == 2 and text.count('class="ring"') == 1
    row = '<td>20</td><td>50</td><td class="good">−8.0 %</td><td>−12.0 to −4.0 %</td><td>75</td>'
    assert f'<tr class="chosen">{row}</tr>' in bare(text)
    assert 'The guard accepts the student: a sentence of the guard.' in page.text
    assert '12 frame pairs of 2 scenes were kept back' in page.text
    assert '<td>0.500</td><td>0.600</td><td class="bad">+20.0 %</td>' in bare(text)  # a witness that speaks against it
    assert '<td>3.000</td><td>3.100</td><td>+3.3 %</td>' in bare(text)  # motion does not judge


def test_pairs_have_a_slider_with_a_name_that_is_hidden_until_the_script_can_move_it(tmp_path):
    text, page = written(tmp_path, full_record(tmp_path))
    sliders = [values for tag, values in page.attributes if tag == 'input']
    assert len(sliders) == 2 and all('hidden' in slider and slider['type'] == 'range' for slider in sliders)
    assert sliders[0]['aria-label'] == 'motion before and after, a/1: how much of the width shows before'
    assert 'EPE 2.000 → 1.000 px (<span class="good">−50.0 %</span>)' in text
    assert page.text.count('Rim: 7.25 px a frame or more') == 2
    assert '5 of 7 pairs have a lower EPE than before, 2 a higher one; decided by ground truth.' in page.text
    record = full_record(tmp_path)
    record['groups']['refined']['changes']['metric'] = 'cycle_median'
    assert '5 of 7 pairs have a lower median cycle error than before, 2 a higher one' in (
        written(tmp_path, record)[1].text)


def test_the_report_of_a_tracker_speaks_of_clips_and_tracks(tmp_path):
    text, page = written(tmp_path, track_record(tmp_path))
    sliders = [values for tag, values in page.attributes if tag == 'input']
    assert [slider['aria-label'] for slider in sliders] == [
        f'tracks before and after, a/{i}: how much of the width shows before' for i in (1, 2)]
    for sentence in ('Clips that changed most', 'Best clips', 'Worst clips', 'No clip got worse; these gained least.',
                     'by runs of 2 neighbouring clips.', '9 of 9 clips have a lower ATE', 'tracks of the label',
                     'decided by ground truth, 9 clips, 100\u00a0% of them better', 'last frame', 'true tracks',
                     'yellow: 1.5 px, red: 3 px or more. One scale for all pictures of a. Thin lines lead to',
                     'Kept and dropped tracks', 'TrackInsideFilter drops', '8 rendered clips'):
        assert sentence in page.text
    assert '<td>a/1</td><td data-label="asked for">90</td><td data-label="kept">30</td>' in text
    assert '<td data-label="TrackCycleFilter drops">60</td><td data-label="TrackInsideFilter drops">7</td>' in text
    assert '<td>a/2</td><td data-label="asked for">–</td>' in text
    words = re.sub('known motion|motion of the first frame', '', page.text)
    assert not re.search(r'\b(pairs?|wheel|rim|flow)\b', words, re.IGNORECASE) and 'colour wheel' not in text
    assert page.open == [] and all((tmp_path / unquote(source)).is_file() for source in page.all('img', 'src'))
    assert len(page.all('img', 'src')) == 2 * 5 + 2 + 1


def test_the_docs_name_every_key_of_the_report_of_a_tracker(tmp_path):
    write_report(tmp_path, track_record(tmp_path))
    record = json.loads((tmp_path / 'report.json').read_text())
    docs = (Path(__file__).parents[2] / 'docs/report.md').read_text()
    for part in (record['groups']['refined']['changes']['best'][0], record['labels']['clips'][0]):
        assert [key for key in part if f'`{key}`' not in docs] == []


def test_a_group_that_did_not_change_says_so_and_shows_no_pairs(tmp_path):
    record = full_record(tmp_path)
    record['groups']['refined']['changes'].update(better=0, worse=0, same=7, best=[], worst=[])
    text, page = written(tmp_path, record)
    assert 'The network is the same as before on all of them.' in page.text and '<h4>' not in text


def contrast(one, other):
    """WCAG 2.1's ratio of two colours ``#rrggbb``."""
    def light(color):
        color = color if len(color) == 7 else '#' + ''.join(2 * digit for digit in color[1:])
        parts = [int(color[i:i + 2], 16) / 255 for i in (1, 3, 5)]
        parts = [part / 12.92 if part <= .04045 else ((part + .055) / 1.055)**2.4 for part in parts]
        return .2126 * parts[0] + .7152 * parts[1] + .0722 * parts[2]

    high, low = sorted((light(one), light(other)), reverse=True)
    return (high + .05) / (low + .05)


def test_the_measure_of_contrast_knows_black_on_white():
    assert contrast('#000000', '#fff') == pytest.approx(21.)
    assert contrast('#777777', '#ffffff') == pytest.approx(4.48, abs=.01)


@pytest.mark.parametrize('scheme', [0, 1])
def test_all_text_is_legible_in_light_and_dark(scheme):
    colors = dict(re.findall(r'--(\w+): (#[0-9a-f]+);', re.findall(r':root {(.*?)}', STYLE, re.DOTALL)[scheme]))
    for ink in ('ink', 'soft', 'good', 'bad', 'mark'):
        for paper in ('paper', 'tint'):
            assert contrast(colors[ink], colors[paper]) >= 4.5, (ink, paper)


def test_all_badges_are_legible():
    backs = [back for pattern in (r'\.verdict\.\w+ { background: (#[0-9a-f]{6})', r'--grey: (#[0-9a-f]{6})')
             for back in re.findall(pattern, STYLE)]
    assert len(backs) == 4 and all(contrast('#ffffff', back) >= 4.5 for back in backs)


@pytest.mark.parametrize('low, high, ticks', [
    (0, 1, [0, .5, 1]), (0, .9, [0, .5, 1]), (-7.3, 2, [-10, -5, 0, 5]), (0, 1400, [0, 500, 1000, 1500]),
    (3e-5, 9e-5, [2e-5, 4e-5, 6e-5, 8e-5, 1e-4]),
    (2, 2, [1, 1.5, 2, 2.5, 3]), (0, 0, [-1, -.5, 0, .5, 1])])
def test_ticks_are_round_and_hold_the_data(low, high, ticks):
    assert nice_ticks(low, high) == pytest.approx(ticks)


def test_a_curve_lies_where_its_axes_say(tmp_path):
    drawing = line_plot('loss <1>', [(0, 0.), (10, 4.), (20, 1.)], 'step')
    points = re.search('points="([^"]*)"', drawing).group(1).split()
    # 54 px from the left and 170 down is the origin; 294 wide and 144 high is the plane
    assert points == ['54.0,170.0', '201.0,26.0', '348.0,134.0'] and 'loss &lt;1&gt;' in drawing
    assert Page(drawing).open == []


def test_small_numbers_share_a_power_of_ten_that_the_title_names():
    drawing = line_plot('learning rate', [(0, 1e-4), (10, 2e-4)], 'step')
    assert 'learning rate × 10⁻⁴' in drawing and '>1.5</text>' in drawing
    assert 'e−' not in drawing.split('aria-label')[1].split('">', 1)[1]


def test_an_interval_without_end_reaches_the_edge_and_does_not_flatten_the_rest():
    drawing = dot_plot([Dot(100, -8., (-100., None), True)], 'way [%]', 'change [%]', 'teacher')
    bar = re.search(r'class="bar" x1="[\d.]+" x2="[\d.]+" y1="([\d.]+)" y2="([\d.]+)"', drawing)
    assert float(bar.group(2)) == 26. and float(bar.group(1)) == pytest.approx(170., abs=12)
    ticks = [float(tick.replace('−', '-')) for tick in re.findall(r'text-anchor="end">([−\d.]+)<', drawing)]
    assert min(ticks) >= -30


@pytest.mark.parametrize('values, below', [((-8., -2.), True), ((-100., 1.), False), ((-8., 8.), False),
                                           ((2., 8.), False)])
def test_what_the_dashed_line_stands_for_keeps_clear_of_the_title(values, below):
    drawing = dot_plot([Dot(50, value, (value, value), False) for value in values], 'way [%]', 'change [%]', 'teacher')
    level = float(re.search(r'class="zero" [^>]*y1="([\d.]+)"', drawing).group(1))
    words = float(re.search(r'y="([\d.]+)">teacher<', drawing).group(1))  # where letters stand
    assert (words > level) is below and words - 10 > 14 + 2  # letters are 10 px high, the title stands at 14 px


def test_a_long_curve_becomes_means_of_equally_many_steps():
    thin = thin_curve([float(i) for i in range(10)], last_step=10, points=4)
    assert thin == dict(steps=[2, 5, 8, 10], values=[1., 4., 7., 9.], mean_of=3)


def test_a_short_curve_stays_and_ends_at_the_last_step_without_what_is_not_finite():
    assert thin_curve([1., float('nan'), 3.], last_step=7) == dict(steps=[5, 7], values=[1., 3.], mean_of=1)
    assert thin_curve([], last_step=0) == dict(steps=[], values=[], mean_of=1)


def test_before_and_after_alike_need_no_colour(tmp_path):
    text, _ = written(tmp_path, dict(groups=dict(refined=group_record(FREE, FREE), unseen=group_record(BEFORE, AFTER))))
    assert '<b>0.0 %</b>' in text and '<b class="good">−25.0 %</b>' in text


@pytest.mark.parametrize('interval, color', [
    ([-12., -4.], ' class="good"'), ([4., 12.], ' class="bad"'), ([-12., 3.], ''), ([-12., None], '')])
def test_a_number_of_the_headline_is_coloured_only_if_its_interval_says_that_it_is_sure(tmp_path, interval, color):
    guard = guard_record()
    guard['chosen'].update(change_percent=8. if 'bad' in color else -8., interval_percent=interval)
    text, _ = written(tmp_path, dict(groups={}, guard=guard))
    assert f'<b{color}>{"+" if "bad" in color else "−"}8.0 %</b>' in text


def test_so_is_a_candidate_of_the_guard(tmp_path):
    _, page = written(tmp_path, dict(groups={}, guard=guard_record()))
    text = (tmp_path / 'report.html').read_text()
    assert '<td class="good">−8.0 %</td>' in bare(text) and '<td>−5.0 %</td>' in bare(text)
    assert '−16.0 to +7.0 %' in page.text


def test_the_docs_name_every_key_of_report_json(tmp_path):
    write_report(tmp_path, full_record(tmp_path))
    record = json.loads((tmp_path / 'report.json').read_text())
    docs = (Path(__file__).parents[2] / 'docs/report.md').read_text()
    changes = record['groups']['refined']['changes']
    for part in (record, record['headline'], record['headline']['figures'][0], record['groups']['refined'], changes,
                 changes['best'][0], record['guard'], record['curves']['loss'], record['pictures'][0]):
        assert [key for key in part if f'`{key}`' not in docs] == []


def test_a_scene_whose_name_is_not_valid_unicode_is_shown_with_its_bytes(tmp_path):
    """As Python decodes the name of a folder that is not UTF-8."""
    scores = {'EPE': 1., 'pairs': 1, 'scene/caf\udce9/EPE': 1.}
    write_report(tmp_path, dict(groups=dict(refined=group_record(scores, scores))))
    assert r'caf\udce9' in (tmp_path / 'report.html').read_text(encoding='utf-8')


def test_the_page_says_whose_published_weights_the_original_network_has(tmp_path):
    whose = "torchvision's training of RAFT, not that of RAFT's authors"
    for settings, is_said in ((dict(whose=whose), True), (dict(whose=''), False), ({}, False)):
        text, _ = written(tmp_path, dict(full_record(tmp_path), settings=settings))
        assert ('The original network is torchvision' in text) is is_said
