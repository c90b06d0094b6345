"""``benchmarks/rivals.py``: what its rows train, which rate a rival takes, and how its changes are counted."""
from __future__ import annotations

import argparse
import importlib
import json
import sys

import pytest
from small_trees import ROOT

from mmrefine.config.load import complete
from mmrefine.errors import ConfigError


@pytest.fixture(scope='module')
def modules():
    """The benchmark and its rows."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / 'benchmarks'))
        yield importlib.import_module('rivals'), importlib.import_module('rival_rows')
    for name in ('rivals', 'rival_rows', 'kept_rows', 'demo_seeds'):
        sys.modules.pop(name, None)


def kinds(parts):
    return [part['type'] for part in parts]


def test_every_row_is_a_config_that_trains(modules, tmp_path):
    rivals, rows = modules
    values = {'video': str(tmp_path), 'unseen': str(tmp_path)}
    for name, row in rows.ROWS.items():
        cfg = complete(rows.config_of(name, str(rivals.CONFIG), values, 0.3))
        assert cfg.optim_wrapper.optimizer.lr == cfg.param_scheduler.eta_max == pytest.approx(0.3 * 8e-4), name
        assert row.rate_of is None or rows.ROWS[row.rate_of].rate_of == row.rate_of, name
        assert ('PseudoLabelHook' in kinds(cfg.custom_hooks)) == (row.recipe in ('labels', 'labels+warp')), name
        assert {'RegressionGuardHook', 'ReportHook'} <= set(kinds(cfg.custom_hooks)), name
        assert ('ColorJitter' in kinds(cfg.train_pipeline)) == row.augmented, name


def test_rivals_train_on_other_configs_at_their_rate(modules, tmp_path):
    rows = modules[1]
    video = ROOT / 'configs/refine/raft_small_video.py'
    for name, row in rows.ROWS.items():
        if row.rate_of or row.mixed or name == rows.OURS:
            cfg = complete(rows.config_of(name, str(video), {'video': str(tmp_path)}, 0.1))
            assert cfg.optim_wrapper.optimizer.lr == cfg.param_scheduler.eta_max == pytest.approx(0.1 * 4e-4), name


def test_census_sees_the_pair_that_the_label_is_of(modules, tmp_path):
    """A self-warped pair has a frame 2 of its own: that of the video would contradict the label."""
    rivals, rows = modules
    cfg = rows.config_of('labels, with census 0.3', str(rivals.CONFIG), {'video': str(tmp_path)})
    assert kinds(cfg.train_pipeline)[:4] == ['LoadLabel', 'SelfWarp', 'KeepWholeFrames', 'RandomCrop']
    assert kinds(cfg.model.losses) == ['MaskedSequenceLoss', 'PhotometricLoss']
    assert cfg.model.losses[1]['unlabelled'] and cfg.model.losses[1]['loss_weight'] == 0.3


def test_losses_of_both_ways_beside_labels_take_half_as_many_pairs(modules, tmp_path):
    rivals, rows = modules
    configs = {name: rows.config_of(name, str(rivals.CONFIG), {'video': str(tmp_path)})
               for name in ('labels alone', 'labels, with census 3', 'labels, with warp 200', 'ours')}
    assert [cfg.train_dataloader.batch_size for cfg in configs.values()] == [4, 4, 2, 2]
    losses = configs['labels, with warp 200'].model.losses
    assert [loss.get('loss_weight', 1.) for loss in losses] == pytest.approx([1., 200., 20.])
    for loss, five in zip(losses[1:], configs['ours'].model.losses[1:]):
        assert {**loss, 'loss_weight': pytest.approx(5 * loss.loss_weight)} == five
    assert configs['labels, with warp 200'].train_pipeline == configs['ours'].train_pipeline
    fading = rows.config_of('labels, with warp 1000, fading', str(rivals.CONFIG), {'video': str(tmp_path)})
    assert fading.train_dataloader.batch_size == 2
    assert [loss.loss_weight for loss in fading.model.losses[1:]] == [[[0., 1000.], [1., 0.]], [[0., 100.], [1., 0.]]]
    census, smooth = rows.config_of('labels, with census and smoothness 10', str(rivals.CONFIG), {}).model.losses[1:]
    assert (census.residual, census.loss_weight, smooth.type, smooth.loss_weight) == (
        'census', 10., 'SmoothnessLoss', 25.)


def test_runs_that_have_the_same_labels_share_them(modules, tmp_path):
    rivals, rows = modules

    def store(name, seed=125, factor=1.):
        cfg = rows.config_of(name, str(rivals.CONFIG), {'video': str(tmp_path), 'randomness.seed': seed}, factor)
        cfg.work_dir = str(tmp_path / f'{name} {seed} {factor}')
        rivals.share_labels(cfg, tmp_path / 'labels')
        link = tmp_path / f'{name} {seed} {factor}' / 'labels'
        return link.resolve() if link.is_symlink() else None

    assert store('ours') == store('ours', 126) == store('ours, not augmented') == store('labels alone')
    assert store('ours').parent == tmp_path / 'labels'
    others = [store(name) for name in ('ours', 'ours, weighed evenly', 'ours, no larger pass', 'plain self-training')]
    assert len(set(others)) == 4 and store('plain self-training', factor=0.3) == others[3]
    assert store('warp and smoothness') is None


def run(row, seed, factor, after, group_before=(1., 3.)):
    """A run with two videos; ``after``: their EPE by side, in every group."""
    def side(values):
        return {group: dict(EPE=sum(values) / 2, scenes=list(values))
                for group in ('refined', 'unseen', 'source')}

    return dict(row=row, seed=seed, factor=factor, key=f'{row} {seed} {factor}', verdict='student',
                before=side(group_before), **{name: side(values) for name, values in after.items()})


def test_a_change_is_the_mean_over_seeds_within_draws_of_videos(modules):
    """Video a gets better by 20 % and 40 %, b by 10 % in both seeds; draws of aa, bb and of both once."""
    runs = [run('ours', 125, 1., dict(student=(0.8, 2.7))), run('ours', 126, 1., dict(student=(0.6, 2.7)))]
    found = modules[0].change(runs, 'student', 'unseen')
    assert found['mean'] == pytest.approx(100 * ((3.5 / 4 + 3.3 / 4) / 2 - 1))
    assert (found['low'], found['high']) == (pytest.approx(-30), pytest.approx(-10))
    assert found['worst'] == pytest.approx(-10)


def test_a_rival_takes_the_rate_that_is_best_by_truth_and_its_variants_take_it_too(modules, monkeypatch):
    rivals, rows = modules
    errors = {1.: 5., 0.3: 1.5, 0.1: 2.}
    monkeypatch.setattr(rivals, 'run_of', lambda args, row, seed, factor: run(
        row, seed, factor, dict(student=(errors[factor], errors[factor]))))
    args = argparse.Namespace(seeds=[125, 126])
    assert rivals.factor_of(args, rows.CODE) == rivals.factor_of(args, rows.ABSTRACT) == 0.3
    assert rivals.factor_of(args, rows.OURS) == 1.
    errors[1.] = float('nan')  # a rate that diverges is not the best
    assert rivals.factor_of(args, rows.CODE) == 0.3


def test_videos_of_a_larger_run_are_not_taken_for_those_of_a_smaller_one(modules, tmp_path, monkeypatch):
    rivals, rows = modules
    monkeypatch.setattr(rivals, 'run_of', lambda *asked: pytest.fail('trained on videos that were not asked for'))
    asked = ['--work-dir', str(tmp_path), '--frames', '2', '--unseen', '1', '--rows', rows.OURS]
    rivals.write_clips(tmp_path / 'videos/refined', range(3), 2, style='target')
    with pytest.raises(ConfigError, match='refined: holds 3 videos, and 2 are asked for; name another --work-dir'):
        rivals.main([*asked, '--videos', '2'])


def test_runs_are_shown_and_drawn_and_those_of_the_json_are_not_made_again(modules, tmp_path, monkeypatch, capsys):
    rivals, rows = modules
    made = []

    def scored(cfg):
        made.append(cfg.randomness.seed)
        return {key: value for key, value in run('', 0, 0, dict(student=(0.8, 2.7), guarded=(1., 3.))).items()
                if key in ('before', 'student', 'guarded', 'verdict')}

    monkeypatch.setattr(rivals, 'scored', scored)
    monkeypatch.setattr(rivals, 'write_clips', lambda *args, **more: None)
    monkeypatch.setattr(rivals, 'source_group', lambda folder, count: dict(type='FramePairs', data_root=str(folder)))
    monkeypatch.setattr(rivals, '_check_count', lambda *asked: None)
    asked = ['--work-dir', str(tmp_path / 'runs'), '--out', str(tmp_path / 'runs.json'), '--figure',
             str(tmp_path / 'rivals.png'), '--seeds', '125', '126', '--rows', rows.OURS, rows.CYCLE]
    assert rivals.main(asked) == 0
    assert made == [125, 126, 125, 125, 125, 126]  # three rates of the rival's first seed, the best of its second
    assert '| ours | 1 | -12.5 [-20.0, -10.0] |' in capsys.readouterr().out
    assert (tmp_path / 'rivals.png').stat().st_size > 0
    capsys.readouterr()
    assert rivals.main([*asked, rows.PLAIN, '--known']) == 0
    assert len(made) == 6 and '| ours | 1 |' in (said := capsys.readouterr().out)
    assert said.endswith('Not run, or not with all rates and seeds: plain self-training\n')
    rivals.main(asked)
    assert len(made) == 6 and len(json.loads((tmp_path / 'runs.json').read_text())) == 6
    for text in ('[{', '{}', '[{"row": "ours"}]'):
        (tmp_path / 'runs.json').write_text(text)
        with pytest.raises(ConfigError, match=r'runs.json: expected a JSON list of rows'):
            rivals.main(asked)
