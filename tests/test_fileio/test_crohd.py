"""The boxes of CroHD."""
from __future__ import annotations

import pytest

from mmrefine.errors import InputError
from mmrefine.fileio.annotations.crohd import read_heads

LINES = ['1,7,10,20,4,6,1,1,1', '1,2,30,40,5,5,1,1,0.5', '3,7,14,20,4,6,1,1,0', '2,7,12,20,4,6,0,1,1.0']


def written(path, lines):
    path.write_text('\n'.join(lines) + '\n')
    return path


def test_a_point_is_the_centre_of_its_box_and_only_a_visibility_of_one_is_visible(tmp_path):
    heads = read_heads(written(tmp_path / 'gt.txt', LINES))
    points, present, visible = heads.tracks([1, 2, 3])
    assert points.tolist() == [[[32.5, 42.5], [0, 0], [0, 0]], [[12, 23], [14, 23], [16, 23]]]  # heads 2 and 7
    assert present.tolist() == [[True, False, False], [True, True, True]]
    assert visible.tolist() == [[False, False, False], [True, True, False]]


def test_some_frames_have_the_heads_of_these_frames_only(tmp_path):
    points, present, visible = read_heads(written(tmp_path / 'gt.txt', LINES)).tracks([2, 4])
    assert points.tolist() == [[[14, 23], [0, 0]]] and present.tolist() == visible.tolist() == [[True, False]]
    assert read_heads(tmp_path / 'gt.txt').tracks([9])[0].shape == (0, 1, 2)


@pytest.mark.parametrize('line', [
    '2,3,10,20,4,6,1,1', '2,3,10,20,4,6,1,1,1,1', '2,3,ten,20,4,6,1,1,1', '0,3,1,2,4,6,1,1,1', '2,1.5,1,2,4,6,1,1,1',
    '2,3,nan,2,4,6,1,1,1', '2,3,1,inf,4,6,1,1,1', '2,3,1,2,0,6,1,1,1', '2,3,1,2,4,6,1,1,1.5', '2,3,1,2,4,6,1,1,nan',
    '2;3;1;2;4;6;1;1;1', '1e300,3,1,2,4,6,1,1,1'])
def test_a_broken_line_is_named_by_file_and_number(tmp_path, line):
    path = written(tmp_path / 'gt.txt', [*LINES[:2], '', line, *LINES[2:]])
    with pytest.raises(InputError) as error:
        read_heads(path)
    assert f'{path}: line 4 must be frame,id,left' in str(error.value) and repr(line) in str(error.value)


def test_a_head_twice_in_a_frame_and_files_that_are_no_table_are_refused(tmp_path):
    with pytest.raises(InputError, match='line 5 is the second box of head 7 in frame 3'):
        read_heads(written(tmp_path / 'gt.txt', [*LINES, '3,7,1,1,1,1,1,1,1']))
    with pytest.raises(InputError, match='gt.txt: cannot be opened'):
        read_heads(tmp_path / 'none' / 'gt.txt')
    for data, story in ((b'', 'empty'), (b'\n\n', 'empty'), ('1,é'.encode(), 'not a table of boxes')):
        (tmp_path / 'gt.txt').write_bytes(data)
        with pytest.raises(InputError, match=f'gt.txt: .*{story}'):
            read_heads(tmp_path / 'gt.txt')
