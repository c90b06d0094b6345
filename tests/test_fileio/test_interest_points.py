"""Points of interest from a table and from tracks; a broken file is one sentence."""
from __future__ import annotations

import numpy as np
import pytest
import torch

from mmrefine.errors import InputError
from mmrefine.fileio.annotations.interest_points import read_interest_points
from mmrefine.fileio.codecs.tracks import write_tracks
from mmrefine.structures import Tracks

TABLE = 'scene,frame,x,y\na/one,0,3,4.5\na/one,2,5,6\nb,0,-1,7\na/one,0,8,9\n'


def table(folder, text=TABLE, name='points.csv'):
    file = folder / name
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return file


def tracks():
    points = torch.tensor([[[1., 2.], [3., 4.]], [[5., 6.], [float('nan')] * 2]])
    return Tracks(points, torch.tensor([[1., 1.], [1., 0.]]), torch.tensor([[0., 2., 1.], [0., 6., 5.]]), (20, 30))


@pytest.mark.parametrize('text', [
    TABLE, '\ufeff' + TABLE, TABLE.replace('\n', '\r\n'),
    'y,note,x,frame,scene\n4.5,,3,0,a/one\n6,,5,2,a/one\n7,"n, o",-1,0,b\n9,,8,0,a/one\n'])
def test_a_table_gives_the_points_of_each_frame_in_its_order(text, tmp_path):
    found = read_interest_points(table(tmp_path, text))
    assert found.of('a/one', 0).tolist() == [[3, 4.5], [8, 9]] and found.of('a/one', 2).tolist() == [[5, 6]]
    assert found.of('b', 0).tolist() == [[-1, 7]] and found.sizes == {}
    for scene, number in (('a/one', 1), ('b', 2), ('c', 0)):
        assert found.of(scene, number).shape == (0, 2)


def test_a_table_without_lines_has_no_points(tmp_path):
    assert read_interest_points(table(tmp_path, 'scene,frame,x,y\n')).scenes == {}


def test_tracks_give_the_points_that_are_seen(tmp_path):
    (tmp_path / 'videos/deep').mkdir(parents=True)
    write_tracks(tmp_path / 'videos/horse.npz', tracks())
    write_tracks(tmp_path / 'videos/deep/foal.npz', tracks())
    one, folder = read_interest_points(tmp_path / 'videos/horse.npz'), read_interest_points(tmp_path / 'videos')
    assert set(one.scenes) == {'horse'} and set(folder.scenes) == {'horse', 'deep/foal'}
    for found, scene in ((one, 'horse'), (folder, 'horse'), (folder, 'deep/foal')):
        assert found.of(scene, 0).tolist() == [[1, 2], [5, 6]] and found.of(scene, 1).tolist() == [[3, 4]]
        assert found.sizes[scene] == (20, 30) and found.of(scene, 2).shape == (0, 2)


def test_the_digest_tells_contents_and_not_places(tmp_path):
    (tmp_path / 'other').mkdir()
    first, moved = table(tmp_path), table(tmp_path / 'other', name='renamed.csv')
    changed = table(tmp_path, TABLE + 'b,1,0,0\n', 'changed.csv')
    assert read_interest_points(first).digest == read_interest_points(moved).digest
    assert read_interest_points(first).digest != read_interest_points(changed).digest
    for place in ('one', 'two'):
        (tmp_path / place).mkdir()
        write_tracks(tmp_path / place / 'horse.npz', tracks())
    assert read_interest_points(tmp_path / 'one').digest == read_interest_points(tmp_path / 'two').digest


@pytest.mark.parametrize('text, says', [
    ('', 'the file is empty'),
    ('scene,frame,x\na,0,1\n', 'lacks the column y; the first line must be scene,frame,x,y'),
    ('a,0,1,2\n', 'lacks the column scene'),
    ('scene,frame,x,y\na,0,1,2\na,first,1,2\n', "line 3 must be a scene, .* got 'a,first,1,2'"),
    ('scene,frame,x,y\na,-1,1,2\n', "line 2 .* got 'a,-1,1,2'"),
    ('scene,frame,x,y\na,0.5,1,2\n', "line 2 .* got 'a,0.5,1,2'"),
    ('scene,frame,x,y\na,0,nan,2\n', "line 2 .* got 'a,0,nan,2'"),
    ('scene,frame,x,y\na,0,1,inf\n', "line 2 .* got 'a,0,1,inf'"),
    ('scene,frame,x,y\na,0,1,2e9\n', "line 2 .* got 'a,0,1,2e9'"),
    ('scene,frame,x,y\na,0,1\n', "line 2 .* got 'a,0,1,'"),
    ('scene,frame,x,y\n,0,1,2\n', "line 2 .* got ',0,1,2'"),
    (b'scene,frame,x,y\n\xff\xfe,0,1,2\n', 'is not a table of comma-separated values'),
    (b'scene,frame,x,y\n"a,0,1,2\n', 'is not a table of comma-separated values'),
    (b'\x89PNG\r\n\x1a\n', 'is not a table of comma-separated values'),
])
def test_a_broken_table_is_one_sentence(text, says, tmp_path):
    file = table(tmp_path, text)
    with pytest.raises(InputError, match=says) as caught:
        read_interest_points(file)
    assert str(caught.value).startswith(str(file)) and '\n' not in str(caught.value)


def test_a_missing_file_and_an_empty_folder_are_one_sentence(tmp_path):
    with pytest.raises(InputError, match='none.csv: cannot be opened'):
        read_interest_points(tmp_path / 'none.csv')
    with pytest.raises(InputError, match='none.npz: cannot be opened'):
        read_interest_points(tmp_path / 'none.npz')
    with pytest.raises(InputError, match='has no <scene>.npz with tracks; name another folder'):
        read_interest_points(tmp_path)


@pytest.mark.parametrize('arrays', [
    dict(), dict(points=np.zeros((1, 2))), dict(tracks=np.zeros((2, 3, 2), np.float32)),
    dict(tracks=np.zeros((2, 3, 2), np.float32), visible=np.ones((2, 4), bool), queries=np.zeros((2, 3), np.float32),
         size=np.array([4, 5], np.int32)),
    dict(tracks=np.array([None]), visible=np.ones((2, 3), bool), queries=np.zeros((2, 3), np.float32),
         size=np.array([4, 5], np.int32))])
def test_another_npz_is_one_sentence(arrays, tmp_path):
    np.savez(tmp_path / 'horse.npz', **arrays)
    with pytest.raises(InputError, match='horse.npz: cannot be read as tracks') as caught:
        read_interest_points(tmp_path / 'horse.npz')
    assert '\n' not in str(caught.value)


def test_bytes_that_are_no_npz_are_one_sentence(tmp_path):
    for data in (b'x', b'PK\x03\x04' + bytes(60), TABLE.encode()):
        (tmp_path / 'horse.npz').write_bytes(data)
        with pytest.raises(InputError, match='horse.npz: cannot be read as tracks'):
            read_interest_points(tmp_path / 'horse.npz')
