"""Parts with pipelines of their own, what they ask of stage 1, and what they refuse."""
from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from small_trees import write_video

from mmrefine.config.check import config_problems
from mmrefine.datasets import FramePairs, MixedPairs, MMFlowPairs
from mmrefine.engine.judging.overlap import refuse_learned_truth
from mmrefine.errors import ConfigError, InputError
from mmrefine.fileio.flow_io import read_flow, write_flow
from mmrefine.fileio.images import read_image
from mmrefine.registry import DATASETS
from mmrefine.synthetic import write_clips

SIZE = (64, 96)
TRUTH = [dict(type='LoadTruth'), dict(type='RandomCrop', size=(48, 64)), dict(type='PackPair')]
LABELS = [dict(type='LoadLabel'), dict(type='PackPair')]


@pytest.fixture(scope='module')
def world(tmp_path_factory):
    """``source`` and ``target``, two rendered scenes of three frames each (frames/, flow/)."""
    root = tmp_path_factory.mktemp('world')
    write_clips(root / 'source', seeds=(5, 6), num_frames=3, size=SIZE, style='source')
    write_clips(root / 'target', seeds=(1, 2), num_frames=3, size=SIZE)
    return root


def labelled(root: Path, **more):
    return {**dict(type='FramePairs', data_root=str(root / 'frames'), truth_root=str(root / 'flow'), pipeline=TRUTH),
            **more}


def unlabelled(root: Path, **more):
    return {**dict(type='FramePairs', data_root=str(root / 'frames'), pipeline=LABELS), **more}


def mixed(world, **more):
    return MixedPairs(dict(labelled=labelled(world / 'source'), unlabelled=unlabelled(world / 'target')), **more)


def test_an_item_is_that_of_its_part_with_name_and_weight(world):
    data = mixed(world, loss_weights=dict(unlabelled=0.5, labelled=[(0., 1.), (1., 0.)]))
    alone = FramePairs(**{key: value for key, value in labelled(world / 'source').items() if key != 'type'})
    assert len(data) == 8 and data.part_sizes == dict(labelled=4, unlabelled=4)
    for index, draw in ((0, 0), (3, 17)):
        item, wanted = data[index, draw, 0.25], alone[index, draw]
        assert torch.equal(item['inputs'], wanted['inputs'])
        assert torch.equal(item['data_samples'].flow, wanted['data_samples'].flow)
        part = item['data_samples'].part
        assert (part.name, part.loss_weight, part.names) == ('labelled', 0.75, ('labelled', 'unlabelled'))
    with pytest.raises(ConfigError, match='loss_weights.labelled changes over the training'):
        data[0, 0]


def test_stage_1_is_asked_for_pseudo_labels_only(world):
    data = mixed(world)
    data.set_labels('the labels')
    assert data.parts['unlabelled'].labels == 'the labels' and data.parts['labelled'].labels is None
    assert data.label_keys() == [unit.key for unit in data.parts['unlabelled'].units]
    assert len(data.label_keys()) == 4 and all(key.startswith('target_') for key in data.label_keys())
    # labels that lie ready are nobody's to make
    ready = unlabelled(world / 'target', pipeline=[dict(type='LoadLabel', store='x'), dict(type='PackPair')])
    assert MixedPairs(dict(ready=ready)).label_keys() == []


def test_frames_of_video_files_go_through_the_cache_by_part(world, tmp_path):
    scene = sorted((world / 'target/frames').iterdir())[0]
    write_video(tmp_path / 'clip.avi', [read_image(path) for path in sorted(scene.iterdir())])
    video = unlabelled(world, data_root=str(tmp_path / 'clip.avi'))
    data, wrapped = MixedPairs(dict(labelled=labelled(world / 'source'), unlabelled=video)), []
    assert data.video_frames() == {'unlabelled/clip': [0, 1, 2]} and list(data.sources) == ['unlabelled/clip']

    class Cache:
        def wrap(self, source):
            wrapped.append(source)
            return source

    data.read_through(Cache())
    assert wrapped == list(data.sources.values())


