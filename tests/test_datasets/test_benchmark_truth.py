"""What benchmarks draw beside their ground truth: occlusions, objects, sub-pixels."""
from __future__ import annotations

import sys
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from mmrefine.datasets import KittiPairs, SintelPairs, SpringPairs
from mmrefine.datasets.transforms import LoadTruth
from mmrefine.errors import ConfigError, InputError
from mmrefine.fileio import read_mask, write_flow, write_image

SIZE = (6, 8)
PIPELINE = [dict(type='LoadTruth', benchmark=True), dict(type='PackPair')]


def mask_of(seed, size=SIZE):
    return np.random.default_rng(seed).random(size) < 0.5


def write_mask(path, mask, level=255):
    write_image(path, mask.astype(np.uint8) * level)


@pytest.fixture
def sintel(tmp_path, frame):
    for number in (1, 2, 3):
        write_image(tmp_path / f'training/final/alley_1/frame_{number:04d}.png', frame(1, number))
        if number < 3:
            write_flow(tmp_path / f'training/flow/alley_1/frame_{number:04d}.flo',
                       np.full((*SIZE, 2), number, np.float32))
            write_mask(tmp_path / f'training/occlusions/alley_1/frame_{number:04d}.png', mask_of(number))
    write_mask(tmp_path / 'training/invalid/alley_1/frame_0001.png', mask_of(7))
    return tmp_path


def test_sintel_draws_occluded_and_invalid_pixels(sintel):
    first, second = (item['data_samples'] for item in SintelPairs(sintel, pipeline=PIPELINE))
    assert set(first.regions) == {'occluded', 'invalid'} and set(second.regions) == {'occluded'}
    np.testing.assert_array_equal(first.regions['occluded'], mask_of(1))
    np.testing.assert_array_equal(first.regions['invalid'], mask_of(7))
    np.testing.assert_array_equal(second.regions['occluded'], mask_of(2))


def test_regions_are_only_read_where_they_are_asked_for(sintel):
    item = SintelPairs(sintel, pipeline=[dict(type='LoadTruth'), dict(type='PackPair')])[0]
    assert 'flow' in item['data_samples'] and 'regions' not in item['data_samples']


def test_a_reversed_pair_has_neither_truth_nor_regions(sintel):
    pairs = SintelPairs(sintel, directions='both').pairs
    assert [bool(pair['truth']) for pair in pairs] == [bool(pair['region_files'])
                                                       for pair in pairs] == [True, False, True, False]


def test_a_region_of_another_size_is_named(sintel):
    write_mask(sintel / 'training/occlusions/alley_1/frame_0002.png', mask_of(2, (5, 8)))
    with pytest.raises(InputError,
                       match=r'occlusions.alley_1.frame_0002.png: occluded of alley_1/.* is 5x8 .*its frames are 6x8'):
        SintelPairs(sintel, pipeline=PIPELINE)[1]


def test_kitti_draws_what_is_not_occluded_and_the_objects(tmp_path, frame):
    for number in (10, 11):
        write_image(tmp_path / f'training/image_2/000003_{number}.png', frame(3, number))
    flow, occ, noc = np.ones((*SIZE, 2), np.float32), mask_of(0), mask_of(0) & mask_of(1)
    write_flow(tmp_path / 'training/flow_occ/000003_10.png', flow, occ)
    data = KittiPairs(tmp_path, pipeline=PIPELINE)
    assert data[0]['data_samples'].regions == {}
    write_flow(tmp_path / 'training/flow_noc/000003_10.png', flow, noc)
    objects = mask_of(2) * np.random.default_rng(0).integers(1, 9, SIZE)
    write_image(tmp_path / 'training/obj_map/000003_10.png', objects.astype(np.uint8))
    sample = KittiPairs(tmp_path, pipeline=PIPELINE)[0]['data_samples']
    np.testing.assert_array_equal(sample.regions['noc'], noc)
    np.testing.assert_array_equal(sample.regions['foreground'], mask_of(2))
    np.testing.assert_array_equal(sample.weight[0], occ)


@pytest.mark.parametrize('depth', [np.uint8, np.uint16])
def test_a_mask_is_what_is_not_black_whatever_the_depth(tmp_path, depth):
    mask = mask_of(4)
    cv2.imwrite(str(tmp_path / 'gray.png'), mask.astype(depth))
    np.testing.assert_array_equal(read_mask(tmp_path / 'gray.png'), mask)
    picture = np.zeros((*SIZE, 3), depth)
    picture[..., 2] = mask
    cv2.imwrite(str(tmp_path / 'colour.png'), picture)
    np.testing.assert_array_equal(read_mask(tmp_path / 'colour.png'), mask)
    cv2.imwrite(str(tmp_path / 'alpha.png'), np.concatenate([picture, np.full((*SIZE, 1), 255, depth)], axis=-1))
    np.testing.assert_array_equal(read_mask(tmp_path / 'alpha.png'), mask)


