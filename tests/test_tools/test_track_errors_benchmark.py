"""The benchmark of expected errors of tracks: its figures on errors that are known."""
from __future__ import annotations

import importlib.util

import numpy as np
import pytest
import torch
from small_trees import ROOT

from mmrefine.structures import Tracks


@pytest.fixture(scope='module')
def bench():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / 'benchmarks'))  # as when it is run: it imports the file beside it
        spec = importlib.util.spec_from_file_location('track_errors', ROOT / 'benchmarks' / 'track_errors.py')
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    return module


def found(bench, expected, error, visibility=None):
    size = len(error)
    return bench.Found(np.float32(expected), np.arange(size, dtype=np.float32),
                       np.ones(size, np.float32) if visibility is None else np.float32(visibility), np.float32(error))


def test_what_is_kept_is_seen_and_expected_to_be_right(bench):
    scores = bench.scores_of(found(bench, [0.5, 1., 1.5, 5.], [0.5, 3., 1., 9.], [1, 1, 0, 1]), 2.)
    assert scores['kept']['2'] == dict(share=0.5, within=0.5, mean=1.75)  # times 2: 1 and 2 px
    assert scores['kept']['1'] == dict(share=0.25, within=1., mean=0.5)
    assert (scores['seen'], scores['seen_mean'], scores['all_mean']) == (0.75, pytest.approx(12.5 / 3, abs=1e-3), 3.375)
    assert scores['seen_within']['4'] == pytest.approx(2 / 3, abs=1e-3)


def test_nothing_that_is_kept_has_no_mean(bench):
    assert bench.scores_of(found(bench, [9.], [1.]), 1.)['kept']['8'] == dict(share=0., within=None, mean=None)


def test_the_area_is_0_for_the_error_itself_and_largest_for_its_reverse(bench):
    error = np.arange(1., 41.)
    said = np.random.default_rng(1).permutation(40)
    alike, drawn, reverse = (bench.area_of(error, values) for values in (np.zeros(40), said, -error))
    assert bench.area_of(error, error**2) == 0 < min(alike, drawn) and max(alike, drawn) < reverse


def test_the_factor_is_the_smallest_with_which_two_thirds_are_within(bench):
    # of the kept within 2 px: 4 at a factor of 1, of which 2 are right; without the last one it is 2 of 3
    assert bench.honest_factor(found(bench, [0.2, 0.4, 0.8, 1.], [1., 1., 5., 5.])) == 2.2
    assert bench.honest_factor(found(bench, [0.1, 0.1], [5., 5.])) is None


def test_frames_without_truth_and_those_of_the_query_do_not_count(bench):
    tracks = Tracks(torch.zeros(1, 3, 2), torch.tensor([[1., 0.5, 0.25]]), torch.zeros(1, 3), (9, 9),
                    torch.tensor([[0., 2., 4.]]))
    truth = np.array([[[0., 0.], [np.nan, np.nan], [3., 4.]]])
    judged = bench.judged(tracks, truth, 2.)
    assert [values.tolist() for values in judged] == [[2.], [2.], [0.25], [5.]]
