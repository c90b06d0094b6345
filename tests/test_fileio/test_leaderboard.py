"""The zip that a leaderboard takes."""
from __future__ import annotations

import zipfile

import numpy as np
import pytest

from mmrefine.errors import InputError
from mmrefine.fileio import encode_flo, read_flow, write_flow, write_submission


def test_what_was_put_in_comes_out(tmp_path):
    files = {'flow/000000_10.png': b'\x89PNG' * 50, 'clean/a/frame_0001.flo': b'PIEH' * 100}
    assert write_submission(tmp_path / 'new' / 'a.zip', iter(files.items())) == 2
    with zipfile.ZipFile(tmp_path / 'new' / 'a.zip') as archive:
        assert archive.testzip() is None
        assert {name: archive.read(name) for name in archive.namelist()} == files
        packed = {info.filename: info.compress_size < info.file_size for info in archive.infolist()}
    assert packed == {'flow/000000_10.png': False, 'clean/a/frame_0001.flo': True}


def test_the_same_files_give_the_same_bytes(tmp_path):
    for name in 'ab':
        write_submission(tmp_path / f'{name}.zip', [('x.flo', b'1' * 99), ('y.png', b'2')])
    assert (tmp_path / 'a.zip').read_bytes() == (tmp_path / 'b.zip').read_bytes()


def test_an_error_on_the_way_leaves_what_was_there(tmp_path):

    def broken():
        yield 'x.flo', b'1'
        raise RuntimeError('the network fell over')

    write_submission(tmp_path / 'a.zip', [('old.flo', b'0')])
    before = (tmp_path / 'a.zip').read_bytes()
    with pytest.raises(RuntimeError, match='fell over'):
        write_submission(tmp_path / 'a.zip', broken())
    assert [path.name for path in tmp_path.iterdir()] == ['a.zip'] and (tmp_path / 'a.zip').read_bytes() == before


@pytest.mark.parametrize('files, message', [
    ([('x.flo', b'1'), ('x.flo', b'2')], 'a.zip: two flows would be called x.flo'),
    ([], 'a.zip: there is no flow to write'),
])
def test_a_zip_that_no_leaderboard_takes_is_not_written(tmp_path, files, message):
    with pytest.raises(InputError, match=message):
        write_submission(tmp_path / 'a.zip', files)
    assert not list(tmp_path.iterdir())


def test_the_bytes_of_a_flo_are_those_of_its_file(tmp_path):
    flow = np.random.default_rng(0).normal(0, 30, (4, 5, 2)).astype(np.float32)
    valid = np.random.default_rng(1).random((4, 5)) < 0.7
    write_flow(tmp_path / 'a.flo', flow, valid)
    assert (tmp_path / 'a.flo').read_bytes() == encode_flo(flow, valid)
    back, known = read_flow(tmp_path / 'a.flo')
    assert np.array_equal(known, valid) and np.array_equal(back[valid], flow[valid])
