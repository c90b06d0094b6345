"""The benchmark of chains: exact motion scores 1, and neither motion nor scores are made twice."""
from __future__ import annotations

import importlib.util

import cv2
import numpy as np
import pytest
import torch
from small_trees import ROOT

from mmrefine.errors import CheckpointError
from mmrefine.fileio import write_image
from mmrefine.models.trackers.steps import ChainSteps
from mmrefine.structures import Look

SIZE, STEP, FRAMES = (64, 96), np.array([4, 2]), 5  # px (x, y) a frame
START = np.array([[20., 20.], [30., 26.]])  # a corner of the square in the first frame, and a point in it


@pytest.fixture(scope='module')
def bench():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / 'benchmarks'))  # as when it is run: it imports the file beside it
        spec = importlib.util.spec_from_file_location('chain_steps', ROOT / 'benchmarks' / 'chain_steps.py')
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    return module


@pytest.fixture
def clip(bench, tmp_path):
    """A square that moves over noise, and where two of its points end."""
    pixels = np.random.default_rng(5).integers(0, 255, (*SIZE, 3), dtype=np.uint8)
    for t in range(FRAMES):
        mask = np.zeros(SIZE, np.uint8)
        x, y = (START[0] + t * STEP).astype(int)
        mask[y:y + 16, x:x + 16] = 255
        write_image(tmp_path / f'davis/JPEGImages/480p/box/{t:05d}.jpg', np.where(mask[..., None] > 0, 255 - pixels,
                                                                                  pixels))
        write_image(tmp_path / f'davis/Annotations/480p/box/{t:05d}.png', cv2.cvtColor(mask, cv2.COLOR_GRAY2RGB))
    ends = np.column_stack([START, START + (FRAMES - 1) * STEP])
    lines = ['sequence,frames,first_x,first_y,last_x,last_y',
             *(f'box,{FRAMES},' + ','.join(map(str, row)) for row in ends)]
    (tmp_path / 'points.csv').write_text('\n'.join(lines) + '\n')
    return bench.read_clip(tmp_path / 'davis', None, 'box', SIZE, None, tmp_path / 'points.csv')


def motion(step, longer):
    """Everything moves by ``step`` px a frame; steps over several frames miss by ``longer`` px and know it."""

    def look(s, t):
        moved = torch.tensor(step * (t - s), dtype=torch.float32) + longer * (t - s > 1)
        flow = moved.view(1, 2, 1, 1).repeat(1, 1, *SIZE)
        error = torch.full((1, 1, *SIZE), 0.1 + longer * (t - s > 1))
        return Look(flow, -flow, error_fw=error, error_bw=error)

    return look


@pytest.mark.parametrize('steps', [(1, ), (1, 2, 'first'), ('first', )])
def test_exact_motion_scores_1_by_any_steps(bench, clip, steps):
    found = bench.score_chain(clip, motion(STEP, 0.), ChainSteps(steps))
    assert found['D'] == 1 and found['J'] > 0.97 and found['PCK'] is None and max(found['off']) < 0.01


def test_steps_that_miss_are_taken_only_if_there_is_no_other(bench, clip):
    assert bench.score_chain(clip, motion(STEP, 9.), ChainSteps((1, 2, 'first')))['D'] == 1
    worse = bench.score_chain(clip, motion(STEP, 9.), ChainSteps(('first', )))
    # 9 px in x and y of 96x64 px are 24 and 36 on the raster
    assert worse['D'] == 0 and worse['off'] == pytest.approx(2 * [np.hypot(24, 36)], abs=0.01) and worse['J'] < 0.5


def test_motion_and_scores_are_made_once(bench, clip, tmp_path, weights, monkeypatch, capsys):
    argv = [str(part) for part in ('--davis', tmp_path / 'davis', '--points', tmp_path / 'points.csv', '--checkpoint',
                                   weights['small'], '--work-dir', tmp_path / 'work', '--height', SIZE[0], '--width',
                                   SIZE[1], '--iters', 1, '--steps', 1, 2, '--adds', 'squares', '--out',
                                   tmp_path / 'out.json')]
    assert bench.main(argv) == 0
    table, record = capsys.readouterr().out, (tmp_path / 'out.json').read_bytes()
    assert '| 1 2; round-trip; squares; 4 |' in table and '| lost |' in table
    assert len(list((tmp_path / 'work/box').glob('motion_*/*.npy'))) == 4 + 3
    monkeypatch.setattr(bench, 'score_chain', None)
    assert bench.main(argv) == 0
    assert capsys.readouterr().out == table and (tmp_path / 'out.json').read_bytes() == record
    for path in (tmp_path / 'work/box').glob('scores_*.json'):
        path.unlink()
    monkeypatch.undo()
    monkeypatch.setattr(ChainSteps, 'look', None)  # the motion is there
    assert bench.main(argv) == 0 and (tmp_path / 'out.json').read_bytes() == record


def test_a_checkpoint_that_is_missing_is_named(bench, tmp_path):
    with pytest.raises(CheckpointError, match='none.pth: there is no such checkpoint'):
        bench.main(['--checkpoint', str(tmp_path / 'none.pth')])
