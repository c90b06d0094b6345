"""Padding there and back."""
from __future__ import annotations

import pytest
import torch

from mmrefine.geometry import FramePad


@pytest.mark.parametrize('height, width, divisor', [(436, 1024, 8), (375, 1242, 8), (13, 7, 8),
                                                    (1, 1, 8), (65, 63, 64), (16, 24, 8)])
def test_padding_reaches_the_next_multiple_and_comes_off_again(height, width, divisor):
    image = torch.rand(1, 2, height, width)
    pad = FramePad(height, width, divisor)
    padded = pad.pad(image)
    assert padded.shape[-2:] == (-(-height // divisor) * divisor, -(-width // divisor) * divisor)
    assert torch.equal(pad.crop(padded), image)


def test_the_frame_lies_in_the_middle_and_the_odd_row_goes_to_the_end():
    pad = FramePad(13, 10, 8)                                # 3 rows, 6 columns
    assert (pad.top, pad.bottom, pad.left, pad.right) == (1, 2, 3, 3)


def test_the_border_is_repeated():
    image = torch.arange(6.).view(1, 1, 2, 3)
    padded = FramePad(2, 3, 4).pad(image)[0, 0]
    assert padded.tolist() == [[0, 1, 2, 2], [0, 1, 2, 2], [3, 4, 5, 5], [3, 4, 5, 5]]


def test_the_least_side_is_rounded_up_to_the_divisor():
    pad = FramePad(10, 200, 64, least=100)
    assert pad.pad(torch.zeros(1, 1, 10, 200)).shape[-2:] == (128, 256)


def test_the_crop_leaves_leading_axes_alone():
    pad = FramePad(5, 6, 8)
    assert pad.crop(torch.zeros(3, 4, 2, 8, 8)).shape == (3, 4, 2, 5, 6)
