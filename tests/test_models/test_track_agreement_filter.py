"""Flow that a tracker contradicts weighs nothing; where the tracker knows nothing it has no say."""
from __future__ import annotations

import json

import pytest
import torch
from exact_tracks import SIZE, ExactTracker, render, translations
from torch import nn

from mmrefine.errors import ConfigError
from mmrefine.fileio.atomic import save_checkpoint
from mmrefine.labeling import FlowLabeler, PairContext
from mmrefine.models import PIPs, TrackRefiner
from mmrefine.registry import FILTERS, TEACHERS

MAPS = translations(3., 2., 2)


class Tracker(nn.Module):

    def __init__(self, fault):
        super().__init__()
        self.exact = ExactTracker(MAPS, fault=fault)

    def track(self, frames, queries):
        return self.exact.track(frames, queries)

    def track_both(self, frames, points):
        return self.exact.track_both(frames, points)

    def digest(self):
        return 'exact'

    def describe(self):
        return {}

    def peak_bytes(self, size, pairs=1):
        return pairs * size[0]


@TEACHERS.register_module()
class KnownTracks:
    fault = None

    def network(self):
        return Tracker(KnownTracks.fault)


def weight(flow, fault=None, **settings):
    KnownTracks.fault = fault
    part = FILTERS.build(dict(type='TrackAgreementFilter', tracker=dict(type='KnownTracks'), **settings))
    frames = render(MAPS)
    return part(PairContext(frames[:1], frames[1:], flow, -flow))


def moving(x=3., y=2., size=SIZE):
    return torch.tensor([x, y]).view(1, 2, 1, 1).repeat(1, 1, *size)


def test_flow_is_refused_around_the_points_where_the_tracker_goes_elsewhere():
    flow = moving()
    assert (weight(flow) == 1).all() and weight(flow).shape == (1, 1, *SIZE)
    flow[..., 15:23, 23:31] += 4.  # one square of the grid of 8 px
    found = weight(flow)
    assert (found[..., 15:23, 23:31] == 0).all() and found.sum() == SIZE[0] * SIZE[1] - 64


@pytest.mark.parametrize('off, kept', [(1.8, True), (2.1, False)])
def test_the_tolerance_is_px_and_a_share_of_the_motion(off, kept):
    flow = moving(3. + off)
    share = 1 / float(flow[0, :, 0, 0].norm())  # a further px
    assert bool((weight(flow, tolerance=1., share=share)[..., 12:36, 12:44] == 1).all()) is kept


@pytest.mark.parametrize('fault', [
    lambda scale, there, back, visible: back.__setitem__((slice(None), 0), back[:, 0] + 2.),
    lambda scale, there, back, visible: visible.fill(0.4),
    lambda scale, there, back, visible: there.__setitem__((slice(None), 1), -50.),
], ids=['does not come back', 'is hidden', 'is outside'])
def test_where_the_tracker_is_not_sure_it_has_no_say(fault):
    flow = moving() + 9.
    assert (weight(flow)[..., 8:24, 8:24] == 0).all()
    assert (weight(flow, fault) == 1).all()


@pytest.mark.parametrize('step', [1, 5, 7, 64])
def test_every_pixel_asks_the_nearest_point_of_the_grid(step):
    from mmrefine.geometry import query_grid
    flow = moving() + 5 * (torch.rand(1, 1, *SIZE, generator=torch.Generator().manual_seed(step)) > 0.5)
    points = query_grid(SIZE, step)
    y, x = torch.meshgrid(*(torch.arange(side, dtype=torch.float32) for side in SIZE), indexing='ij')
    distance = (torch.stack([x, y], -1)[:, :, None] - points).abs()
    ours, found = points.long().T, weight(flow, share=0., step=step)[0, 0]
    own = found[ours[1], ours[0]]
    least = distance.sum(-1).amin(-1, keepdim=True)
    same = (distance.sum(-1) <= least) & (own == found[..., None])
    assert same.any(-1).all() and (step == 64 or 0 < own.mean() < 1)


def test_a_tracker_is_described_by_its_weights_and_counted_in_memory(tmp_path):
    small = dict(feat_channels=16, mixer_channels=16, mixer_depth=1, encoder_channels=(8, 8, 16, 16))
    save_checkpoint(tmp_path / 'pips.pth', dict(state_dict=PIPs(**small).state_dict(), meta={}))
    model = dict(type='TrackRefiner', estimator=dict(type='mmrefine.PIPs', **small), test_iters=1)
    tracker = dict(type='OtherNetwork', model=model, checkpoint=str(tmp_path / 'pips.pth'))
    labeler = FlowLabeler(dict(type='CascadeView'), [dict(type='TrackAgreementFilter', tracker=tracker, step=16)])
    described = json.dumps(labeler.describe())
    assert str(tmp_path) not in described and labeler.filters[0].network.digest() in described
    assert labeler.own_bytes((64, 96)) == 2 * TrackRefiner(model['estimator']).pass_bytes((64, 96)) > 0
    frames, flow = render(MAPS), moving()
    assert labeler.filters[0](PairContext(frames[:1], frames[1:], flow, -flow)).shape == (1, 1, *SIZE)
    assert FlowLabeler(dict(type='CascadeView')).own_bytes((64, 96)) == 0


@pytest.mark.parametrize('settings, says', [
    (dict(step=0), 'TrackAgreementFilter.step must be a whole number, at least 1, got 0'),
    (dict(tolerance=-1.), 'TrackAgreementFilter.tolerance must be finite and not negative, got -1'),
    (dict(seen=2.), 'TrackAgreementFilter.seen must .*got 2'),
    (dict(tracker=dict(type='StudentCopy')), r"tracker must be dict\(type='OtherNetwork', model=dict\(type='TrackRef"),
])
def test_a_wrong_setting_is_one_sentence(settings, says):
    with pytest.raises(ConfigError, match=says) as caught:
        weight(moving(), **{key: value for key, value in settings.items() if key != 'tracker'}) if (
            'tracker' not in settings) else FILTERS.build(dict(type='TrackAgreementFilter', **settings))
    assert '\n' not in str(caught.value)
