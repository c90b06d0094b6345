import re

import numpy as np
import pytest

from mmrefine.datasets import FramePairs, KittiPairs, SintelPairs
from mmrefine.errors import ConfigError, InputError
from mmrefine.fileio import write_flow, write_image


@pytest.fixture
def sintel(tmp_path, frame):
    for name, shift in (('final', 0), ('clean', 100)):
        for scene, count in ((1, 3), (2, 2)):
            for number in range(1, count + 1):
                path = tmp_path / 'training' / name / f'alley_{scene}' / f'frame_{number:04d}.png'
                write_image(path, frame(shift + scene, number))
                if number < count:
                    flow = np.full((6, 8, 2), scene * 10 + number, np.float32)
                    write_flow(tmp_path / 'training/flow' / f'alley_{scene}' / f'frame_{number:04d}.flo', flow)
    for number in (1, 2):
        write_image(tmp_path / 'test' / 'final' / 'ambush_1' / f'frame_{number:04d}.png', frame(7, number))
    return tmp_path


@pytest.fixture
def kitti(tmp_path, frame):
    for scene, size in ((0, (6, 8)), (1, (5, 9))):
        for number in (9, 10, 11, 12):
            path = tmp_path / 'training' / 'image_2' / f'{scene:06d}_{number:02d}.png'
            write_image(path, frame(scene, number, size))
        flow = np.full((*size, 2), scene + 0.5, np.float32)
        write_flow(tmp_path / 'training' / 'flow_occ' / f'{scene:06d}_10.png', flow)
    (tmp_path / 'testing' / 'image_2').mkdir(parents=True)
    return tmp_path


def test_sintel_frames_of_a_pass_meet_their_truth(sintel):
    data = SintelPairs(sintel, pipeline=[dict(type='LoadTruth')])
    assert [pair['key'] for pair in data.pairs] == [
        'alley_1/frame_0001__frame_0002', 'alley_1/frame_0002__frame_0003', 'alley_2/frame_0001__frame_0002'
    ]
    assert [float(item['flow'][0, 0, 0]) for item in data] == [11, 12, 21]
    assert [int(item['frame1'][0, 0, 0]) for item in data] == [1, 1, 2]
    clean = SintelPairs(sintel, 'clean', scenes='alley_2')
    assert [int(item['frame1'][0, 0, 0]) for item in clean] == [102]


def test_sintel_test_has_no_truth(sintel):
    data = SintelPairs(sintel, split='test')
    assert data.scene_names == ['ambush_1'] and data.pairs[0]['truth'] is None


def test_kitti_scenes_are_single_pairs_of_any_size_with_truth(kitti):
    data = KittiPairs(kitti, pipeline=[dict(type='LoadTruth')])
    assert [pair['key'] for pair in data.pairs] == ['000000/000000_10__000000_11', '000001/000001_10__000001_11']
    items = list(data)
    assert [item['size'] for item in items] == [(6, 8), (5, 9)]
    assert [item['frame1'][0, 0, :2].tolist() for item in items] == [[0, 10], [1, 10]]
    assert [item['frame2'][0, 0, :2].tolist() for item in items] == [[0, 11], [1, 11]]
    assert [float(item['flow'].mean()) for item in items] == [0.5, 1.5]


def test_kitti_multiview_takes_all_frames_and_truth_stays_with_frame_10(kitti):
    data = KittiPairs(kitti, multiview=True, scenes='000001', directions='both')
    assert len(data) == 6
    assert {pair['key'] for pair in data.pairs if pair['truth']} == {'000001/000001_10__000001_11'}
    assert data[5]['frame1'][0, 0, :2].tolist() == [1, 12]


def multiview(folder, frame, numbers=range(21)):
    """One scene of the multi-view extension."""
    for number in numbers:
        write_image(folder / 'training' / 'image_2' / f'000003_{number:02d}.png', frame(3, number))
    return folder


def test_kitti_multiview_without_its_benchmark_pairs_knows_neither_them_nor_their_neighbours(tmp_path, frame):
    data = KittiPairs(multiview(tmp_path, frame), multiview=True, without_benchmark=True)
    numbers = [tuple(int(name[-2:]) for name in pair['key'].partition('/')[2].split('__')) for pair in data.pairs]
    assert numbers == [(at, at + 1) for at in [*range(8), *range(13, 20)]]  # none from 8 to 13
    assert all(pair['truth'] is None for pair in data.pairs)


def test_kitti_pairs_never_reach_across_a_frame_that_is_missing(tmp_path, frame):
    # two frames only, whose numbers alone do not tell the usual step
    root = multiview(tmp_path, frame, (8, 10, 13))
    with pytest.raises(ConfigError, match='multiview=True, which needs the multi-view extension'):
        KittiPairs(root, without_benchmark=True)
    assert len(KittiPairs(root, multiview=True, without_benchmark=True)) == 0
    write_image(root / 'training/image_2/000003_14.png', frame(3, 14))
    assert [pair['key'] for pair in KittiPairs(root, multiview=True).pairs] == ['000003/000003_13__000003_14']


def test_kitti_digests_belong_to_scenes(kitti, frame):
    before = KittiPairs(kitti).digests()
    write_image(kitti / 'training/image_2/000001_11.png', frame(5, 5, (5, 9)))
    after = KittiPairs(kitti).digests()
    assert after['000000'] == before['000000'] and after['000001'] != before['000001']


def test_kitti_frames_of_two_sizes_in_one_scene_are_named(kitti, frame):
    write_image(kitti / 'training/image_2/000001_11.png', frame(5, 5, (6, 8)))
    with pytest.raises(InputError, match=r'000001_10.png is 9 x 5 and 000001_11.png is 8 x 6'):
        KittiPairs(kitti)[1]


def test_a_kitti_scene_of_one_frame_is_named(kitti):
    (kitti / 'training/image_2/000001_11.png').unlink()
    with pytest.raises(InputError, match='scene 000001 holds only 000001_10.png'):
        KittiPairs(kitti)


@pytest.mark.parametrize('build, error, message', [
    (lambda root: SintelPairs(root, 'fnial'), ConfigError,
     "pass_name must be 'final' or 'clean' or 'albedo', got 'fnial'"),
    (lambda root: SintelPairs(root, split='val'), ConfigError,
     "SintelPairs.split must be 'training' or 'test', got 'val'"),
    (lambda root: KittiPairs(root, split='test'), ConfigError, "KittiPairs.split must be .*got 'test'"),
    (lambda root: SintelPairs(root / 'x'), InputError, r'x.training: there is no such folder; SintelPairs.data_root'),
    (lambda root: SintelPairs(root, 'albedo'), InputError, 'albedo: there is no such'),
    (lambda root: KittiPairs(root, split='testing'), InputError, 'image_2: holds no frames named like 000000_10.png'),
    (lambda root: KittiPairs(root, 'testing', True, True), InputError, 'named like 000000_00.png .the multi-view'),
])
def test_what_is_not_there_is_named(sintel, kitti, build, error, message):
    with pytest.raises(error, match=message):
        build(sintel)


def test_real_kitti_frames_read_in_their_order(shared_data):
    data = FramePairs(shared_data / 'video' / 'kitti_triplet')
    assert len(data) == 2 and data[0]['size'] == (375, 1242)
    assert all(re.fullmatch(r'kitti_triplet/.+__.+', pair['key']) for pair in data.pairs)
    np.testing.assert_array_equal(data[0]['frame2'], data[1]['frame1'])
    # neighbours in time look alike, and are not the same picture
    error = np.abs(data[0]['frame1'].astype(int) - data[0]['frame2'])
    assert 1 < error.mean() < 60
