"""Queries of a tracker: counted, placed and owned."""
from __future__ import annotations

import pytest
import torch

from mmrefine.geometry import query_grid, query_windows


@pytest.mark.parametrize('side, low, high', [(24, 12, 11), (40, 20, 19), (3, 1, 1), (1, 0, 0)])
def test_a_window_reaches_as_far_as_that_of_the_reference(side, low, high):
    queries, owners = query_windows(torch.tensor([[60., 50.]]), side, (100, 120))
    assert len(queries) == side**2 and len(queries.unique(dim=0)) == side**2 and not owners.any()
    assert (queries.min(0).values.tolist() == [60 - low, 50 - low]
            and queries.max(0).values.tolist() == [60 + high, 50 + high])


def test_shared_pixels_are_asked_once_for_the_nearest_point():
    points = torch.tensor([[10.2, 10.], [float('nan'), 3.], [15.2, 10.]])
    queries, owners = query_windows(points, 9, (30, 40))
    assert len(queries.unique(dim=0)) == len(queries) == 9 * 14 and set(owners.tolist()) == {0, 2}
    everything = torch.cdist(queries, points[[0, 2]])
    only_one = (queries[:, 0] < 11) | (queries[:, 0] > 14)
    nearest = torch.tensor([0, 2])[everything.argmin(dim=1)]
    assert torch.equal(owners[~only_one], nearest[~only_one]) and (owners[queries[:, 0] < 11] == 0).all()


def test_nothing_outside_the_frame_or_on_its_border_is_asked():
    queries, _ = query_windows(torch.tensor([[0., 0.], [39., 29.], [200., 5.]]), 8, (30, 40))
    assert len(queries) == 4 * 4 + 5 * 5
    inner, _ = query_windows(torch.tensor([[0., 0.], [39., 29.]]), 8, (30, 40), border=2)
    assert {tuple(query) for query in inner.tolist()} == {
        tuple(query) for query in queries.tolist() if 2 <= query[0] < 38 and 2 <= query[1] < 28}
    assert query_windows(torch.zeros(0, 2), 8, (30, 40))[0].shape == (0, 2)


def test_a_grid_is_regular_and_leaves_the_same_on_both_sides():
    grid = query_grid((30, 41), 8)
    xs, ys = grid[:, 0].unique(), grid[:, 1].unique()
    assert len(grid) == len(xs) * len(ys) == 6 * 4
    assert xs.diff().unique().tolist() == ys.diff().unique().tolist() == [8.]
    assert abs(xs[0] - (40 - xs[-1])) <= 1 and abs(ys[0] - (29 - ys[-1])) <= 1
    assert query_grid((30, 41), 8, border=8).min() >= 8 and query_grid((4, 4), 1, border=2).shape == (0, 2)
    assert len(query_grid((5, 6), 1)) == 30


@pytest.mark.parametrize('call, story', [
    (lambda: query_windows(torch.zeros(3), 4, (9, 9)), r'points \(N, 2\).*got \(3,\) and 4'),
    (lambda: query_windows(torch.zeros(3, 2), 0, (9, 9)), 'side of at least 1 px.* and 0'),
    (lambda: query_grid((9, 9), 0), 'at least 1 px, got 0'),
])
def test_values_that_cannot_be_meant_are_refused(call, story):
    with pytest.raises(ValueError, match=story):
        call()
