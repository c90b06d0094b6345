import json

import numpy as np
import pytest

from mmrefine.errors import InputError
from mmrefine.fileio import read_badja, read_image


def entry(name, joints, visibility):
    return dict(image_path=f'DAVIS/JPEGImages/Full-Resolution/cows/{name}.jpg', joints=joints, visibility=visibility)


def written(path, obj):
    path.write_text(json.dumps(obj))
    return path


def test_rows_and_columns_become_x_and_y_of_the_size_asked_for(tmp_path):
    path = written(tmp_path / 'cows.json', [
        entry('00005', [[108, 960], [0, 0]], [True, False]),
        entry('00000', [[540, 192], [27, 48]], [1, 1]),
    ])
    found = read_badja(path)
    assert list(found) == ['00000', '00005']
    assert found['00005'].points.tolist() == [[960, 108], [0, 0]] and found['00005'].visible.tolist() == [True, False]
    found = read_badja(path, (480, 854))
    np.testing.assert_allclose(found['00000'].points, [[192 * 854 / 1920, 240], [48 * 854 / 1920, 12]])


@pytest.mark.parametrize('entries, story', [
    ({}, 'got dict'),
    ([], 'an empty list'),
    ([entry('00000', [[1, 2]], [1]), dict(joints=[], visibility=[])], "entry 1 .*KeyError: 'image_path'"),
    ([entry('00000', [[1, float('inf')]], [1])], 'is not valid JSON .it holds Infinity'),
    ([entry('00000', [[1, float('nan')]], [1])], 'is not valid JSON .it holds NaN'),
    ([entry('00000', [[1, 'nan']], [1])], 'entry 0 .*a joint that is not a number'),
    ([entry('00000', [[1, 10**400]], [1])], 'entry 0 .*OverflowError'),
    (['joints'], 'entry 0 .*TypeError'),
    ([entry('00000', [[1, 2], [3]], [1, 1])], 'entry 0 .*ValueError'),
    ([entry('00003', [[1, 2, 3]], [1])], r'entry 0 \(00003\) .*\(1, 3\) and \(1,\)'),
    ([entry('00003', [[1, 2]], [1, 0])], r'entry 0 \(00003\) .*\(1, 2\) and \(2,\)'),
    ([entry('00003', [[1, 2]], [1]), entry('00004', [[1, 2]] * 2, [1, 1])],
     r'entry 1 \(00004\) has 2 joints where the first has 1'),
])
def test_a_file_that_holds_something_else_is_named_with_the_entry(tmp_path, entries, story):
    with pytest.raises(InputError, match=f'cows.json: .*{story}'):
        read_badja(written(tmp_path / 'cows.json', entries))


def test_a_missing_file_and_one_that_is_no_json_are_named(tmp_path):
    with pytest.raises(InputError, match='dog.json: cannot be opened'):
        read_badja(tmp_path / 'dog.json')
    (tmp_path / 'dog.json').write_text('[{')
    with pytest.raises(InputError, match='dog.json: is not valid JSON'):
        read_badja(tmp_path / 'dog.json')


@pytest.mark.parametrize('text', ['[' * 100_000, '{"a":' * 100_000, '9' * 5000, '[1e999999, ' + '-9' * 5000])
def test_json_that_python_cannot_hold_is_refused_in_one_sentence(tmp_path, text):
    (tmp_path / 'dog.json').write_text(text)
    with pytest.raises(InputError, match='dog.json: is not valid JSON [(].*; download the joints of BADJA again$'):
        read_badja(tmp_path / 'dog.json')


def test_real_joints_lie_on_the_animal(shared_data):
    on, all_ = 0, 0
    for name in ('cows', 'dog', 'horsejump-high'):
        for frame, joints in read_badja(shared_data / f'badja/{name}.json', (480, 854)).items():
            mask = read_image(shared_data / f'davis/Annotations/480p/{name}/{frame}.png')[..., 0] > 127
            x, y = joints.points[joints.visible].round().astype(int).T
            on += mask[y.clip(0, 479), x.clip(0, 853)].sum()
            all_ += len(x)
    # the others miss thin legs by a few px
    assert all_ == 762 and on / all_ > 0.95, (on, all_)
