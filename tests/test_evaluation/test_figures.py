"""Every tally says what its scores are: their units, which way is better, and which of them decides."""
from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from mmrefine.evaluation import tally_errors, tally_flow, tally_label, tally_tapvid, tally_truth
from mmrefine.evaluation.flow.benchmark import tally_benchmark, tally_spring
from mmrefine.evaluation.flow.label_free import label_free_tallies
from mmrefine.evaluation.joints.pck import KeypointTally, tally_keypoints
from mmrefine.evaluation.masks.scores import MaskTally, tally_masks
from mmrefine.evaluation.tallies import Judged, Together
from mmrefine.report import figures_of, group_record
from mmrefine.structures import FlowLabel
from mmrefine.structures.figures import Figure

SIZE = (6, 8)
FLOW, EVERYWHERE = torch.ones(2, *SIZE), torch.ones(1, *SIZE, dtype=torch.bool)
MASKS = np.ones((4, *SIZE), np.uint8)
POINTS, SEEN = np.zeros((3, 2, 2)), np.ones((3, 2), bool)


def tallies():
    frames, flow = torch.rand(1, 3, *SIZE), FLOW[None]
    yield tally_flow(0 * FLOW, FLOW, EVERYWHERE)
    yield tally_benchmark(0 * FLOW, FLOW, EVERYWHERE, dict(noc=EVERYWHERE[0], foreground=~EVERYWHERE[0]))
    yield tally_spring(0 * FLOW, FLOW.expand(4, 2, *SIZE), dict(sky=EVERYWHERE[0]))
    yield label_free_tallies(frames, frames, flow, -flow)[0]
    yield tally_masks(MASKS, MASKS)
    yield tally_keypoints(POINTS, POINTS, SEEN, np.ones(3), (0.1, 0.2))
    tracks, shown = POINTS.swapaxes(0, 1), SEEN.T
    yield tally_tapvid(tracks, shown, tracks, shown, np.zeros((2, 3)), SIZE, 'first')
    yield tally_errors(tracks, tracks, shown, SIZE, shown)
    yield Together((tally_masks(MASKS, MASKS), KeypointTally()))
    label = FlowLabel(FLOW, EVERYWHERE.float())
    yield tally_label(label, dict(verified=1.), frames[0], frames[0],
                      FlowLabel(-FLOW, EVERYWHERE.float())) + tally_truth(
        label, FLOW, EVERYWHERE[0])


@pytest.mark.parametrize('tally', list(tallies()), ids=lambda tally: type(tally).__name__)
def test_every_score_is_declared_and_one_of_them_decides(tally):
    figures = {figure.name: figure for figure in tally.figures}
    assert set(tally.scores()) <= set(figures) and len(figures) == len(tally.figures)
    headlines = [figure for figure in tally.figures if figure.headline]
    assert len(headlines) == 1 and headlines[0].name in tally.scores() and headlines[0].better and tally.size > 0
    assert Judged([(0, 'a', tally)], dict(pairs=1)).headline == headlines[0]


@pytest.mark.parametrize('tally', list(tallies()), ids=lambda tally: type(tally).__name__)
def test_figures_come_back_from_a_report(tally):
    judged = Judged([(0, 'a', tally), (1, 'b', tally)], dict(pairs=2))
    group = json.loads(json.dumps(group_record(judged.scores(), judged.scores(), judged.figures)))
    assert figures_of(group) == judged.figures
    assert [figure['name'] for figure in group['figures']] == [figure.name for figure in judged.figures]


def test_an_older_report_that_does_not_say_its_figures_has_those_that_are_known_by_name():
    scores = {'new_score': 1., 'Fl': 2., 'EPE': 3., 'pairs': 1}
    found = figures_of(group_record(scores, scores))
    assert [figure.name for figure in found] == ['EPE', 'Fl', 'new_score']
    assert found[0].headline and found[0].unit == 'px' and found[2].title == 'new_score' and found[2].sign == 0


def test_where_a_video_has_no_masks_its_joints_decide():
    joints = Together((MaskTally(), tally_keypoints(POINTS, POINTS, SEEN, np.ones(3))))
    assert Judged([(0, 'a', joints)], dict(videos=1)).headline.name == 'PCK@0.2' and joints.size == 4


def test_a_figure_is_better_one_way_or_neither():
    assert [Figure('x', better=better).sign for better in ('lower', 'higher', None)] == [-1, 1, 0]
    with pytest.raises(ValueError, match="better 'lower' or 'higher', or None where neither is, got 'less'"):
        Figure('x', better='less')
