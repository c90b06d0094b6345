"""The flows of a test set under the names of its leaderboard."""
import numpy as np
import pytest
import torch

from mmrefine.datasets import KittiPairs, SintelPairs
from mmrefine.engine.judging.submission import LEADERBOARDS, submission_files
from mmrefine.errors import MMRefineError
from mmrefine.fileio import decode_kitti, read_flow, write_image


class Constant:
    """A network that always sees the same motion, px."""

    accepts_flow_init = False

    def __init__(self, *motion):
        self.motion = motion

    def estimate(self, frames1, frames2, flow_init=None):
        return [torch.tensor(self.motion).view(1, 2, 1, 1).expand(1, 2, *frames1.shape[-2:])]


@pytest.fixture
def data(tmp_path):
    frame = np.zeros((4, 6, 3), np.uint8)
    for scene, number in ((0, 10), (0, 11), (7, 10), (7, 11)):
        write_image(tmp_path / f'testing/image_2/{scene:06d}_{number}.png', frame)
    for number in (1, 2, 3):
        write_image(tmp_path / f'test/clean/cave_3/frame_{number:04d}.png', frame)
    return tmp_path


def test_kitti_motion_beyond_16_bits_is_cut_and_stays_valid(data):
    files = dict(submission_files(Constant(600., -1e4), KittiPairs(data, split='testing'), 'flow', kitti=True))
    assert list(files) == ['flow/000000_10.png', 'flow/000007_10.png']
    flow, valid = decode_kitti(files['flow/000007_10.png'])
    assert valid.all() and flow[0, 0].tolist() == [511, -511]


def test_sintel_motion_is_written_as_it_is(data, tmp_path):
    files = dict(submission_files(Constant(600.25, -1e4), SintelPairs(data, 'clean', split='test'), 'clean'))
    assert list(files) == ['clean/cave_3/frame_0001.flo', 'clean/cave_3/frame_0002.flo']
    (tmp_path / 'a.flo').write_bytes(files['clean/cave_3/frame_0002.flo'])
    assert read_flow(tmp_path / 'a.flo')[0][0, 0].tolist() == [600.25, -1e4]


def test_a_flow_that_is_not_finite_names_its_pair(data):
    with pytest.raises(MMRefineError, match=r'pair cave_3/frame_0001__frame_0002: 100\.0% of the network'):
        list(submission_files(Constant(float('nan'), 0.), SintelPairs(data, 'clean', split='test'), 'clean'))


def test_the_test_sets_have_the_size_of_their_leaderboards():
    assert {name: board.flows for name, board in LEADERBOARDS.items()} == dict(sintel=1104, kitti=200)
