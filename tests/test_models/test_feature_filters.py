"""Labels that features contradict are dropped, of flow and of tracks."""
from __future__ import annotations

import json

import pytest
import torch
from torch import nn

from mmrefine.errors import ConfigError
from mmrefine.fileio.atomic import save_checkpoint
from mmrefine.geometry import feature_change
from mmrefine.labeling import FeatureAgreement, FlowLabeler, PairContext, Threshold, TrackFeatureFilter
from mmrefine.models import CorrespondenceLearner
from mmrefine.registry import FILTERS, TEACHERS
from mmrefine.structures import TrackLook

SIZE = (46, 62)  # no multiples of 4


class Directions(nn.Module):
    """The direction of the first two channels of a cell, so that the cosine is that of their angle."""

    def encode(self, frames):
        assert frames.shape[-1] % 8 == 0 == frames.shape[-2] % 8
        return nn.functional.avg_pool2d(frames, 4)[:, :2]

    def digest(self):
        return 'directions'

    def describe(self):
        return {}

    def peak_bytes(self, size, pairs=1):
        return pairs * size[0] * size[1]


@TEACHERS.register_module()
class DirectionsOfColors:

    def network(self):
        return Directions()


def part(name, **settings):
    return FILTERS.build(dict(type=name, features=dict(type='DirectionsOfColors'), **settings))


def turning(shift=0.):
    """A frame in which the angle grows by 0.01 a px to the right, moved to the right by ``shift`` px."""
    angle = 0.01 * (torch.arange(SIZE[1]).float() - shift).expand(SIZE)
    return torch.stack([angle.cos(), angle.sin(), 0 * angle])


def test_the_change_is_one_less_the_cosine_between_both_places():
    one, two = (Directions().encode(nn.functional.pad(turning(shift)[None], [0, 2, 0, 2])) for shift in (0., 8.))
    points = torch.tensor([[9.5, 20.25], [13.5, 30.]]).t()[None, :, None]
    for off in (0., 5., 12.):
        there = points + torch.tensor([8. + off, 1.])[None, :, None, None]
        found = feature_change(one, points, two, there, 4)
        assert found.shape == (1, 1, 1, 2)
        assert torch.allclose(found, 1 - torch.tensor(0.01 * off).cos(), atol=2e-5)


def test_flow_is_kept_where_the_features_change_by_less_than_the_tolerance_and_inside():
    frames1, frames2 = turning()[None].repeat(2, 1, 1, 1), turning(8.)[None].repeat(2, 1, 1, 1)
    flow = torch.zeros(2, 2, *SIZE)
    flow[0, 0], flow[1, 0] = 8., 28.  # right; too far by 20 px, an angle of 0.2
    ctx = PairContext(frames1, frames2, flow, -flow)
    inside = torch.arange(SIZE[1]) + flow[:, 0] <= SIZE[1] - 1
    edge = torch.zeros(SIZE, dtype=torch.bool)
    edge[8:-8, 8:25] = True
    strict, loose = (part('FeatureAgreement', tolerance=value)(ctx) for value in (0.015, 0.025))  # 1 - cos 0.2 = 0.0199
    assert strict.shape == (2, 1, *SIZE) and bool((strict[0, 0][edge] == 1).all())
    assert bool((strict[1, 0][edge] == 0).all()) and bool((loose[1, 0][edge] == 1).all())
    assert bool((loose[:, 0][~inside] == 0).all())


def test_tracks_are_kept_whose_features_change_little_on_average_where_they_are_seen():
    frames = torch.stack([turning(4. * t) for t in range(4)])
    start = torch.tensor([20., 24.])
    there = start + torch.stack([torch.tensor([4. * t, 0.]) for t in range(4)])
    there = there.repeat(5, 1, 1)
    there[1, 1:, 0] += 20.  # off in three of three frames
    there[2, 3, 0] += 20.  # in one of three
    there[3] = there[1]  # not seen where it is off
    there[4, 1:, 0] = 100.  # outside
    visible = torch.ones(5, 4)
    visible[3, 1:] = 0.4
    look = TrackLook(frames, there, there, visible)
    assert part('TrackFeatureFilter', tolerance=0.015)(look).tolist() == [True, False, True, True, True]
    assert part('TrackFeatureFilter', tolerance=0.004)(look).tolist() == [True, False, False, True, True]
    assert part('TrackFeatureFilter', tolerance=0.015, seen=0.)(look).tolist() == [True, False, True, False, True]
    none = TrackLook(frames, there[:0], there[:0], visible[:0])
    assert part('TrackFeatureFilter')(none).shape == (0, )


def test_a_network_of_correspondences_is_described_by_its_weights_and_counted(tmp_path):
    model = dict(type='CorrespondenceLearner', estimator=dict(type='mmrefine.CorrFlowEncoder', out_channels=8))
    network = CorrespondenceLearner(model['estimator'])
    save_checkpoint(tmp_path / 'a.pth', dict(state_dict=network.estimator.state_dict(), meta={}))
    source = dict(type='OtherNetwork', model=model, checkpoint=str(tmp_path / 'a.pth'))
    one = FILTERS.build(dict(type='FeatureAgreement', features=source, tolerance=2.))
    found = one.describe()
    assert found['network'] == 'CorrFlowEncoder' and found['radius'] == 6 and len(found['digest']) > 8
    assert json.loads(json.dumps(found)) == found
    assert one.peak_bytes(SIZE) == 2 * network.pass_bytes(SIZE)
    frames = torch.rand(1, 3, *SIZE)
    flow = torch.zeros(1, 2, *SIZE)
    assert bool((one(PairContext(frames, frames, flow, flow)) == 1).all())
    described = FlowLabeler(dict(type='CascadeView'), [dict(type='FeatureAgreement', features=source)]).describe()
    assert str(tmp_path) not in json.dumps(described)


def test_other_networks_and_tolerances_are_refused(tmp_path):
    for name in ('FeatureAgreement', 'TrackFeatureFilter'):
        with pytest.raises(ConfigError, match=f'{name}.tolerance'):
            part(name, tolerance=3.)
        with pytest.raises(ConfigError, match=f"{name}.features must be .*type='CorrespondenceLearner'"):
            FILTERS.build(dict(type=name, features=dict(type='StudentCopy')))
    assert isinstance(FeatureAgreement.threshold, Threshold) and not hasattr(TrackFeatureFilter, 'threshold')