@pytest.mark.parametrize('parts, more, error, message', [
    ({}, {}, ConfigError, 'parts is empty'),
    (dict(my_loss='labelled'), {}, ConfigError, "'my_loss' cannot name a part"),
    ({'a b': 'labelled'}, {}, ConfigError, "'a b' cannot name a part"),
    (dict(labelled='labelled'), dict(loss_weights=dict(labeled=1.)), ConfigError,
     "loss_weights names 'labeled', which is no part of the data set; it has labelled"),
    (dict(labelled='labelled'), dict(loss_weights=dict(labelled=-1.)), ConfigError,
     'loss_weights.labelled must be finite and not negative, got -1.0'),
    (dict(labelled='no truth'), {}, InputError,
     r'parts.labelled: 4 of 4 frame pairs have no ground truth, the first is source_0005/frame_0001__frame_0002;'),
    (dict(labelled='both'), {}, InputError, r'parts.labelled: 4 of 8 frame pairs have no ground truth in .*source'),
])
def test_parts_that_cannot_be_meant_are_refused(world, parts, more, error, message):
    kinds = {'labelled': labelled(world / 'source'), 'no truth': labelled(world / 'source', truth_root=None),
             'both': labelled(world / 'source', directions='both')}
    with pytest.raises(error, match=message):
        MixedPairs({name: kinds[kind] for name, kind in parts.items()}, **more)


def test_a_missing_truth_is_named_before_the_training(world, tmp_path):
    shutil.copytree(world / 'source', tmp_path / 'source')
    scene = sorted((tmp_path / 'source/flow').iterdir())[1]
    (scene / 'frame_0002.flo').unlink()
    message = rf'1 of 4 .* in {tmp_path}/source/flow, the first is {scene.name}/frame_0002__frame_0003'
    with pytest.raises(InputError, match=message):
        MixedPairs(dict(labelled=labelled(tmp_path / 'source')))


def test_items_without_a_sample_are_refused(world):
    data = MixedPairs(dict(raw=labelled(world / 'source', pipeline=[])))
    with pytest.raises(ConfigError, match=r"parts.raw: its items have no FlowSample; let its pipeline end with .*Pack"):
        data[0]


def test_truth_that_was_learned_from_is_not_judged_on(world, tmp_path):
    data = mixed(world)
    refuse_learned_truth(data, FramePairs(world / 'target/frames'), 'the guard')  # without truth: that is the method
    os.symlink(world / 'source/frames', tmp_path / 'link')
    judged = FramePairs(tmp_path / 'link', scenes='source_0006')
    with pytest.raises(ConfigError, match='the guard judges on 3 frames .* first is .*source_0006/frame_0001.png'):
        refuse_learned_truth(data, judged, 'the guard')
    left_out = MixedPairs(dict(labelled=labelled(world / 'source', hold_out='source_0006')))
    refuse_learned_truth(left_out, judged, 'the guard')


def test_frames_of_one_video_are_told_apart_by_name(world, tmp_path):
    scene = sorted((world / 'target/frames').iterdir())[0]
    video = tmp_path / 'clip.avi'
    write_video(video, [read_image(path) for path in sorted(scene.iterdir())] * 2)
    data = FramePairs(video)
    assert data.frame_files() == [(video, f'frame_{k:06d}') for k in range(6)]
    later = FramePairs(video, reading=dict(start='3f'))
    assert later.frame_files() == data.frame_files()[3:]


def test_frames_of_a_benchmark_are_files(trees):
    data = DATASETS.build(dict(type='KittiPairs', data_root=str(trees['kitti'])))
    folder = trees['kitti'] / 'training/image_2'
    assert data.frame_files() == [(folder / f'{scene}_{frame}.png', '') for scene in ('000000', '000001')
                                  for frame in (10, 11)]
    striding = FramePairs(trees['frames'], scenes='target_0001', reading=dict(stride=2))
    assert [path.stem for path, _ in striding.frame_files()] == ['frame_0001', 'frame_0003']


