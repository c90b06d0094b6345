"""The layouts in which a folder may hold frame pairs with ground truth."""
from __future__ import annotations

import pickle
import shutil

import cv2
import numpy as np
import pytest

from mmrefine.datasets import LabelledPairs
from mmrefine.errors import InputError
from mmrefine.fileio.flow_io import read_flow, write_flow
from mmrefine.fileio.images import read_image
from mmrefine.registry import DATASETS
from mmrefine.synthetic import write_clips

SIZE = (48, 64)  # (height, width) px
PACKED = [dict(type='LoadTruth'), dict(type='PackPair')]


@pytest.fixture(scope='module')
def trees(tmp_path_factory):
    """Two rendered scenes of three frames, and the same in each of the other layouts; in KITTI's every second column
    has truth."""
    root = tmp_path_factory.mktemp('labelled')
    names = write_clips(root / 'rendered', seeds=(5, 6), num_frames=3, size=SIZE, style='source')
    frames, flows = root / 'rendered/frames', root / 'rendered/flow'
    for name in names:
        for part in ('final', 'clean'):
            shutil.copytree(frames / name, root / 'sintel/training' / part / name)
        shutil.copytree(flows / name, root / 'sintel/training/flow' / name)
    known = np.zeros(SIZE, bool)
    known[:, ::2] = True
    for kitti, folder in (('kitti2015', 'image_2'), ('kitti2012', 'image_0')):
        (root / kitti / 'training' / folder).mkdir(parents=True)
        for scene, name in enumerate(names):
            for number in (9, 10, 11):  # 09 is of the multi-view extension
                shutil.copy(frames / name / f'frame_{max(number - 9, 1):04d}.png',
                            root / kitti / 'training' / folder / f'{scene:06d}_{number:02d}.png')
            flow, _ = read_flow(flows / name / 'frame_0001.flo')
            write_flow(root / kitti / 'training/flow_occ' / f'{scene:06d}_10.png', flow, known)
    (root / 'chairs/data').mkdir(parents=True)
    for number, name in enumerate(names, start=1):
        for frame in (1, 2):
            picture = cv2.imread(str(frames / name / f'frame_{frame:04d}.png'))
            cv2.imwrite(str(root / f'chairs/data/{number:05d}_img{frame}.ppm'), picture)
        shutil.copy(flows / name / 'frame_0001.flo', root / f'chairs/data/{number:05d}_flow.flo')
    return root


def test_what_is_learned_from_is_the_same_in_every_layout(trees):
    flow, _ = read_flow(trees / 'rendered/flow/source_0005/frame_0001.flo')
    frames = [read_image(trees / f'rendered/frames/source_0005/frame_{k:04d}.png') for k in (1, 2)]
    counts = {}
    for name in ('rendered', 'sintel', 'kitti2015', 'kitti2012', 'chairs'):
        data = LabelledPairs(trees / name, PACKED, seed=4)
        counts[data.layout] = len(data)
        item = data[0, 7]
        np.testing.assert_array_equal(item['inputs'].numpy(), np.stack(frames).transpose(0, 3, 1, 2))
        weight = item['data_samples'].weight[0].numpy()
        sparse = name.startswith('kitti')
        assert weight.mean() == (0.5 if sparse else 1.)
        error = np.abs(item['data_samples'].flow.numpy() - flow.transpose(2, 0, 1)) * weight
        assert error.max() <= (1 / 128 if sparse else 0)  # KITTI's files have steps of 1/64 px
    # two pairs of each scene, in both passes of Sintel
    assert counts == {'rendered clips': 4, 'Sintel': 8, 'KITTI 2015': 2, 'KITTI 2012': 2, 'FlyingChairs': 2}


def test_a_pair_is_two_frames_in_a_row_and_has_a_key_of_its_own(trees):
    data = LabelledPairs(trees / 'sintel')
    keys = [pair['key'] for pair in data.pairs]
    assert keys[:3] == ['training/final/source_0005/frame_0001__frame_0002',
                        'training/final/source_0005/frame_0002__frame_0003',
                        'training/final/source_0006/frame_0001__frame_0002'] and len(set(keys)) == 8
    assert [path.name for path in data.pairs[1]['files']] == ['frame_0002.png', 'frame_0003.png']
    assert [[path.name for path in pair['files']] for pair in LabelledPairs(trees / 'kitti2015').pairs] == [
        [f'00000{scene}_10.png', f'00000{scene}_11.png'] for scene in (0, 1)]


