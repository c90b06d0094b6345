"""From a config to batches, through MMEngine's own loader."""
import numpy as np
import pytest
import torch
from mmengine.runner import Runner

from mmrefine.datasets import FramePairs
from mmrefine.fileio import write_flow

PIPELINE = [
    dict(type='LoadTruth'),
    dict(type='RandomScaleStretch', crop_size=(4, 5)),
    dict(type='RandomCrop', size=(4, 5)),
    dict(type='RandomFlip'),
    dict(type='ColorJitter'),
    dict(type='Eraser', sides=(1, 3)),
    dict(type='PackPair'),
]


@pytest.fixture
def config(clips, tmp_path):
    rng = np.random.default_rng(0)
    for scene, count in (('bee', 3), ('ant', 2), ('cow', 4)):
        for number in range(1, count):
            write_flow(tmp_path / 'flow' / scene / f'f{number}.flo', rng.normal(size=(6, 8, 2)).astype(np.float32))
    return dict(
        batch_size=2,
        num_workers=0,
        dataset=dict(
            type='mmrefine.FramePairs', data_root=str(clips), truth_root=str(tmp_path / 'flow'), pipeline=PIPELINE),
        sampler=dict(type='mmrefine.DrawSampler', num_draws=10))


def batches(config, **changes):
    return list(Runner.build_dataloader({**config, **changes}, seed=5))


def flattened(found):
    """Inputs, flow, weight, key per sample."""
    return [(inputs, sample.flow, sample.weight, sample.key) for batch in found
            for inputs, sample in zip(batch['inputs'], batch['data_samples'])]


def assert_same(first, second):
    assert len(first) == len(second)
    for one, other in zip(first, second):
        assert one[3] == other[3]
        for tensor, twin in zip(one[:3], other[:3]):
            assert torch.equal(tensor, twin)


def test_workers_give_the_items_of_the_main_process(config):
    alone = flattened(batches(config))
    assert len(alone) == 10 and alone[0][0].shape == (2, 3, 4, 5) and alone[0][1].shape == (2, 4, 5)
    assert len({item[3] for item in alone[:6]}) == 6    # a pass over all six pairs before any comes again
    assert_same(alone, flattened(batches(config, num_workers=1)))


def test_a_resumed_loader_goes_on_where_the_first_stopped(config):
    whole = flattened(batches(config))
    rest = batches(config, sampler=dict(type='mmrefine.DrawSampler', num_draws=10, start=4))
    assert_same(whole[4:], flattened(rest))


def test_the_batch_size_does_not_change_the_items(config):
    assert_same(flattened(batches(config)), flattened(batches(config, batch_size=5)))


def test_the_same_pair_is_augmented_anew_in_the_next_pass(config):
    items = flattened(batches(config))
    again = [(one, other) for i, one in enumerate(items) for other in items[i + 1:] if one[3] == other[3]]
    assert len(again) == 4
    assert all(not torch.equal(one[0], other[0]) for one, other in again)


def test_clips_of_the_rendered_world_are_training_pairs(tmp_path):
    # two-frame scenes with exact flow; imported here, for datasets and synthetic are siblings
    from mmrefine.synthetic import write_clips
    names = write_clips(tmp_path, range(3), num_frames=2, size=(48, 64))
    data = FramePairs(tmp_path / 'frames', truth_root=tmp_path / 'flow', pipeline=[dict(type='LoadTruth')])
    assert data.scene_names == sorted(names) and len(data) == 3
    for item in data:
        assert item['flow'].shape == (48, 64, 2) and item['weight'].all() and np.abs(item['flow']).max() > 0.1
