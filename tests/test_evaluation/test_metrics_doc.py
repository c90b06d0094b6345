"""docs/metrics.md names every score that there is, and no other."""
from __future__ import annotations

import re
from pathlib import Path

import torch

from mmrefine.evaluation.flow.benchmark import REGION_PARTS, tally_benchmark, tally_spring
from mmrefine.evaluation.joints.pck import PCK_NAMES, KeypointTally
from mmrefine.evaluation.masks.scores import MaskTally
from mmrefine.evaluation.tracks.errors import error_figures
from mmrefine.evaluation.tracks.tapvid import TAPVID_FIGURES

PAGE = (Path(__file__).parents[2] / 'docs/metrics.md').read_text(encoding='utf-8')


def names_of(table):
    """The code words in the first column of the n-th table."""
    rows = re.findall(r'(?:^\|.*\n)+', PAGE, flags=re.MULTILINE)[table].splitlines()[2:]
    return {name for row in rows for name in re.findall(r'`([^`]+)`', row.split('|')[1])}


def test_the_tables_of_flow_name_the_scores_and_the_parts():
    size = (6, 9)
    truth = torch.zeros(2, *size)
    truth[0, :, :3], truth[0, :, 3:6] = 20., 50.
    regions = {name: torch.arange(6).view(6, 1).expand(size) % 2 > 0 for name in REGION_PARTS if name != 'unmatched'}
    regions['foreground'] = torch.arange(6).view(6, 1).expand(size) % 3 > 0
    occluded = torch.arange(9).expand(size) > 7
    found = set(tally_benchmark(truth, truth, torch.ones(1, *size, dtype=torch.bool),
                                dict(regions, occluded=occluded)).scores())
    whole = {name for name in found if not re.match(r'(EPE|Fl)_(?!per_pair)', name)}
    assert whole == names_of(0)
    assert {name[len('EPE_'):] for name in found if name.startswith('EPE_')} - {'per_pair'} == names_of(1)
    assert {name[len('Fl_'):] for name in found if name.startswith('Fl_')} == names_of(1)
    spring = set(tally_spring(truth, truth.expand(4, *truth.shape), dict(sky=occluded)).scores())
    assert {name for name in spring if name.endswith('_sky')} == {'EPE_sky', 'Fl_sky', '1px_out_sky', 'WAUC_sky'}


def test_the_table_of_masks_and_joints_names_the_scores():
    scores = set(MaskTally(1).scores())
    for name in {'PCK', *PCK_NAMES.values()}:
        scores |= set(KeypointTally((0.2, ), (1, ), ((1, ), ), name).scores())
    assert {name.replace('0.2', '<share>') for name in scores} == names_of(2)


def test_the_table_of_tracks_names_the_scores():
    named = {re.sub(r'(?<=[_@])\d+$', '<px>', figure.name) for figure in (*TAPVID_FIGURES, *error_figures())}
    assert named == names_of(3)
