"""The benchmark of propagation: scores that can be counted, rows that are made once, and means over objects."""
from __future__ import annotations

import importlib.util
import json

import numpy as np
import pytest
import torch
from jhmdb_trees import jhmdb_tree
from small_trees import ROOT

from mmrefine.errors import CheckpointError, ConfigError, InputError, MMRefineError
from mmrefine.evaluation.masks.scores import tally_masks
from mmrefine.fileio import read_ids, write_ids, write_image
from mmrefine.synthetic import write_clips

SIZE, STEP = (48, 64), 4  # px right a frame


@pytest.fixture(scope='module')
def bench():
    spec = importlib.util.spec_from_file_location('propagation', ROOT / 'benchmarks' / 'propagation.py')
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def davis(tmp_path):
    """A video of one object that moves and one of two that stand still."""
    pixels = np.random.default_rng(5).integers(0, 255, (*SIZE, 3), dtype=np.uint8)
    for name, step, objects in (('moves', STEP, 1), ('still', 0, 2)):
        for t in range(4):
            mask = np.zeros(SIZE, np.uint8)
            for one in range(1, objects + 1):
                mask[16 * one:16 * one + 12, 8 + step * t:24 + step * t] = one
            write_image(tmp_path / f'davis/JPEGImages/480p/{name}/{t:05d}.jpg', np.roll(pixels, step * t, axis=1))
            write_ids(tmp_path / f'davis/Annotations/480p/{name}/{t:05d}.png', mask)
    return tmp_path / 'davis'


def test_copies_score_as_counted_rows_are_made_once_and_objects_are_pooled(bench, davis, tmp_path, capsys, monkeypatch):
    argv = ['--davis', str(davis), '--heights', '24', '48', '--flow', 'none', '--work-dir', str(tmp_path / 'work'),
            '--out', str(tmp_path / 'rows.json')]
    assert bench.main(argv) == 0
    rows = json.loads((tmp_path / 'rows.json').read_text())
    assert [(row['video'], row['height'], row['method']) for row in rows] == [
        (video, height, method) for video in ('moves', 'still') for height in (24, 48)
        for method in ('copied', 'random')]
    moves, still = rows[0]['scores'], rows[4]['scores']
    # frames 1 and 2 are scored: 16 px wide, off by 4 and by 8
    assert moves['J_mean'] == pytest.approx((12 / 20 + 8 / 24) / 2) and still['J_mean'] == still['F_mean'] == 1
    mean = (moves['J_mean'] + 2 * 1) / 3
    assert any(line.startswith('| 24p | copied | 2 |') and line.split('|')[5].strip() == f'{100 * mean:.1f}'
               for line in capsys.readouterr().out.splitlines())
    made = sorted((tmp_path / 'work').rglob('*.json'))
    monkeypatch.setattr(bench, 'score_masks', lambda *args: pytest.fail('a row is made again'))
    assert len(made) == 8 and bench.main(argv) == 0 and sorted((tmp_path / 'work').rglob('*.json')) == made
    assert json.loads((tmp_path / 'rows.json').read_text()) == rows


def test_true_motion_keeps_masks_whole_also_in_half_the_size(bench, davis):
    class Shift:
        accepts_flow_init = False

        def estimate(self, frames1, frames2, flow_init=None):
            flow = torch.zeros(1, 2, *frames1.shape[-2:])
            flow[:, 0] = STEP * frames1.shape[-2] / SIZE[0]
            return [flow if self.forward.pop(0) else -flow]

    network = Shift()
    item = bench.DavisClips(davis, ['moves'])[0]
    for height, least in ((48, 1.), (24, 0.9)):
        network.forward = [True, False] * 3
        video = bench.Video('davis', 'moves', height, bench.shown_at(item['inputs'], height), item['data_samples'])
        assert bench.score_masks(video, bench.FlowPropagator(network)).scores()['J_mean'] >= least


def test_joints_are_scored_and_pooled_over_videos(bench, mat_files, tmp_path, capsys):
    jhmdb_tree(tmp_path / 'JHMDB')
    argv = ['--jhmdb', str(tmp_path / 'JHMDB'), '--flow', 'none', '--work-dir', str(tmp_path / 'work'), '--out',
            str(tmp_path / 'rows.json')]
    assert bench.main(argv) == 0
    rows = json.loads((tmp_path / 'rows.json').read_text())
    copied = [row for row in rows if row['method'] == 'copied']
    assert [row['video'] for row in copied] == ['catch/a', 'catch/b']
    for share in (0.1, 0.5):
        right, seen = (np.sum([row['tally'][key] for row in copied], axis=0) for key in ('right', 'seen'))
        rate = right[bench.SHARES.index(share)][seen > 0] / seen[seen > 0]
        pooled = bench.pooled_scores('jhmdb', [row['tally'] for row in copied])
        assert pooled[f'PCK@{share:g}_joints'] == pytest.approx(rate.mean())
    assert '| 24p | copied | 2 |' in capsys.readouterr().out


