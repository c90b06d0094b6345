"""Weights come in from three kinds of file, strictly."""
from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from mmrefine.apis import init_model
from mmrefine.compat.checkpoints import load_checkpoint_file
from mmrefine.compat.official_checkpoints import convert_raft
from mmrefine.engine import WeightsHook
from mmrefine.errors import CheckpointError
from mmrefine.models import CorrespondenceLearner, estimator_state, load_estimator


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


def features(**settings):
    return CorrespondenceLearner(dict(type='mmrefine.CorrFlowEncoder', out_channels=8), **settings)


def left_by_a_run(model, work_dir) -> Path:
    """The checkpoint that the hook leaves of a model."""
    hub = SimpleNamespace(runtime_info={})
    runner = SimpleNamespace(model=model, work_dir=str(work_dir), iter=3, message_hub=hub,
                             logger=SimpleNamespace(info=lambda text: None))
    WeightsHook().after_train(runner)
    return work_dir / 'refined.pth'


GREY, DROPPED = dict(bottleneck=dict(type='GreyInput')), dict(bottleneck=dict(type='ChannelDropout', prob=1.))


@pytest.mark.parametrize('trained, used, story', [
    (GREY, {}, "trained with model.bottleneck='GreyInput', and this config has model.bottleneck=None,"),
    (DROPPED, GREY, "trained with model.bottleneck=None, and this config has model.bottleneck='GreyInput',"),
    (dict(radius=None), DROPPED, 'trained with model.radius=None, and this config has model.radius=6,'),
    (dict(radius=4, **GREY), dict(radius=0), "trained with model.radius=4 and model.bottleneck='GreyInput', and this "
                                             'config has model.radius=0 and model.bottleneck=None,'),
    (dict(radius=None, **GREY), dict(radius=None, **GREY), None),
    (DROPPED, {}, None),  # in use no channel is dropped
])
@pytest.mark.parametrize('form', ['refined', 'training'])
def test_features_are_used_as_they_were_learned_or_refused(tmp_path, trained, used, story, form):
    path, target = left_by_a_run(features(**trained), tmp_path), features(**used)
    if form == 'training':
        checkpoint = dict(state_dict=features(**trained).state_dict(), meta=dict(epoch=0, iter=3))
        WeightsHook().before_save_checkpoint(SimpleNamespace(model=features(**trained)), checkpoint)
        path = tmp_path / 'iter_3.pth'
        torch.save(checkpoint, path)
    before = {key: value.clone() for key, value in stock(target).items()}
    if story is None:
        load_estimator(target, path)
    else:
        with pytest.raises(CheckpointError) as caught:
            load_estimator(target, path)
        assert f'{path}: was {story} so its features would be others; name the config' in str(caught.value)
    assert all(torch.equal(value, before[key]) for key, value in stock(target).items()) is (story is not None)


@pytest.mark.parametrize('meta', [{}, dict(learned_with='?'), dict(learned_with=dict(depth=3))])
def test_features_without_such_a_record_are_loaded(meta):
    estimator_state(features(radius=2), dict(state_dict=stock(features()), meta=meta), 'old.pth')


def test_checkpoints_of_flow_have_no_such_record(build_raft, tmp_path):
    assert set(load_checkpoint_file(left_by_a_run(build_raft(), tmp_path))['meta']) == {'mmrefine', 'iter', 'refined'}
