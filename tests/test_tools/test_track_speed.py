"""The benchmark of the speed of tracks: both ways give the same tracks."""
import importlib.util

import numpy as np
import pytest
from small_trees import ROOT

from mmrefine.errors import ConfigError


@pytest.fixture(scope='module')
def bench():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / 'benchmarks'))  # as when it is run: it imports the files beside it
        spec = importlib.util.spec_from_file_location('track_speed', ROOT / 'benchmarks' / 'track_speed.py')
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    return module


def test_each_frame_once_gives_the_tracks_of_chunks_that_encode_anew(bench, tmp_path, monkeypatch):
    monkeypatch.setattr(bench, 'CHUNK', 5)
    found = {}
    for way in (bench.OURS, bench.CHUNKS):
        task = dict(way=way, size=(64, 96), heads=2, side=3, stride=8, iters=2)
        row = bench._time(task, tmp_path / f'{len(way)}.json')
        assert row['seconds'] > 0
        found[way] = np.load(tmp_path / row['tracks'])
    ours, theirs = found.values()
    assert ours.shape == (2, 18, 8, 2) and np.abs(ours - theirs).max() < 1e-3
    assert np.ptp(ours, axis=2).min() > 0  # all move


def test_windows_that_do_not_fit_are_refused(bench):
    assert len(bench._heads(8, 24, (768, 1280))) == 4608
    with pytest.raises(ConfigError, match='8 windows of 24x24 px do not fit'):
        bench._heads(8, 24, (64, 64))


@pytest.mark.parametrize('way', ['there', 'both'])
def test_memory_is_measured_without_reading_a_frame_twice(bench, way, tmp_path):
    # in a process of its own, whose peak is that of nothing else; it stops if a frame is read twice
    row = bench._in_child(tmp_path, 1, dict(part='memory', way=way, network='pips-small', size=(64, 96), tracks=3,
                                            frames=10, iters=1))
    assert 0 < row['peak'] < 2**28
