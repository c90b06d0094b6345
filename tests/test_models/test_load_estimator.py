"""Weights come in from three kinds of file, strictly."""
from __future__ import annotations

import pytest
import torch

from mmrefine.errors import CheckpointError
from mmrefine.models import estimator_state, load_estimator


def stock(refiner):
    return refiner.estimator.state_dict()


@pytest.mark.parametrize('wrap', [
    pytest.param(lambda m: dict(state_dict=stock(m), meta=dict(epoch=1)), id='stock checkpoint'),
    pytest.param(lambda m: stock(m), id='bare state dict'),
    pytest.param(lambda m: dict(state_dict=m.state_dict(), message_hub={}), id='training checkpoint'),
    pytest.param(lambda m: dict(state_dict={f'module.{k}': v for k, v in m.state_dict().items()}), id='distributed'),
])
def test_weights_arrive_from_every_kind_of_file(build_raft, tmp_path, wrap):
    source, target = build_raft(), build_raft()
    assert not torch.equal(*(stock(m)['encoder.conv1.weight'] for m in (source, target)))
    torch.save(wrap(source), tmp_path / 'weights.pth')
    load_estimator(target, tmp_path / 'weights.pth')
    assert all(torch.equal(value, stock(source)[key]) for key, value in stock(target).items())


def test_weights_of_another_network_are_refused_and_nothing_is_loaded(build_raft, tmp_path):
    refiner = build_raft()
    before = {key: value.clone() for key, value in stock(refiner).items()}
    state = {key: value + 1 for key, value in before.items()}
    state['encoder.strange'] = state.pop('encoder.conv1.bias')
    state['encoder.conv2.weight'] = torch.zeros(7)
    torch.save(dict(state_dict=state), tmp_path / 'other.pth')
    with pytest.raises(CheckpointError) as caught:
        load_estimator(refiner, tmp_path / 'other.pth')
    for found in ('other.pth', 'RAFT', 'missing encoder.conv1.bias', 'unexpected encoder.strange',
                  'encoder.conv2.weight (7,) instead of (128, 96, 1, 1)'):
        assert found in str(caught.value)
    assert all(torch.equal(value, before[key]) for key, value in stock(refiner).items())


def test_many_wrong_keys_are_counted_not_listed(build_raft):
    refiner = build_raft()
    state = stock(refiner)
    with pytest.raises(CheckpointError, match=rf'missing .* and {len(state) - 4} more'):
        estimator_state(refiner, dict(state_dict=dict(list(state.items())[:1])), source='part.pth')


def test_a_missing_file_is_named(build_raft, tmp_path):
    with pytest.raises(CheckpointError, match='nowhere.pth'):
        load_estimator(build_raft(), tmp_path / 'nowhere.pth')
