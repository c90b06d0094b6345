"""Weights come in from three kinds of file, strictly."""
from __future__ import annotations

from pathlib import Path

import pytest
import torch

from mmrefine.apis import init_model
from mmrefine.compat.official_checkpoints import convert_raft
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


@pytest.mark.parametrize('to', ['mmrefine', 'princeton', 'torchvision'])
def test_a_few_missing_tensors_are_named_whatever_code_base_the_file_comes_from(to):
    refiner = init_model(Path(__file__).resolve().parents[2] / 'configs/refine/raft_small_video.py')
    state = convert_raft(stock(refiner), to)[0]
    gone = sorted(state)[:4]
    with pytest.raises(CheckpointError) as caught:
        estimator_state(refiner, {key: value for key, value in state.items() if key not in gone}, source='part.pth')
    assert all(key in str(caught.value) for key in ('part.pth', *gone)) and ' more' not in str(caught.value)


def test_whole_numbers_in_the_place_of_weights_are_refused_by_name(build_raft):
    refiner = build_raft()
    state = {**stock(refiner), 'encoder.conv1.weight': stock(refiner)['encoder.conv1.weight'].long()}
    with pytest.raises(CheckpointError, match=r'type encoder.conv1.weight torch.int64 instead of torch.float32'):
        estimator_state(refiner, state, source='int.pth')


def test_many_wrong_keys_are_counted_not_listed(build_raft):
    refiner = build_raft()
    state = stock(refiner)
    with pytest.raises(CheckpointError, match=rf'missing .* and {len(state) - 4} more'):
        estimator_state(refiner, dict(state_dict=dict(list(state.items())[:1])), source='part.pth')


def test_a_missing_file_is_named(build_raft, tmp_path):
    with pytest.raises(CheckpointError, match='nowhere.pth'):
        load_estimator(build_raft(), tmp_path / 'nowhere.pth')
