"""The arbitrated view in a labeler, with real networks."""
from __future__ import annotations

import pytest
import torch
from mmengine.config import Config
from small_runs import small_model

from mmrefine.compat.stock import stock_config_root
from mmrefine.labeling import FlowLabeler
from mmrefine.models import FlowRefiner, FrozenTeacher
from mmrefine.structures import PairBatch
from mmrefine.synthetic import render_clip

VIEW = dict(type='ArbitratedView', scales=(1., 2.), flip=False, warm_start=False, radius=4)


def rendered(frames=3):
    clip = render_clip(3, frames, (64, 96))
    return torch.from_numpy(clip.frames).permute(0, 3, 1, 2).float() / 255


def teacher_of(name):
    torch.manual_seed(3)
    if name == 'raft':
        return FrozenTeacher(FlowRefiner(**{key: value for key, value in small_model().items() if key != 'type'}))
    return FrozenTeacher(FlowRefiner(estimator=Config.fromfile(stock_config_root() / '_base_/models/pwcnet.py').model))


def test_the_statistics_say_which_pass_made_the_label_of_each_direction():
    frames = rendered()
    labeler, teacher = FlowLabeler(view=dict(VIEW, warm_start=True), directions='both'), teacher_of('raft')
    labels = labeler.label_pairs(teacher, PairBatch(frames[:-1], frames[1:]))
    for pair in labels:
        for stats in (pair.stats, pair.stats_backward):
            assert [key for key in stats if key.startswith('from_')] == ['from_1x', 'from_2x']
            assert sum(stats[key] for key in stats if key.startswith('from_')) == pytest.approx(1, abs=1e-5)
    turned = labeler.label_pairs(teacher, PairBatch(frames[1:], frames[:-1]))
    for pair, back in zip(labels, turned):
        assert back.stats['from_2x'] == pytest.approx(pair.stats_backward['from_2x'], abs=.01)
        # where a pixel just leaves the frame, the last bit decides whether it is compared
        assert (back.forward.flow - pair.backward.flow).abs().mean() < 1e-3
    again = labeler.label_pairs(teacher, PairBatch(frames[:-1], frames[1:]))
    assert all(
        torch.equal(one.forward.flow, two.forward.flow) and one.stats == two.stats for one, two in zip(labels, again))


def test_a_pyramid_that_takes_no_start_gets_plain_passes_and_a_mirrored_one():
    frames = rendered(2)
    teacher = teacher_of('pwcnet')
    assert not teacher.accepts_flow_init
    label, = FlowLabeler(view=dict(VIEW, flip=True, warm_start=True)).label_pairs(teacher,
                                                                                  PairBatch(frames[:1], frames[1:]))
    shares = {key: value for key, value in label.stats.items() if key.startswith('from_')}
    assert list(shares) == ['from_1x', 'from_2x', 'from_2x_flipped'] and sum(shares.values()) == pytest.approx(1,
                                                                                                               abs=1e-5)


def test_labels_of_a_view_that_keeps_no_record_have_no_shares():
    frames = rendered(2)
    labels = FlowLabeler(view=dict(type='CascadeView', scales=(1., ))).label_pairs(teacher_of('raft'),
                                                                                   PairBatch(frames[:1], frames[1:]))
    assert not [key for key in labels[0].stats if key.startswith('from_')]


def test_each_pair_of_a_batch_gets_what_it_gets_alone():
    frames = rendered()
    labeler, teacher = FlowLabeler(view=VIEW, directions='both'), teacher_of('raft')
    together = labeler.label_pairs(teacher, PairBatch(frames[:-1], frames[1:]))
    for i, pair in enumerate(together):
        alone, = labeler.label_pairs(teacher, PairBatch(frames[i:i + 1], frames[i + 1:i + 2]))
        torch.testing.assert_close(alone.forward.flow, pair.forward.flow, rtol=0, atol=1e-3)
        assert alone.stats['from_2x'] == pytest.approx(pair.stats['from_2x'], abs=.01)


def test_all_that_decides_is_in_the_description():
    view = FlowLabeler(view=VIEW).describe()['view']
    weights = dict(trust=3., picture=30., radius=4.)
    assert view == dict(type='ArbitratedView', scales=[1., 2.], flip=False, warm_start=False, **weights)
