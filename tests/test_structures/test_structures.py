"""Labels are checked at birth; samples keep their fields; contracts are structural."""
from __future__ import annotations

import dataclasses

import pytest
import torch

from mmrefine.structures import FlowEstimator, FlowLabel, FlowSample, Look


def test_a_look_turned_round_turns_all_that_was_seen():
    look = Look(*range(len(dataclasses.fields(Look))))
    assert list(vars(look.reversed()).values()) == [1, 0, 3, 2, 5, 4, 7, 6, 9, 8]


def test_a_label_keeps_its_numbers_in_float32():
    flow, weight = torch.randn(2, 3, 4).double(), torch.rand(1, 3, 4).double()
    label = FlowLabel(flow, weight)
    assert torch.equal(label.flow, flow.float()) and torch.equal(label.weight, weight.float())


def test_kept_is_the_mean_weight():
    weight = torch.zeros(1, 2, 2)
    weight[0, 0] = torch.tensor([1., .5])
    assert FlowLabel(torch.zeros(2, 2, 2), weight).kept == pytest.approx(.375)


def test_motion_without_weight_may_be_broken_and_becomes_zero_in_a_copy():
    flow = torch.ones(2, 2, 2)
    flow[1, 0, 0] = float('nan')
    weight = torch.ones(1, 2, 2)
    weight[0, 0, 0] = 0
    label = FlowLabel(flow, weight)
    assert label.flow[:, 0, 0].tolist() == [0., 0.] and float(label.flow.sum()) == 6.
    assert torch.isnan(flow[1, 0, 0])                        # the input is left alone


def test_broken_motion_with_weight_is_refused_with_its_count():
    flow = torch.zeros(2, 3, 3)
    flow[0, 0, :2] = float('inf')
    with pytest.raises(ValueError, match='2 pixels have weight but no finite motion'):
        FlowLabel(flow, torch.ones(1, 3, 3))


@pytest.mark.parametrize('value, said', [(1.5, '0 to 1.5'), (-.25, '-0.25 to 0'),
                                         (float('nan'), 'nan')])
def test_weights_outside_zero_to_one_are_refused_with_their_range(value, said):
    weight = torch.zeros(1, 2, 2)
    weight[0, 1, 1] = value
    with pytest.raises(ValueError, match=rf'lie in \[0, 1\], got .*{said}'):
        FlowLabel(torch.zeros(2, 2, 2), weight)


@pytest.mark.parametrize('flow, weight', [((2, 3, 4), (3, 4)), ((2, 3, 4), (1, 4, 3)),
                                          ((2, 3, 4), (2, 3, 4)), ((3, 3, 4), (1, 3, 4)),
                                          ((1, 2, 3, 4), (1, 1, 3, 4))])
def test_wrong_shapes_are_refused_and_named(flow, weight):
    with pytest.raises(ValueError) as caught:
        FlowLabel(torch.zeros(flow), torch.zeros(weight))
    assert str(flow) in str(caught.value) and str(weight) in str(caught.value)


def test_a_label_cannot_be_reassigned():
    label = FlowLabel(torch.zeros(2, 2, 2), torch.zeros(1, 2, 2))
    with pytest.raises(dataclasses.FrozenInstanceError):
        label.flow = torch.ones(2, 2, 2)


def test_a_label_holds_no_graph():
    flow = torch.zeros(2, 2, 2, requires_grad=True)
    assert not FlowLabel(flow * 2, torch.ones(1, 2, 2)).flow.requires_grad


def test_a_sample_moves_its_tensors_and_keeps_its_names():
    sample = FlowSample(
        flow=torch.zeros(2, 3, 4), metainfo=dict(key='a/1__2', scene='a', size=(3, 4)))
    sample.pred_flow = torch.ones(2, 3, 4)
    half = sample.to(torch.float64)
    assert half.flow.dtype == half.pred_flow.dtype == torch.float64
    assert (half.key, half.scene, half.size) == ('a/1__2', 'a', (3, 4))
    assert 'weight' not in half


def test_an_estimator_is_known_by_what_it_can_do():

    class Estimator:
        accepts_flow_init = False

        def estimate(self, frames1, frames2, flow_init=None):
            return []

    class Other:
        accepts_flow_init = False

    assert isinstance(Estimator(), FlowEstimator) and not isinstance(Other(), FlowEstimator)