def test_a_broken_mask_is_named(tmp_path):
    write_mask(tmp_path / 'a.png', mask_of(0))
    (tmp_path / 'b.png').write_bytes((tmp_path / 'a.png').read_bytes()[:-20])
    with pytest.raises(InputError, match=r'b\.png: cannot be read as a mask \(truncated'):
        read_mask(tmp_path / 'b.png')


# ---- Spring: .flo5 needs h5py, so a stand-in hands out what was "written"


@pytest.fixture
def spring(tmp_path, frame, monkeypatch):
    for number in (1, 2):
        for camera in ('left', 'right'):
            write_image(tmp_path / f'train/0001/frame_{camera}/frame_{camera}_{number:04d}.png', frame(1, number))
    flows = {}
    for way, number in (('FW_left', 1), ('BW_left', 2)):
        path = tmp_path / f'train/0001/flow_{way}/flow_{way}_{number:04d}.flo5'
        path.parent.mkdir(parents=True)
        path.write_bytes(way.encode())
        flows[way] = np.random.default_rng(number).normal(size=(12, 16, 2)).astype(np.float32)
    flows['FW_left'][3, 5] = np.nan

    class File(dict):

        def __init__(self, buffer, mode):
            super().__init__(flow=flows[buffer.read().decode()])

        def __enter__(self):
            return self

        def __exit__(self, *error):
            return None

    monkeypatch.setitem(sys.modules, 'h5py', SimpleNamespace(File=File))
    maps = tmp_path / 'train/0001/maps'
    write_mask(maps / 'detailmap_flow_FW_left/detailmap_flow_FW_left_0001.png', mask_of(1))
    write_mask(maps / 'matchmap_flow_FW_left/matchmap_flow_FW_left_0001.png', mask_of(2))
    write_mask(maps / 'rigidmap_FW_left/rigidmap_FW_left_0001.png', mask_of(3, (12, 16)))
    write_mask(maps / 'skymap_left/skymap_left_0001.png', mask_of(4, (12, 16)))
    write_mask(maps / 'skymap_left/skymap_left_0002.png', mask_of(5, (12, 16)))
    return tmp_path, flows


def test_spring_has_four_sub_pixels_and_truth_both_ways(spring):
    root, flows = spring
    data = SpringPairs(root, directions='both', pipeline=PIPELINE)
    forward, backward = (item['data_samples'] for item in data)
    assert [pair['key'] for pair in data.pairs] == ['0001/frame_left_0001__frame_left_0002',
                                                    '0001/frame_left_0002__frame_left_0001']
    for sample, way in ((forward, 'FW_left'), (backward, 'BW_left')):
        found = sample.subpixel_flow.numpy()
        for y in range(6):
            for x in range(8):
                block = flows[way][2 * y:2 * y + 2, 2 * x:2 * x + 2].reshape(4, 2)
                if np.isnan(block).any():
                    assert (y, x) == (1, 2) and np.isnan(found[:, :, y, x]).any()
                else:
                    np.testing.assert_array_equal(found[:, :, y, x], block)
        np.testing.assert_array_equal(sample.flow.permute(1, 2, 0), np.nan_to_num(flows[way][::2, ::2]))
    assert set(backward.regions) == {'sky'}
    np.testing.assert_array_equal(forward.regions['detail'], mask_of(1))
    np.testing.assert_array_equal(forward.regions['unmatched'], mask_of(2))
    for name, number in (('nonrigid', 3), ('sky', 4)):
        share = mask_of(number, (12, 16)).reshape(6, 2, 8, 2).mean(axis=(1, 3))
        np.testing.assert_array_equal(forward.regions[name], share >= 0.5)


def test_a_camera_of_spring_without_truth_has_none(spring):
    data = SpringPairs(spring[0], camera='right')
    assert data.pairs[0]['key'] == '0001/frame_right_0001__frame_right_0002' and data.pairs[0]['truth'] is None


def test_without_benchmark_the_truth_of_spring_is_that_of_every_second_pixel(spring):
    root, flows = spring
    loaded = SpringPairs(root, pipeline=[LoadTruth()])[0]
    np.testing.assert_array_equal(loaded['flow'], flows['FW_left'][::2, ::2])
    assert 'subpixel_flow' not in loaded


@pytest.mark.parametrize('wrong, error, message', [
    (dict(camera='middle'), ConfigError, "SpringPairs.camera must be 'left' or 'right', got 'middle'"),
    (dict(split='training'), ConfigError, "SpringPairs.split must be 'train' or 'test', got 'training'"),
    (dict(split='test'), InputError, r'test: there is no such folder'),
])
def test_what_spring_does_not_have_is_named(spring, wrong, error, message):
    with pytest.raises(error, match=message):
        SpringPairs(spring[0], **wrong)


def test_a_folder_without_scenes_is_not_spring(tmp_path):
    (tmp_path / 'train/0001').mkdir(parents=True)
    with pytest.raises(InputError, match='train: holds no scenes with a folder frame_left'):
        SpringPairs(tmp_path)
