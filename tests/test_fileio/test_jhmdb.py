"""Joints and lists of JHMDB, written and read."""
from __future__ import annotations

import sys

import numpy as np
import pytest

from mmrefine.errors import InputError
from mmrefine.fileio import read_jhmdb_split, read_joint_positions, write_joint_positions


def test_joints_come_back_and_the_file_counts_from_1(tmp_path, mat_files):
    points = np.random.default_rng(0).normal(50, 90, (4, 15, 2))
    write_joint_positions(tmp_path / 'a/joint_positions.mat', points)
    np.testing.assert_allclose(read_joint_positions(tmp_path / 'a/joint_positions.mat'), points, rtol=0, atol=1e-12)
    import scipy.io
    with open(tmp_path / 'a/joint_positions.mat', 'rb') as file:
        stored = scipy.io.loadmat(file, variable_names=['pos_img'])['pos_img']
    assert stored.shape == (2, 15, 4) and stored[0, 2, 1] == points[1, 2, 0] + 1
    with pytest.raises(ValueError, match=r'joints must be \(T, N, 2\), got \(4, 15\)'):
        write_joint_positions(tmp_path / 'b.mat', points[..., 0])


@pytest.mark.parametrize('arrays, story', [
    (dict(pos_world=np.zeros((2, 15, 3))), "it has no 'pos_img'"),
    (dict(pos_img=np.zeros((15, 2, 3))), r"its 'pos_img' is float64 \(15, 2, 3\) instead of numbers \(2, N, T\)"),
    (dict(pos_img=np.zeros((2, 15))), r'float64 \(2, 15\) instead of'),
    (dict(pos_img=np.full((2, 15, 3), np.nan)), 'values that are not numbers'),
])
def test_files_of_something_else_are_named(tmp_path, mat_files, arrays, story):
    import scipy.io
    with open(tmp_path / 'a.mat', 'wb') as file:
        scipy.io.savemat(file, arrays)
    with pytest.raises(InputError, match=rf'a.mat: cannot be read as joints of JHMDB \(.*{story}.*download'):
        read_joint_positions(tmp_path / 'a.mat')


def test_missing_and_damaged_files_are_named(tmp_path, mat_files):
    with pytest.raises(InputError, match='a.mat: cannot be opened'):
        read_joint_positions(tmp_path / 'a.mat')
    write_joint_positions(tmp_path / 'a.mat', np.zeros((4, 15, 2)))
    (tmp_path / 'b.mat').write_bytes((tmp_path / 'a.mat').read_bytes()[:160])
    with pytest.raises(InputError, match='b.mat: cannot be read as joints of JHMDB'):
        read_joint_positions(tmp_path / 'b.mat')


def test_without_scipy_one_sentence_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, 'scipy', None)
    monkeypatch.setitem(sys.modules, 'scipy.io', None)
    for call in (lambda: read_joint_positions(tmp_path / 'a.mat'),
                 lambda: write_joint_positions(tmp_path / 'a.mat', np.zeros((1, 1, 2)))):
        with pytest.raises(InputError, match=r"a.mat: a .mat file needs SciPy, .* install 'mmrefine\[jhmdb\]'"):
            call()


def test_a_split_is_read_and_a_wrong_line_named(tmp_path):
    path = tmp_path / 'catch_test_split1.txt'
    path.write_text('a_b.c.avi 2\n\nd 1\ne.avi 0\n')
    assert read_jhmdb_split(path) == {'a_b.c': 2, 'd': 1, 'e': 0}
    path.write_text('a.avi 2\nb.avi test\n')
    with pytest.raises(InputError, match="line 2 must be the name of a video and 1 .* got 'b.avi test'"):
        read_jhmdb_split(path)
    with pytest.raises(InputError, match='other.txt: cannot be opened'):
        read_jhmdb_split(tmp_path / 'other.txt')
