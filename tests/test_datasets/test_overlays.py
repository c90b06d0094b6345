from __future__ import annotations

import numpy as np
import pytest

from mmrefine.datasets import FramePairs
from mmrefine.datasets.transforms import SelfWarp
from mmrefine.fileio import write_image

SIZE = (48, 64)


@pytest.fixture()
def video(tmp_path):
    """Scenes of noise: 'a', 'b' and 'd' are short and have a picture in one corner, 'c' is long and has one in another,
    'e' is long and has none, 'f' is short and of another size.
    """
    for name, count, corner in (('a', 4, 0), ('b', 3, 0), ('c', 9, 30), ('d', 3, 0), ('e', 9, None), ('f', 3, 0)):
        for number in range(count):
            size = (40, 64, 3) if name == 'f' else (*SIZE, 3)
            frame = np.random.default_rng((number, ord(name))).integers(0, 256, size, dtype=np.uint8)
            if corner is not None:
                frame[corner:corner + 10, :20] = 99
            write_image(tmp_path / name / f'{number:02d}.png', frame)
    return tmp_path


def test_short_scenes_are_looked_at_together_and_long_ones_alone(video):
    pairs = FramePairs(video)
    for scene in 'abcde':
        fixed, corner = pairs.overlay(scene), 30 if scene == 'c' else 0
        assert (fixed is None) is (scene == 'e')
        if fixed is not None:
            wanted = np.zeros(SIZE, bool)
            wanted[corner:corner + 10, :20] = True
            assert np.array_equal(fixed, wanted)
        assert pairs.share_overlaid(scene) == (0 if scene == 'e' else pytest.approx(200 / (48 * 64)))
    assert pairs.overlay('f') is None and pairs.share_overlaid('f') == 0  # three frames tell nothing


def test_eight_frames_of_a_scene_are_read_and_none_that_is_left_out(video, monkeypatch):
    read = []

    def frame(self, scene, number, plain=FramePairs.frame):
        read.append((scene, number))
        return plain(self, scene, number)

    monkeypatch.setattr(FramePairs, 'frame', frame)
    pairs = FramePairs(video, skip=dict(c=['04']))
    assert pairs.share_overlaid('c') > 0 and pairs.share_overlaid('c') > 0
    assert read == [('c', number) for number in (0, 1, 2, 3, 5, 6, 7, 8)]
    for scene in 'abd':
        pairs.share_overlaid(scene)
    assert len(read) == 16


@pytest.mark.parametrize('scene', 'ce')
def test_self_warp_leaves_the_pairs_of_a_scene_under_a_logo_as_they_are(video, scene):
    def label(results):
        return dict(results, flow=np.full((*SIZE, 2), 99, np.float32), weight=np.zeros((*SIZE, 1), np.float32))

    pairs = FramePairs(video, scenes=scene, pipeline=[label, SelfWarp(prob=1.)])
    found = [pairs[index] for index in range(len(pairs))]
    assert all((pair['flow'] == 99).all() for pair in found) is (scene == 'c')
    assert any((pair['flow'] == 99).all() for pair in found) is (scene == 'c')
    plain = FramePairs(video, scenes=scene)
    assert all(np.array_equal(one['frame1'], two['frame1'])
               for one, two in zip(found, map(plain.__getitem__, range(len(plain))))) is (scene == 'c')
