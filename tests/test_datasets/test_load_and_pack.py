import pickle
import re

import numpy as np
import pytest
import torch

from mmrefine.datasets import FramePairs
from mmrefine.datasets.transforms import LoadLabel, LoadTruth, PackPair
from mmrefine.errors import ConfigError, InputError, LabelStoreError
from mmrefine.fileio import LabelStore, write_flow
from mmrefine.structures import FlowLabel

SIZE = (6, 8)
STATS = dict(kept=0.5)


def make_label(value, size=SIZE):
    """Flow (value, -value) px; weight 1 in the left half, 102/255 in the rest of row 0, else 0."""
    weight = torch.zeros(1, *size)
    weight[..., :size[1] // 2] = 1
    weight[0, 0, size[1] // 2:] = 102 / 255
    return FlowLabel(torch.tensor([value, -value]).view(2, 1, 1).expand(2, *size), weight)


def make_store(root, labels, teacher='t'):
    store = LabelStore(root, dict(teacher=teacher))
    store.create()
    for key, label in labels.items():
        store.write(key, label, STATS)
    store.finish(labels)
    return root


def pair(key='bee/f1__f2', size=SIZE, **more):
    frame = np.zeros((*size, 3), np.uint8)
    return dict(frame1=frame, frame2=frame, key=key, scene=key.split('/')[0], **more)


def test_a_label_comes_by_its_key(tmp_path):
    root = make_store(tmp_path / 'labels', {'bee/f1__f2': make_label(1.5), 'bee/f2__f1': make_label(-2.)})
    load = LoadLabel(root)
    loaded = load(pair())
    expected = make_label(1.5)
    np.testing.assert_array_equal(loaded['weight'], expected.weight.permute(1, 2, 0))
    np.testing.assert_array_equal(loaded['flow'], np.where(loaded['weight'] > 0, [1.5, -1.5], 0))
    assert load(pair('bee/f2__f1'))['flow'][0, 0].tolist() == [-2, 2]


def test_the_store_of_the_dataset_is_used_when_the_transform_names_none(tmp_path, clips):
    labels = {key: make_label(value) for key, value in [('ant/f1__f2', 3.), ('ant/f2__f1', -3.)]}
    root = make_store(tmp_path / 'labels', labels)
    data = FramePairs(clips, scenes='ant', directions='both', pipeline=[dict(type='LoadLabel'), dict(type='PackPair')])
    with pytest.raises(ConfigError,
                       match='ant/f1__f2: LoadLabel has no label store; set LoadLabel.store or the labels'):
        data[0]
    data.labels = root
    assert [float(data[index]['data_samples'].flow[0, 0, 0]) for index in (0, 1)] == [3, -3]


def test_the_store_need_not_exist_before_the_first_read_and_the_transform_can_be_pickled(tmp_path):
    load = LoadLabel(tmp_path / 'labels')
    make_store(tmp_path / 'labels', {'bee/f1__f2': make_label(1.)})
    load(pair())
    copied = pickle.loads(pickle.dumps(load))
    assert copied.reader._opened is None
    np.testing.assert_array_equal(copied(pair())['flow'], load(pair())['flow'])


def test_labels_made_anew_in_the_same_folder_are_seen(tmp_path):
    root = make_store(tmp_path / 'labels', {'bee/f1__f2': make_label(1.)})
    load = LoadLabel(root)
    assert load(pair())['flow'][0, 0, 0] == 1
    root.rename(tmp_path / 'old')
    hard = FlowLabel(torch.full((2, *SIZE), 5.), torch.ones(1, *SIZE))    # no soft weights now
    make_store(root, {'bee/f1__f2': hard, 'cow/f1__f2': hard}, teacher='another')
    assert load(pair())['flow'][0, 0, 0] == 5 and load(pair())['weight'].min() == 1
    assert load(pair('cow/f1__f2'))['flow'][0, 0, 0] == 5


def test_a_pair_without_label_is_named(tmp_path):
    root = make_store(tmp_path / 'labels', {'bee/f1__f2': make_label(1.)})
    with pytest.raises(LabelStoreError, match=f'{re.escape(str(root))}: there is no label for cow/f1__f2'):
        LoadLabel(root)(pair('cow/f1__f2'))


def test_a_label_of_another_size_is_named(tmp_path):
    root = make_store(tmp_path / 'labels', {'bee/f1__f2': make_label(1.)})
    with pytest.raises(LabelStoreError, match=r'label of bee/f1__f2 is 6x8 .* its frames are 12x16'):
        LoadLabel(root)(pair(size=(12, 16)))


def test_labels_that_are_not_complete_are_not_trained_on(tmp_path):
    store = LabelStore(tmp_path / 'labels', dict(teacher='t'))
    store.create()
    store.write('bee/f1__f2', make_label(1.), STATS)
    with pytest.raises(LabelStoreError, match='not a complete label store'):
        LoadLabel(tmp_path / 'labels')(pair())


@pytest.mark.parametrize('suffix', ['.flo', '.png'])
def test_truth_has_weight_where_it_is_known_and_zero_motion_elsewhere(tmp_path, suffix):
    rng = np.random.default_rng(0)
    # multiples of 1/64 px, which the KITTI layout keeps exactly
    flow = (rng.integers(-640, 640, size=(*SIZE, 2)) / 64).astype(np.float32)
    valid = rng.random(SIZE) < 0.7
    write_flow(tmp_path / f'f1{suffix}', flow, valid)
    loaded = LoadTruth()(pair(truth=tmp_path / f'f1{suffix}'))
    np.testing.assert_array_equal(loaded['weight'][..., 0], valid)
    np.testing.assert_array_equal(loaded['flow'], np.where(valid[..., None], flow, 0))
    assert loaded['flow'].dtype == loaded['weight'].dtype == np.float32


def test_missing_truth_is_an_error_where_it_is_required():
    with pytest.raises(InputError, match='bee/f1__f2: there is no ground truth for this pair'):
        LoadTruth()(pair(truth=None))
    passed = LoadTruth(required=False)(pair(truth=None))
    assert 'flow' not in passed and 'weight' not in passed


def test_truth_of_another_size_is_named(tmp_path):
    write_flow(tmp_path / 'f1.flo', np.zeros((5, 9, 2), np.float32))
    with pytest.raises(InputError, match=r'f1.flo: the ground truth of bee/f1__f2 is 5x9 .* its frames are 6x8'):
        LoadTruth()(pair(truth=tmp_path / 'f1.flo'))


def test_packing_moves_channels_first_and_keeps_every_value():
    rng = np.random.default_rng(0)
    results = pair(
        flow=rng.normal(size=(*SIZE, 2)).astype(np.float32), weight=rng.random((*SIZE, 1), dtype=np.float32))
    for name in ('frame1', 'frame2'):
        results[name] = rng.integers(0, 256, size=(*SIZE, 3), dtype=np.uint8)
    packed = PackPair()(results)
    assert set(packed) == {'inputs', 'data_samples'} and packed['inputs'].dtype == torch.uint8
    assert packed['inputs'].is_contiguous()
    for index, name in enumerate(('frame1', 'frame2')):
        for channel in range(3):
            np.testing.assert_array_equal(packed['inputs'][index, channel], results[name][..., channel])
    sample = packed['data_samples']
    np.testing.assert_array_equal(sample.flow, results['flow'].transpose(2, 0, 1))
    np.testing.assert_array_equal(sample.weight, results['weight'].transpose(2, 0, 1))
    assert (sample.key, sample.scene, sample.size) == ('bee/f1__f2', 'bee', SIZE)
    assert set(sample.metainfo) == {'key', 'scene', 'size'}


def test_packing_shares_no_memory_with_its_input():
    results = pair(flow=np.zeros((*SIZE, 2), np.float32), weight=np.zeros((*SIZE, 1), np.float32))
    packed = PackPair()(results)
    packed['inputs'].add_(1)
    packed['data_samples'].flow.add_(1)
    packed['data_samples'].weight.add_(1)
    assert not results['frame1'].any() and not results['flow'].any() and not results['weight'].any()


def test_packing_without_motion_packs_no_motion_and_flow_alone_counts_everywhere():
    assert 'flow' not in PackPair()(pair())['data_samples']
    sample = PackPair()(pair(flow=np.ones((*SIZE, 2), np.float32)))['data_samples']
    assert torch.equal(sample.weight, torch.ones(1, *SIZE))
