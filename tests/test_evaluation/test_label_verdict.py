"""Each way in which labels can be bad has its own reason, and a threshold on either side of which it is tried."""
import re
from fractions import Fraction
from pathlib import Path

import pytest
import torch

from mmrefine.evaluation import quality_record, tally_label, verdict, verdict_lines
from mmrefine.evaluation.labels.verdict import FINE, RULES
from mmrefine.structures import FlowLabel


def quality(**changes):
    """A scene that nothing speaks against."""
    good = dict(
        kept=.5,
        verified=None,
        speed=dict(share=[.2, .4, .3, .1, 0.], kept=[.6, .5, .5, .4, None]),
        regions=[[.5] * 3] * 3,
        color_residual=2.,
        explained=.3,
        **{name: dict(pairs=0, judged=20, weight=0.) for name in ('duplicates', 'cuts', 'still')})
    return {**good, **changes}


def speed(*kept, share=(.2, .4, .3, .1, 0.)):
    return dict(speed=dict(share=list(share), kept=list(kept)))


def region(kept, row=2, column=0):
    regions = [[.5] * 3 for _ in range(3)]
    regions[row][column] = kept
    return dict(regions=regions)


def kind(name, pairs, weight):
    return {name: dict(pairs=pairs, judged=20, weight=weight)}


CASES = [
    ('kept', dict(kept=.1), dict(kept=.099), dict(kept=.0099), 'only 1.0 % of the motion was kept'),
    ('fast', speed(.6, .5, .5, .06, None), speed(.6, .5, .5, .059, None), speed(.6, .5, .5, .0119, None),
     'only slow motion is kept: 1.2 % of the pixels that move by 8-32 px, 60.0 % of those that move by 0-0.5 px'),
    ('region', region(.05), region(.049), region(.0049),
     'the bottom left of the frame is hardly ever labelled: 0.5 % kept there, '
     '50.0 % overall'),
    ('residual', dict(color_residual=10.), dict(color_residual=10.1), dict(color_residual=20.1),
     'colours change by 20.1 grey levels along the motion that was kept'),
    ('motion', dict(explained=.95), dict(explained=.96), dict(explained=1.2),
     'colours change 1.20 times as much along the motion as in place; is it that of these frames, in px, with x '
     'first?'),
    ('duplicates', kind('duplicates', 1, .01), kind('duplicates', 1, .011), kind('duplicates', 6, .26),
     '6 of 20 pairs show one frame twice and give 26.0 % of the labels'),
    ('cuts', kind('cuts', 1, .01), kind('cuts', 1, .011), kind('cuts', 3, .11),
     '3 of 20 pairs look like cuts between two shots and give 11.0 % of the labels'),
    ('still', kind('still', 10, .5), kind('still', 11, .5), kind('still', 20, 1.), 'nothing moves in 20 of 20 pairs'),
]


@pytest.mark.parametrize('name, green, amber, red, reason', CASES, ids=[case[0] for case in CASES])
def test_each_rule_turns_amber_and_red_at_its_thresholds_and_says_why(name, green, amber, red, reason):
    assert verdict(quality(**green)) == dict(verdict='green', reason=FINE, findings={})
    found = verdict(quality(**amber))
    assert (found['verdict'], found['findings']) == ('amber', {name: 'amber'})
    assert verdict(quality(**red)) == dict(verdict='red', reason=reason, findings={name: 'red'})


def test_every_rule_is_tried_above():
    assert {case[0] for case in CASES} == set(RULES)


def test_the_page_names_the_thresholds_that_hold():
    page = (Path(__file__).resolve().parents[2] / 'docs' / 'label_quality.md').read_text(encoding='utf-8')
    rows = re.findall(r'^\| `(\w+)` \|.*\| ([<>]) (\S+)( %)? \| [<>] (\S+)( %)? \|$', page, re.MULTILINE)
    stated = {name: (sign == '<', *(float(Fraction(value)) / (100 if percent else 1)
                                    for value, percent in (numbers[:2], numbers[2:])))
              for name, sign, *numbers in rows}
    assert stated == {name: (rule.low_is_bad, rule.amber, rule.red) for name, rule in RULES.items()}


def test_a_balance_that_lowers_weights_on_purpose_is_not_held_against_the_labels():
    assert verdict(quality(kept=.05, verified=.6))['verdict'] == 'green'
    assert verdict(quality(kept=.05, verified=.06))['reason'] == 'only 6.0 % of the motion was kept'


def test_a_region_without_any_label_is_never_labelled():
    assert verdict(quality(**region(0., 0, 1)))['reason'].startswith(
        'the top centre of the frame is never labelled: 0.0 % kept there')


def test_speeds_that_hardly_any_pixel_has_do_not_count():
    rare = speed(.6, .5, .5, .4, 0., share=(.2, .4, .3, .091, .009))
    assert verdict(quality(**rare))['verdict'] == 'green'
    assert verdict(quality(**speed(.6, .5, .5, .4, 0., share=(.2, .4, .3, .09, .01))))['verdict'] == 'red'
    # one speed
    assert verdict(quality(**speed(.0, .6, None, None, None, share=(0, 1., 0, 0, 0))))['verdict'] == 'green'


def test_what_is_unknown_does_not_speak_against_the_labels():
    unknown = dict(pairs=0, judged=0, weight=None)
    blind = quality(speed=dict(share=None, kept=None), color_residual=None, duplicates=unknown, cuts=unknown,
                    still=unknown)
    assert verdict(blind)['verdict'] == 'green'


def test_the_reason_is_that_of_the_worst_finding_and_a_cause_comes_before_what_follows():
    both = quality(kept=.005, **region(0.), **kind('still', 20, 1.), color_residual=11.)
    found = verdict(both)
    assert found['reason'] == 'nothing moves in 20 of 20 pairs'
    assert found['findings'] == dict(still='red', kept='red', region='red', residual='amber')
    assert verdict(quality(kept=.005, **kind('cuts', 1, .02)))['reason'].startswith('only 0.5 %')  # red before amber


def test_the_whole_is_not_green_while_a_scene_is_red():
    def tally(weight, **kinds):
        return tally_label(FlowLabel(torch.zeros(2, 6, 6), torch.full((1, 6, 6), weight)), {}, *torch.zeros(2, 3, 6, 6),
                           kinds=kinds)

    found = quality_record([('bad', tally(.001))] + [('good', tally(1.))] * 9)
    assert (found['verdict'], found['kept']) == ('amber', pytest.approx(.9001))
    assert found['reason'] == '1 of 2 scenes are red, the first is bad: only 0.1 % of the motion was kept'
    assert verdict_lines(found) == [
        (f'labels are amber: {found["reason"]} (2 scenes: 1 green, 1 red)', 'amber'),
        ('labels of scene bad are red: only 0.1 % of the motion was kept', 'red'),
    ]
