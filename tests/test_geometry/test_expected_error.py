"""The error that round trip and picture let expect: each of them counts, and nothing is infinite."""
from __future__ import annotations

import math

import pytest
import torch

from mmrefine.geometry import census_residual, expected_error


def still(x=0.):
    return torch.tensor([x, 0.]).view(1, 2, 1, 1).repeat(1, 1, 12, 16)


def picture(seed=0):
    return torch.rand(1, 3, 12, 16, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize('trip', [0., 1., 3.])
def test_a_longer_round_trip_lets_expect_more(trip):
    frame = picture()
    found = expected_error(frame, frame, still(), still(trip))
    torch.testing.assert_close(found, torch.full((1, 1, 12, 16), 0.3 + trip))


def test_a_picture_that_does_not_match_lets_expect_more():
    one, two = picture(0), picture(1)
    unlike = census_residual(one, two, still())
    torch.testing.assert_close(expected_error(one, two, still(), still()), 0.3 * (4 * unlike).exp())
    assert float(unlike.mean()) > 0.3


def test_what_leaves_the_frame_or_is_very_wrong_has_a_finite_error():
    frame = picture()
    found = expected_error(frame, frame, still(200.), still())  # nothing lands inside
    torch.testing.assert_close(found, torch.full((1, 1, 12, 16), 20.3 * math.exp(4)))
    assert float(expected_error(frame, frame, still(), still(500.)).max()) == pytest.approx(20.3)