def test_checkpoints_and_videos_that_are_missing_are_named(bench, davis, tmp_path, capsys):
    with pytest.raises(CheckpointError, match='none.pth: there is no such checkpoint; name another with --checkpoint'):
        bench.main(['--checkpoint', f'after={tmp_path}/none.pth'])
    with pytest.raises(SystemExit):
        bench.main(['--checkpoint', 'random=x.pth'])
    assert 'must be NAME=FILE, with a name of its own' in capsys.readouterr().err
    with pytest.raises(ConfigError, match="there is no video 'swims'"):
        bench.main(['--davis', str(davis), '--sequences', 'swims', '--flow', 'none'])
    with pytest.raises(ConfigError, match='--davis, --jhmdb or --rendered'):
        bench.main(['--flow', 'none'])
    (davis / 'frames').mkdir()
    with pytest.raises(ConfigError, match='there is no video swims; correct --sequences or the folder'):
        bench.main(['--rendered', str(davis), '--sequences', 'swims', '--flow', 'none'])


@pytest.mark.parametrize('options, message', [
    (['--frames', '2'], '--frames must be a whole number, at least 3, got 2'),
    (['--heights', '48', '-5'], '--heights must be a whole number, at least 8, got -5'),
])
def test_numbers_out_of_range_are_refused_before_anything_is_scored(bench, davis, tmp_path, options, message):
    with pytest.raises(ConfigError, match=message):
        bench.main(['--davis', str(davis), '--flow', 'none', '--work-dir', str(tmp_path / 'work'), *options])
    assert not (tmp_path / 'work').exists()


def test_a_place_that_cannot_be_written_is_refused_before_anything_is_scored(bench, davis, tmp_path):
    (tmp_path / 'file').touch()
    with pytest.raises(MMRefineError, match='rows.json: cannot be written .*check the folder'):
        bench.main(['--davis', str(davis), '--flow', 'none', '--work-dir', str(tmp_path / 'work'), '--out',
                    str(tmp_path / 'file' / 'rows.json')])
    assert not (tmp_path / 'work').exists()


def test_two_checkpoints_of_one_name_are_refused(bench, davis, tmp_path):
    files = [str(tmp_path / name) for name in ('a.pth', 'b.pth')]
    for file in files:
        open(file, 'wb').close()
    with pytest.raises(ConfigError, match='must give each file a name of its own, got after, after'):
        bench.main(['--davis', str(davis), '--flow', 'none', '--checkpoint', *(f'after={file}' for file in files)])


def test_rendered_clips_are_scored_by_their_masks_and_hard_labels_are_another_row(bench, tmp_path):
    scene, = write_clips(tmp_path / 'clips', (5, ), 4, (48, 64))
    rows = []
    for options in ([], ['--hard']):
        assert bench.main(['--rendered', str(tmp_path / 'clips'), '--flow', 'none', '--out',
                           str(tmp_path / 'rows.json'), '--work-dir', str(tmp_path / 'work'), *options]) == 0
        rows.append(json.loads((tmp_path / 'rows.json').read_text(encoding='utf-8')))
    truth = np.stack([read_ids(path) for path in sorted((tmp_path / 'clips' / 'masks' / scene).iterdir())])
    wanted = tally_masks(truth[:1].repeat(len(truth), axis=0), truth).scores()
    for found in rows:
        assert [(row['method'], row['video'], row['kind']) for row in found] == [
            ('copied', scene, 'rendered'), ('random', scene, 'rendered')]
        assert found[0]['scores'] == pytest.approx(wanted)
    assert len(list((tmp_path / 'work').rglob('*.json'))) == 3  # copied once; random soft, and hard
    next(iter((tmp_path / 'clips' / 'masks' / scene).iterdir())).unlink()
    with pytest.raises(InputError, match='has 4 frames and 3 masks; render it again'):
        bench.main(['--rendered', str(tmp_path / 'clips'), '--flow', 'none', '--work-dir', str(tmp_path / 'work')])
