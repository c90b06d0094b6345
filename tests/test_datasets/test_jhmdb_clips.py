"""JHMDB: frames and joints, chosen by split."""
from __future__ import annotations

import numpy as np
import pytest
from jhmdb_trees import SIZE, jhmdb_tree, joints

from mmrefine.config.load import complete, load_config
from mmrefine.datasets import JhmdbClips
from mmrefine.errors import ConfigError, InputError
from mmrefine.evaluation import KeypointMetric
from mmrefine.fileio import write_image, write_joint_positions


@pytest.fixture
def tree(tmp_path, mat_files):
    return jhmdb_tree(tmp_path)


def test_an_item_is_a_video_as_long_as_its_joints(tree):
    data = JhmdbClips(tree)
    assert data.videos == ['catch/a'] and len(data) == 1
    item = data[0]
    sample = item['data_samples']
    assert item['inputs'].shape == (4, 3, *SIZE) and item['inputs'][:, 0, 0, 0].tolist() == [0, 10, 20, 30]
    np.testing.assert_allclose(sample.points, joints(0, 4), atol=1e-12)
    assert sample.scene == 'catch/a' and sample.size == SIZE and sample.names == ('00001', '00002', '00003', '00004')
    outside = [t for t, seen in enumerate(sample.visible[:, 3]) if seen]
    assert outside == [] and sample.visible.sum() == 4 * 14  # outside of the first frame: nowhere to be found


def test_videos_are_chosen_by_part_and_name_or_all_without_a_split(tree):
    assert JhmdbClips(tree, part='train').videos == ['catch/b']
    for split in (None, 'all'):
        assert JhmdbClips(tree, split=split).videos == ['catch/a', 'catch/b']
    assert JhmdbClips(tree, split=None, videos='catch/b').videos == ['catch/b']


def test_the_metrics_of_jhmdb_score_an_item(tree):
    sample = JhmdbClips(tree)[0]['data_samples']
    sample.pred_points = sample.points.clone()
    sample.pred_points[2, 5] += 1e3
    found = {}
    for rule in ('joints', 'joints_box'):
        metric = KeypointMetric(rule, (0.1, 0.5))
        metric.process(None, [sample.to_dict()])
        found.update(metric.evaluate(1))
    assert found['PCK@0.1_joints'] == pytest.approx(1 - 1 / 42) and found['PCK_max@0.5'] == pytest.approx(1 - 1 / 42)


@pytest.mark.parametrize('wrong, error, message', [
    (dict(videos=['catch/b']), ConfigError, "there is no video 'catch/b' in split 1, which has 1"),
    (dict(part='val'), ConfigError, "JhmdbClips.part must be 'test' or 'train'"),
    (dict(split=2), InputError, 'catch_test_split2.txt: cannot be opened'),
    (dict(split='al'), ConfigError, "JhmdbClips.split must be 1, 2 or 3, or 'all' for all videos, got 'al'"),
    (dict(data_root='nowhere'), InputError, 'joint_positions: cannot be listed as a folder'),
])
def test_what_is_not_there_is_named(tree, wrong, error, message):
    with pytest.raises(error, match=message):
        JhmdbClips(**{'data_root': tree, **wrong})


def test_without_lists_it_says_how_to_take_all_videos(tree):
    (tree / 'splits').rename(tree / 'lists')
    with pytest.raises(InputError, match="splits: there is no such folder .*, or set split='all' for all videos"):
        JhmdbClips(tree)
    config = 'configs/corrflow/resnet18_jhmdb_test.py'
    dataset = complete(load_config(config, dict(jhmdb_root=str(tree), split='all'))).clip_groups.jhmdb.dataset
    assert dataset.pop('type') == 'JhmdbClips' and len(JhmdbClips(**dataset)) == 2


def test_all_videos_of_a_split_must_be_there_unless_some_are_named(tree):
    other = tree / 'splits/jump_test_split1.txt'
    other.write_text('c.avi 1\nd.avi 2\n')  # of a class without a folder
    with pytest.raises(InputError, match=r'jump_test_split1.txt: lists jump/d for test, and .*joint_positions does not '
                                         r'hold it \(1 of 2 videos are missing\); download'):
        JhmdbClips(tree)
    other.unlink()
    listed = tree / 'splits/catch_test_split1.txt'
    listed.write_text(listed.read_text() + 'missing_a.avi 2\n')
    with pytest.raises(InputError, match='catch_test_split1.txt: lists catch/missing_a for test'):
        JhmdbClips(tree)
    assert JhmdbClips(tree, videos=['catch/a']).videos == ['catch/a']
    assert len(JhmdbClips(tree, part='train')) == 1 and len(JhmdbClips(tree, split=None)) == 2


def test_frames_and_joints_that_do_not_belong_together_are_named(tree):
    (tree / 'Rename_Images/catch/a/00001.png').unlink()
    (tree / 'Rename_Images/catch/a/00002.png').unlink()
    with pytest.raises(InputError, match=r'catch.a: needs 2 or more frames, .* found 3 and 4'):
        JhmdbClips(tree)[0]
    write_image(tree / 'Rename_Images/catch/b/00002.png', np.zeros((9, 9, 3), np.uint8))
    with pytest.raises(InputError, match=r'00002.png: is 9x9 px .*the first frame 24x32'):
        JhmdbClips(tree, part='train')[0]
    write_joint_positions(tree / 'joint_positions/catch/b/joint_positions.mat', np.full((3, 15, 2), 1e3))
    write_image(tree / 'Rename_Images/catch/b/00002.png', np.zeros((*SIZE, 3), np.uint8))
    with pytest.raises(InputError, match='no joint lies inside of the first frame of 24x32'):
        JhmdbClips(tree, part='train')[0]
    (tree / 'joint_positions/catch/b/joint_positions.mat').unlink()
    with pytest.raises(InputError, match='joint_positions.mat: cannot be opened'):
        JhmdbClips(tree, part='train')[0]


def test_the_real_video_has_its_person_in_the_frame(shared_data):
    pytest.importorskip('scipy.io', reason='SciPy (for the .mat of JHMDB) is not installed')
    item = JhmdbClips(shared_data / 'jhmdb', split=None)[0]
    assert item['inputs'].shape == (40, 3, 240, 320) and item['data_samples'].points.shape == (40, 15, 2)
    points = item['data_samples'].points
    assert points.amin() > 0 and (points < points.new_tensor([320, 240])).all() and item['data_samples'].visible.all()
