"""What a student was trained on is no evidence for it."""
from __future__ import annotations

import json
import math

import numpy as np
import pytest
from small_runs import ROOT
from torch import nn

from mmrefine.apis import inference_flow, init_model, refine
from mmrefine.engine.guard.candidates import rate
from mmrefine.engine.guard.observer import Observer, learned_witnesses
from mmrefine.fileio.flow_io import read_flow
from mmrefine.models import CycleLoss, PhotometricLoss
from mmrefine.report.page import render_page
from mmrefine.synthetic import write_clips


class TwoNumbers:
    """A network is a pair of numbers, on each of eight samples."""
    weights, floors = dict(one=0.2, other=0.3), dict(one=0.5, other=0.1)
    samples = [(f'scene {i}', '0') for i in range(8)]

    def observe(self, network, index):
        return dict(zip(('one', 'other'), network))


@pytest.mark.parametrize('learned, change', [
    ((), (1.5 / 2.5)**0.4 * (4.1 / 2.1)**0.6),
    (('one', ), 4.1 / 2.1),
    (('other', 'a third'), 1.5 / 2.5),
    (('one', 'other'), 1.),
])
def test_a_witness_that_was_learned_has_no_weight(learned, change):
    observer = Observer(TwoNumbers(), learned=frozenset(learned))
    found = rate(observer, (1., 4.), observer.observe((2., 2.)), 1, 1.)
    assert found.comparison.change == pytest.approx(change - 1) and found.witnesses == dict(one=1., other=4.)


def test_it_is_the_losses_that_say_what_is_learned():
    class Model(nn.Module):
        losses = nn.ModuleDict(dict(loss_photometric=PhotometricLoss(), loss_cycle=CycleLoss()))

    lines = []
    assert learned_witnesses(Model(), lines.append) == {'cycle'}
    assert len(lines) == 1 and '"cycle" (loss_cycle)' in lines[0]
    assert learned_witnesses(nn.Linear(1, 1), lines.append) == set() and len(lines) == 1


def error_of(weights, video):
    """The mean end-point error of the demo network with these weights, px."""
    network = init_model(ROOT / 'configs/demo/raft_small_video.py', str(weights))
    frames = sorted((video / 'frames').rglob('*.png'))
    truths = [read_flow(path)[0] for path in sorted((video / 'flow').rglob('*.flo'))]
    flows = inference_flow(network, frames[:-1], frames[1:])
    return np.mean([np.linalg.norm(flow - truth, axis=-1).mean() for flow, truth in zip(flows, truths)])


def test_a_student_of_round_trips_is_not_handed_back_for_its_round_trips(tmp_path):
    """The motion of the whole student is 7 % worse, its round trips 25 % better."""
    write_clips(tmp_path / 'video', [9010], 20, (96, 160))
    refine(tmp_path / 'video/frames', 'demo', tmp_path / 'out', recipe='cycle', max_iters=20)
    errors = [error_of(tmp_path / 'out' / name, tmp_path / 'video') for name in ('teacher.pth', 'iter_20.pth')]
    assert errors[1] > 1.03 * errors[0]
    assert error_of(tmp_path / 'out/refined.pth', tmp_path / 'video') < 1.01 * errors[0]
    report = json.loads((tmp_path / 'out/report.json').read_text())
    guard = report['guard']
    assert guard['score']['learned'] == ['cycle'] and set(guard['score']['weights']) == {'color', 'warp'}
    before, after = guard['witnesses']['before'], guard['candidates'][-1]['witnesses']
    assert after['cycle'] < 0.8 * before['cycle']
    weights, floors = guard['score']['weights'], guard['score']['floors']
    logs = {name: math.log((after[name] + floors[name]) / (before[name] + floors[name])) for name in weights}
    # of means, where the score has the mean of logarithms
    assert guard['candidates'][-1]['change_percent'] == pytest.approx(50 * sum(logs.values()), abs=1.)
    page = ' '.join(render_page(report).split())
    assert 'Left out of the score, as the student was trained on it: what a round trip misses, of the motion.' in page
