"""``mmrefine refine --recipe``: labels, their rivals and both on one's own video, with the same guard and report."""
from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from helpers_cli import DEMO_WEIGHTS, SIZE, error_of, rendered, status_of

from mmrefine.cli import build_parser, refine
from mmrefine.compat.checkpoints import load_checkpoint_file

TINY = ['--steps', '2', '--batch-size', '1', '--set', 'model.train_iters=2', 'model.test_iters=1',
        f'crop_size={SIZE}'.replace(' ', ''), 'custom_hooks.0.general=1', 'custom_hooks.0.warps=1']
LOSSES = {'warp': ['photometric', 'smoothness'], 'smurf': ['photometric', 'smoothness', 'self_supervision']}


@pytest.fixture(scope='module')
def video(tmp_path_factory) -> Path:
    """Eight rendered frames."""
    return rendered(tmp_path_factory.mktemp('clip'), 8)


def command(video, out, recipe, *options):
    return ('refine', video, '--model', 'demo', '--checkpoint', DEMO_WEIGHTS, '--out', out, '--recipe', recipe,
            *(options or TINY))


@pytest.mark.parametrize('recipe', LOSSES)
def test_a_recipe_trains_without_labels_and_is_guarded_and_reported(recipe, video, tmp_path, capsys):
    assert status_of(*command(video, tmp_path, recipe)) == 0
    text = capsys.readouterr().out
    assert 'to learn from, without labels' in text and 'to label' not in text
    assert 'forecast: about' in text and 'a pass over the largest frame takes about' in text
    report = json.loads((tmp_path / 'report.json').read_text())
    assert report['labels'] == {} and not (tmp_path / 'labels').exists() and (tmp_path / 'report.html').is_file()
    assert report['guard']['verdict'] in ('student', 'teacher', 'unproven')
    run = json.loads((tmp_path / 'run.json').read_text())
    assert run['settings']['config']['recipe'] == recipe and run['finished'] is True
    lines = [json.loads(line) for line in next(tmp_path.glob('*/vis_data/scalars.json')).read_text().splitlines()]
    names = {name for line in lines for name in line if name.startswith('loss_')}
    assert names == {f'loss_{name}' for name in LOSSES[recipe]}
    before, after = (load_checkpoint_file(tmp_path / name)['state_dict'] for name in ('teacher.pth', 'iter_2.pth'))
    assert any(not torch.equal(value, after[f'estimator.{key}']) for key, value in before.items())
    # the same command again says what came of it; another recipe is another run
    assert status_of(*command(video, tmp_path, recipe)) == 0
    assert 'this run is finished already' in capsys.readouterr().out
    other = 'cycle' if recipe == 'warp' else 'warp'
    assert f'recipe was {recipe}, is {other}' in error_of(capsys, *command(video, tmp_path, other)).replace("'", '')


@pytest.mark.parametrize('options', [(), ('--labelled', 'rendered')])
def test_the_command_learns_from_labels_and_frames(options, video, tmp_path, capsys):
    tiny = [value.replace('custom_hooks.0', 'custom_hooks.1') for value in TINY]
    asked = ('refine', video, '--model', 'demo', '--checkpoint', DEMO_WEIGHTS, '--out', tmp_path, *options, *tiny)
    assert status_of(*asked) == 0, capsys.readouterr().err
    assert 'to label' in capsys.readouterr().out and (tmp_path / 'labels').exists()
    assert json.loads((tmp_path / 'run.json').read_text())['settings']['config']['recipe'] == 'labels+warp'
    lines = [json.loads(line) for line in next(tmp_path.glob('*/vis_data/scalars.json')).read_text().splitlines()]
    names = {name for line in lines for name in line if name.startswith('loss_')}
    assert {'loss_masked_sequence', 'loss_photometric', 'loss_smoothness'} <= names
    made = json.loads((tmp_path / 'report.json').read_text())['settings']
    assert made['recipe'] == 'labels+warp' and [loss['type'] for loss in made['losses']] == [
        'MaskedSequenceLoss', 'PhotometricLoss', 'SmoothnessLoss']
    assert 'by the recipe <code>labels+warp</code>' in (tmp_path / 'report.html').read_text()
    # labels alone are another run
    assert 'recipe was labels+warp, is None' in error_of(capsys, *asked, '--recipe', 'labels').replace("'", '')


def test_what_belongs_to_labels_is_refused(video, tmp_path, capsys):
    assert 'there is no PseudoLabelHook in custom_hooks' in error_of(
        capsys, *command(video, tmp_path, 'warp', '--rounds', '2'))
    assert f'recipe=warp has losses without labels, and labelled={tmp_path} brings ground truth' in error_of(
        capsys, *command(video, tmp_path, 'warp', '--labelled', tmp_path))
    assert 'recipe=cycle is for flow networks' in error_of(
        capsys, 'refine', video, '--model', 'pips_demo', '--recipe', 'cycle')


@pytest.mark.parametrize('recipe, pairs', [('labels', 4), ('labels+warp', 2), ('cycle', 2)])
def test_quick_draws_as_many_directed_pairs_as_with_labels(recipe, pairs):
    args = build_parser().parse_args(['refine', 'my.mp4', '--model', 'raft_official', '--recipe', recipe, '--quick'])
    assert refine.values(args)['batch_size'] == pairs
