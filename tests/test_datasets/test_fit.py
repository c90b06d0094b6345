"""A crop that fits every frame of a data set."""
from __future__ import annotations

import numpy as np
import pytest

from mmrefine.datasets import FramePairs
from mmrefine.errors import InputError
from mmrefine.fileio.images import write_image


@pytest.fixture
def videos(tmp_path):
    """Two scenes, 20x50 and 30x40 px (height x width)."""
    for scene, size in (('a', (20, 50)), ('b', (30, 40))):
        for i in range(2):
            write_image(tmp_path / scene / f'{i}.png', np.zeros((*size, 3), np.uint8))
    return tmp_path


@pytest.mark.parametrize('size, cut',
                         [((64, 64), (20, 40)), ((16, 64), (16, 40)), ((64, 32), (20, 32)), ((8, 8), (8, 8))])
def test_all_crops_are_of_one_size_and_no_larger_than_asked_or_than_the_smallest_frame(videos, size, cut):
    pairs = FramePairs(videos, pipeline=[dict(type='RandomCrop', size=size, fit=True)])
    assert [pairs[i]['frame1'].shape for i in range(2)] == [(*cut, 3)] * 2
    assert [pairs[i]['size'] for i in range(2)] == [cut] * 2


def test_scenes_that_are_not_in_use_do_not_count(videos):
    assert FramePairs(videos).smallest_size() == (20, 40)
    assert FramePairs(videos, scenes='b').smallest_size() == (30, 40)


def test_without_fit_a_frame_that_is_too_small_is_an_error_that_names_the_way_out(videos):
    with pytest.raises(InputError, match='20x50 .* RandomCrop.size is 64x64; use a smaller crop, set fit=True'):
        FramePairs(videos, pipeline=[dict(type='RandomCrop', size=(64, 64))])[0]