@pytest.fixture
def chairs(world, tmp_path):
    """Two pairs in the layout of FlyingChairs."""
    (tmp_path / 'data').mkdir()
    for number, scene in enumerate(sorted((world / 'source/frames').iterdir()), start=1):
        for frame in (1, 2):
            shutil.copy(scene / f'frame_{frame:04d}.png', tmp_path / f'data/{number:05d}_img{frame}.ppm')
        flow, _ = read_flow(world / 'source/flow' / scene.name / 'frame_0001.flo')
        write_flow(tmp_path / f'data/{number:05d}_flow.flo', flow)
    (tmp_path / 'split.txt').write_text('1\n1\n')
    return dict(type='mmflow.FlyingChairs', data_root=str(tmp_path), split_file=str(tmp_path / 'split.txt'))


def test_a_data_set_of_mmflow_is_read_by_our_transforms(chairs, world):
    data = MMFlowPairs(chairs, pipeline=TRUTH, seed=4)
    assert [pair['key'] for pair in data.pairs] == ['data/00001_img1__00001_img2', 'data/00002_img1__00002_img2']
    whole = MMFlowPairs(chairs, pipeline=[dict(type='LoadTruth'), dict(type='PackPair')])[1]
    frames = [read_image(world / f'source/frames/source_0006/frame_{k:04d}.png') for k in (1, 2)]
    flow, _ = read_flow(world / 'source/flow/source_0006/frame_0001.flo')
    np.testing.assert_array_equal(whole['inputs'].numpy(), np.stack(frames).transpose(0, 3, 1, 2))
    np.testing.assert_array_equal(whole['data_samples'].flow.numpy(), flow.transpose(2, 0, 1))
    one, same, other = data[0, 5], data[0, 5], data[0, 6]  # the draw alone decides the crop
    assert torch.equal(one['inputs'], same['inputs']) and not torch.equal(one['inputs'], other['inputs'])
    files = MixedPairs(dict(chairs=dict(type='MMFlowPairs', dataset=chairs, pipeline=TRUTH))).truth_files()
    assert [path.name for path, _ in files] == ['00001_img1.ppm', '00001_img2.ppm', '00002_img1.ppm', '00002_img2.ppm']


def test_the_check_of_a_config_leaves_data_sets_of_mmflow_to_mmflow(chairs):
    def problems(**given):
        loader = dict(dataset=dict(type='MMFlowPairs', dataset=dict(chairs, **given)))
        return config_problems(Config(dict(default_scope='mmrefine', train_dataloader=loader)))

    assert problems() == []
    found, = problems(type='FlyingChairs')
    assert found.startswith("train_dataloader.dataset.dataset: there is no 'FlyingChairs'")


def test_a_data_set_that_is_not_of_mmflow_is_refused(chairs, world, tmp_path):
    with pytest.raises(ConfigError, match='must be a data set of mmflow that has items, got FramePairs'):
        MMFlowPairs(dict(type='FramePairs', data_root=str(world / 'source/frames')))
    with pytest.raises(ConfigError, match='mmflow.FlyingChairs cannot be built'):
        MMFlowPairs(dict(chairs, data_root=str(tmp_path / 'nowhere'), split_file=str(tmp_path / 'no.txt')))
    with pytest.raises(InputError, match='parts.chairs: 1 of 1 frame pairs have no ground truth'):
        listed = tmp_path / 'list.json'
        listed.write_text('{"metainfo": {}, "data_list": [{"img1_path": "a.png", "img2_path": "b.png"}]}')
        dataset = dict(type='mmflow.FlyingChairs', ann_file=str(listed))
        MixedPairs(dict(chairs=dict(type='MMFlowPairs', dataset=dataset, pipeline=TRUTH)))
