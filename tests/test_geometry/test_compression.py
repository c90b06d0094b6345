"""What JPEG leaves of a picture; libjpeg is the second implementation."""
from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch

from mmrefine.geometry import jpeg_loss, jpeg_quality
from mmrefine.synthetic import render_clip


@pytest.fixture(scope='module')
def picture():
    """A clean one with texture, never compressed, and not of whole blocks."""
    return np.ascontiguousarray(render_clip(3, 2, (100, 140), 'source').frames[0])


def tensor(picture):
    return torch.from_numpy(np.ascontiguousarray(picture)).permute(2, 0, 1).float() / 255


def libjpeg(picture, quality):
    packed = cv2.imencode('.jpg', np.ascontiguousarray(picture[..., ::-1]), [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    return np.ascontiguousarray(cv2.imdecode(packed, cv2.IMREAD_COLOR)[..., ::-1])


@pytest.mark.parametrize('quality', [30, 50, 75, 90])
def test_what_is_left_is_what_libjpeg_leaves(picture, quality):
    """All but exactly of a grey picture;
    how colours are made smaller and greater again is not written down anywhere.
    """
    grey = np.repeat(picture.mean(axis=2, keepdims=True).round().astype(np.uint8), 3, axis=2)
    for one, near in ((grey, 0.25), (picture, 1.5)):
        ours, theirs = 255 * jpeg_loss(tensor(one)[None], quality)[0], 255 * tensor(libjpeg(one, quality))
        lost = (theirs - 255 * tensor(one)).abs().mean()
        assert (ours - theirs).abs().mean() < min(near, 0.25 * lost)
        # 8 bits
        assert torch.equal(ours, ours.round()) and 0 <= ours.min() and ours.max() <= 255


@pytest.mark.parametrize('quality', [30, 50, 75, 90])
def test_the_quality_is_found_and_of_two_one_of_them(picture, quality):
    once, twice = libjpeg(picture, quality), libjpeg(libjpeg(picture, 40), quality)
    assert jpeg_quality(tensor(once)) == pytest.approx(quality, abs=2)
    assert jpeg_quality(jpeg_loss(tensor(picture)[None], quality)[0]) == pytest.approx(quality, abs=2)
    assert jpeg_quality(tensor(twice)) in [pytest.approx(40, abs=2), pytest.approx(quality, abs=2)]


def test_what_was_not_compressed_or_lost_its_blocks_has_no_quality(picture):
    packed = libjpeg(picture, 60)
    shifted, smaller = packed[3:, 5:], cv2.resize(packed, (112, 80), interpolation=cv2.INTER_AREA)
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3)).astype(np.uint8)
    none = [picture, shifted, smaller, noise, np.full((64, 64, 3), 90, np.uint8), picture[:7]]
    assert [jpeg_quality(tensor(one)) for one in none] == [None] * len(none)


def test_a_lower_quality_changes_more_and_a_flat_picture_keeps_its_colour(picture):
    change = [float((jpeg_loss(tensor(picture)[None], quality)[0] - tensor(picture)).abs().mean())
              for quality in (30, 60, 95)]
    assert change[0] > change[1] > change[2] > 0
    flat = torch.tensor([0.8, 0.2, 0.1]).view(1, 3, 1, 1).expand(2, 3, 33, 47)
    assert jpeg_loss(flat, 90).shape == flat.shape and (jpeg_loss(flat, 90) - flat).abs().max() < 4 / 255
