"""Keypoints of pictures: JSON in the manner of COCO, and the pickle of Refine."""
from __future__ import annotations

import copy
import json
import pickle

import numpy as np
import pytest

from mmrefine.errors import InputError
from mmrefine.fileio.annotations.keypoints import read_keypoints

NAMES = ['labeled-data/Brownie/0001.png', 'labeled-data/Brownie/0005.png']
# as mmpose writes them, with more keys than are used
RECORD = dict(
    categories=[dict(id=1, name='horse', keypoints=['Nose', 'Eye'], skeleton=[])],
    images=[dict(id=number, file_name=name, height=162, width=288) for number, name in zip((100, 300), NAMES)],
    annotations=[
        dict(id=1, image_id=300, keypoints=[126., 71.1, 2., 0., 0., 0.], num_keypoints=1, bbox=[1, 2, 3, 4], iscrowd=0),
        dict(id=2, image_id=100, keypoints=[1.5, 2., 1., 3., 4., 2.], num_keypoints=2, bbox=[1, 2, 3, 4], iscrowd=0)])


def written(path, record):
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(record))
    return path


def test_points_and_visibility_go_by_the_name_of_the_picture(tmp_path):
    found = read_keypoints(written(tmp_path / 'a.json', RECORD))
    assert set(found) == set(NAMES)
    assert found[NAMES[1]].points.tolist() == [[126, 71.1], [0, 0]]
    assert found[NAMES[1]].visible.tolist() == [True, False] and found[NAMES[0]].visible.all()


def test_the_splits_of_a_folder_are_read_together_and_a_picture_counts_once(tmp_path):
    other = copy.deepcopy(RECORD)
    other['annotations'][1]['keypoints'][0] = 99.
    other['images'][0]['file_name'] = 'labeled-data/Other/0001.png'
    for name, record in (('test.json', RECORD), ('train.json', other)):
        written(tmp_path / 'annotations' / name, record)
    (tmp_path / 'annotations' / 'README').write_text('no annotations')
    found = read_keypoints(tmp_path / 'annotations')
    assert set(found) == {*NAMES, 'labeled-data/Other/0001.png'}
    assert found[NAMES[0]].points[0, 0] == 1.5 and found['labeled-data/Other/0001.png'].points[0, 0] == 99
    both = [tmp_path / 'annotations' / name for name in ('train.json', 'test.json')]
    assert set(read_keypoints(both)) == set(found)


def changed(change):
    record = copy.deepcopy(RECORD)
    change(record)
    return record


@pytest.mark.parametrize('change, story', [
    (lambda record: record.pop('images'), 'its "images" is missing'),
    (lambda record: record.update(annotations=3), 'its "annotations" is not a list'),
    (lambda record: record['images'][1].pop('file_name'), '"file_name" of images, entry 1 is missing'),
    (lambda record: record['images'][1].update(id=[]), '"id" of images, entry 1 is invalid'),
    (lambda record: record['annotations'][0].pop('keypoints'), '"keypoints" of annotations, entry 0 is missing'),
    (lambda record: record['annotations'][1].pop('image_id'), '"image_id" of annotations, entry 1 is missing'),
    (lambda record: record['annotations'][1].update(image_id=5), 'entry 1 is of image 5, which is not among its 2'),
    (lambda record: record['annotations'][1].update(image_id=300), 'entry 1 is the second one of .*0005.png'),
    (lambda record: record['annotations'].append(7), 'annotations, entry 2 is not an object'),
    (lambda record: record['annotations'][0]['keypoints'].pop(), 'must be numbers, x, y and v of each'),
    (lambda record: record['annotations'][0]['keypoints'].__setitem__(0, 'a'), 'must be numbers, x, y and v of each'),
    (lambda record: record['annotations'][0].update(keypoints=[]), 'are missing'),
    (lambda record: record['annotations'][0].update(keypoints=[1., 2., 2.]), 'keypoints where others have'),
    (lambda record: record.update(annotations=[]), 'it has no annotations'),
])
def test_a_json_that_lacks_something_is_named_with_the_place(tmp_path, change, story):
    with pytest.raises(InputError, match=f'a.json: is invalid as keypoints of pictures: .*{story}'):
        read_keypoints(written(tmp_path / 'a.json', changed(change)))


def test_nan_broken_json_and_missing_files_are_refused(tmp_path):
    record = changed(lambda record: record['annotations'][0]['keypoints'].__setitem__(0, float('nan')))
    with pytest.raises(InputError, match='a.json: is not valid JSON .it holds NaN'):
        read_keypoints(written(tmp_path / 'a.json', record))
    with pytest.raises(InputError, match='b.json: cannot be opened'):
        read_keypoints(tmp_path / 'b.json')
    (tmp_path / 'empty').mkdir()
    with pytest.raises(InputError, match='empty: holds no .json of keypoints'):
        read_keypoints(tmp_path / 'empty')
    with pytest.raises(InputError, match='a.json: .*it is not an object'):
        read_keypoints(written(tmp_path / 'a.json', [1]))


def sequences():
    points = np.array([[[126., 71.1], [0., 0.]]], np.float32)
    seen = np.array([[1., 0.]], np.float32)
    return {'Brownie': [dict(img_path=f'/{name}', keypoints=points + k, keypoints_visible=seen,
                             bbox=np.zeros((1, 4), np.float32), id=k, iscrowd=0) for k, name in enumerate(NAMES)]}


@pytest.mark.parametrize('protocol', [2, 4, 5])
def test_the_pickle_of_refine_is_read_without_running_it(tmp_path, protocol):
    path = tmp_path / 'seq_annotation.pkl'
    path.write_bytes(pickle.dumps(sequences(), protocol))
    found = read_keypoints(path)
    assert list(found) == NAMES
    np.testing.assert_allclose(found[NAMES[1]].points[0], [127, 72.1], rtol=1e-6)
    assert found[NAMES[1]].visible.tolist() == [True, False]


class Runs:
    def __reduce__(self):
        return (print, ('this ran', ))


@pytest.mark.parametrize('record, story', [
    (dict(a=Runs()), "it names 'builtins.print'"), ([], 'must be a dict of videos'),
    (dict(a=3), "video 'a' is not a list"),
    (dict(a=[dict(img_path='a/b.png')]), '"keypoints" of video .a., sample 0 is missing'),
    (dict(a=[dict(img_path='a/b.png', keypoints=np.zeros((1, 3, 2)), keypoints_visible=np.ones((1, 2)))]),
     r'keypoints \(1, 3, 2\) and keypoints_visible \(1, 2\)'),
    (dict(a=[dict(img_path='a/b.png', keypoints=np.full((1, 2, 2), np.nan), keypoints_visible=np.ones((1, 2)))]),
     'not numbers where they are given'),
    (dict(a=[]), 'it has no samples')])
def test_a_pickle_of_something_else_is_refused(tmp_path, capsys, record, story):
    (tmp_path / 'a.pkl').write_bytes(pickle.dumps(record))
    with pytest.raises(InputError, match=f'a.pkl: .*{story}'):
        read_keypoints(tmp_path / 'a.pkl')
    assert 'this ran' not in capsys.readouterr().out
