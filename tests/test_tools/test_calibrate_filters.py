"""Thresholds from the command line."""
import json

import pytest
from small_trees import ROOT, TINY, status_of

from mmrefine.config.load import fill_in, load_config

CONFIG = ROOT / 'configs/refine/raft_small_video_mask.py'
# whatever random weights say shall count
FEW = ['--frames', 2, '--warps', 1, '--precision', 0.5, '--device', 'cpu']


@pytest.fixture
def options(trees):
    return ['--cfg-options', f'video={trees["frames"]}', *TINY]


def test_it_prints_a_table_and_options_that_the_config_takes(trees, weights, options, tmp_path, capsys):
    assert status_of('calibrate_filters', CONFIG, weights['small'], '--work-dir', tmp_path, *FEW, *options) == 0
    out = capsys.readouterr().out.splitlines()
    record = json.loads((tmp_path / 'calibration.json').read_text())
    assert 'filters.0.beta' in out[0] and 'precision' in out[0] and sum(line.startswith('> ') for line in out) == 1
    assert record['note'] in out and out[-1].endswith('calibration.json')
    line = next(line for line in out if line.startswith('--cfg-options '))
    given = dict(option.split('=') for option in line.split()[1:])
    # as the next command would have it: the labeler stands at the top of this config, and the hook refers to it
    cfg = fill_in(load_config(CONFIG,
                              {'video': str(trees['frames']), **{key: float(value) for key, value in given.items()}}))
    hook = next(hook for hook in cfg.custom_hooks if hook.type == 'PseudoLabelHook')
    assert {f'filters.0.{key}': hook.labeler.filters[0][key] for key in ('beta', 'alpha')} == record['thresholds']


@pytest.mark.parametrize('wrong, story', [
    (['--precision', '1.2'], 'calibrate.precision must lie in (0, 1), got 1.2; 0.95 is a good start'),
    (['--warps', '0'], 'calibrate.warps must be a whole number, at least 1, got 0'),
    (['--frames', '1'], 'calibrate.frames must be a whole number, at least 2, got 1'),
    (['--device', 'tpu'], "device 'tpu': PyTorch knows no such device; name cpu"),
])
def test_what_cannot_be_meant_ends_in_one_line_that_names_the_key(weights, options, tmp_path, capsys, wrong, story):
    assert status_of('calibrate_filters', CONFIG, weights['small'], '--work-dir', tmp_path, *wrong, *options) == 1
    err = capsys.readouterr().err
    assert story in err and len(err.splitlines()) == 1 and not (tmp_path / 'calibration.json').exists()


def test_a_config_without_weights_or_without_a_filter_to_tune_is_refused(weights, options, tmp_path, capsys):
    assert status_of('calibrate_filters', CONFIG, '--work-dir', tmp_path, *options, 'load_from=None') == 1
    assert 'load_from is not set' in capsys.readouterr().err
    bare = [option for option in options if 'filters' not in str(option)]
    assert status_of('calibrate_filters', CONFIG, weights['small'], '--work-dir', tmp_path, *bare,
                     'labeler.filters=[]') == 1
    assert 'labeler.filters has no filter with a threshold to calibrate, got none' in capsys.readouterr().err