@pytest.mark.parametrize('below, layout', [('kitti2015/training', 'KITTI 2015'), ('sintel/training', 'Sintel'),
                                           ('chairs/data', 'FlyingChairs')])
def test_the_folder_itself_may_be_named(trees, below, layout):
    data = LabelledPairs(trees / below)
    assert data.layout == layout and len(data) == len(LabelledPairs((trees / below).parent))
    assert pickle.loads(pickle.dumps(data)).pairs == data.pairs  # for the processes that load


def test_colour_frames_of_kitti_2012_come_before_grey_ones(trees, tmp_path):
    shutil.copytree(trees / 'kitti2012', tmp_path / 'k')
    shutil.copytree(tmp_path / 'k/training/image_0', tmp_path / 'k/training/colored_0')
    data = DATASETS.build(dict(type='LabelledPairs', data_root=str(tmp_path / 'k')))
    assert {path.parent.name for path, _ in data.frame_files()} == {'colored_0'} and len(data.frame_files()) == 4


def test_what_has_no_truth_is_left_out_and_no_pair_reaches_across_a_gap(trees, tmp_path):
    write_clips(tmp_path, seeds=(9, ), num_frames=5, size=SIZE, style='source')
    scene = tmp_path / 'flow/source_0009'
    (scene / 'frame_0001.flo').unlink()
    flow, _ = read_flow(scene / 'frame_0002.flo')
    write_flow(scene / 'frame_0002.png', flow)  # .flo comes first, as FramePairs has it
    assert [pair['truth'].name for pair in LabelledPairs(tmp_path).pairs] == [
        'frame_0002.flo', 'frame_0003.flo', 'frame_0004.flo']
    (tmp_path / 'frames/source_0009/frame_0003.png').unlink()
    with pytest.raises(InputError, match='frame_0002.flo: there is no frame that follows frame_0002 in .*source_0009; '
                                         'put the missing frames there, or delete this file'):
        LabelledPairs(tmp_path)


@pytest.mark.parametrize('tree, gone, message', [
    ('kitti2015', 'training/flow_occ', r'in the layout of KITTI 2015 \(.*image_2\), and no ground truth, which would '
                                       'be .*flow_occ; put it there'),
    ('sintel', 'training/flow', r'in the layout of Sintel \(.*final\), and no ground truth'),
    ('rendered', 'flow', r'in the layout of rendered clips \(.*frames\), and no ground truth'),
    ('chairs', '*_flow.flo', r'in the layout of FlyingChairs \(.*_img1.ppm\), and no ground truth, which would be '
                             r'.*\*_flow.flo'),
    ('kitti2015', 'training/image_2/000001_11.png', '000001_10.png: there is no frame that follows 000001_10 in '),
    ('sintel', 'training/final/source_0006', 'frame_0001.flo: there is no frame frame_0001 in .*final/source_0006'),
    ('chairs', '*2_img1.ppm', 'there is no frame .*00002_img1.ppm; put it there'),
    ('rendered', 'f*', 'holds masks, scenes, visible, which is none of the layouts of frame pairs with ground truth: '
                       r'KITTI 2015 \(training/image_2, and training/flow_occ\), KITTI 2012 .*FlyingChairs .*; name'),
    ('chairs', 'data', 'is empty, which is none of the layouts'),
])
def test_what_is_missing_is_said(trees, tmp_path, tree, gone, message):
    root = tmp_path / tree
    shutil.copytree(trees / tree, root)
    for path in list(root.rglob(gone) if '*' in gone and gone != 'f*' else root.glob(gone)):
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    with pytest.raises(InputError, match=message):
        LabelledPairs(root)


def test_a_folder_that_is_none(trees, tmp_path):
    with pytest.raises(InputError, match='nowhere: the folder of labelled frame pairs does not exist; check the path'):
        LabelledPairs(tmp_path / 'nowhere')
    (tmp_path / 'file').touch()
    with pytest.raises(InputError, match='file: the folder of labelled frame pairs is a file'):
        LabelledPairs(tmp_path / 'file')
    (tmp_path / 'training/image_2').mkdir(parents=True)
    (tmp_path / 'training/flow_occ').mkdir()
    with pytest.raises(InputError, match='KITTI 2015 .*, and no ground truth'):  # folders alone are none
        LabelledPairs(tmp_path)
