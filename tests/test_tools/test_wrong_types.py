"""Values of another type than a key takes: one line that names the key, the value and what it must be,
before anything is built.
"""
from __future__ import annotations

import numpy as np
import pytest
from small_trees import ROOT, SIZE, TINY_VIDEO, status_of

from mmrefine.config.load import load_config
from mmrefine.errors import ConfigError
from mmrefine.fileio.images import write_image

SMALL_VIDEO = ROOT / 'configs/refine/raft_small_video.py'
WITH_MASK = ROOT / 'configs/refine/raft_small_video_mask.py'


@pytest.fixture
def failed(tmp_path, capsys):
    """Run stage 1 alone, which must fail without a trace; its sentence, less the name of the config."""

    def run(config, *options):
        assert status_of('make_labels', config, '--work-dir', tmp_path / 'out', '--cfg-options', f'video={tmp_path}',
                         *options) == 1
        stderr = capsys.readouterr().err
        assert stderr.startswith('error: ') and len(stderr.splitlines()) == 1 and not (tmp_path / 'out').exists()
        return stderr[len('error: '):-1].replace(f'{config}: ', '')

    return run


@pytest.mark.parametrize('option, sentence', [
    ('labeler.floor=abc', "labeler.floor must be a number, such as 0.0, got 'abc'"),
    ('labeler.min_kept=None', 'labeler.min_kept must be a number, such as 0.0, got None'),
    ('labeler.view.scales=2', 'labeler.view.scales must be a list of numbers, such as (1.0, 2.0), got 2'),
    ('labeler.view.scales=a,b', "labeler.view.scales must be a list of numbers, such as (1.0, 2.0), got ['a', 'b']"),
    ('labeler.view.warm_start=no', "labeler.view.warm_start must be True or False, got 'no'"),
    ('labeler.view=None', 'labeler.view must be a dict, got None'),
    ('labeler.balance.half=x', "labeler.balance.half must be a number, such as 1.0, got 'x'"),
    ('labeler.balance=Novelty', "labeler.balance must be a dict or None, got 'Novelty'"),
    ('labeler.filters=5', 'labeler.filters must be a list of dicts, got 5'),
    ('labeler.filters=[5]', 'labeler.filters must be a list of dicts, got [5]'),
    ('labeler=5', 'labeler must be a dict, got 5'),
    ('custom_hooks.0.min_kept=abc', "custom_hooks.0.min_kept must be a number, such as 0.001, got 'abc'"),
    ('custom_hooks.0.store=5', "custom_hooks.0.store must be a string, such as 'labels', got 5"),
    ('custom_hooks.0.batch_size=1.5', 'custom_hooks.0.batch_size must be a whole number, such as 1, got 1.5'),
    ('custom_hooks.1.steps=x',
     "custom_hooks.1.steps must be a list of numbers, such as (0.25, 0.5, 0.75, 1.0), got 'x'"),
    ('custom_hooks=5', 'custom_hooks must be a list of dicts or None, got 5'),
    ('optim_wrapper.optimizer.lr=fast', "optim_wrapper.optimizer.lr must be a number, such as 0.001, got 'fast'"),
    ('held_out=x', "held_out must be a number, such as 0.0, got 'x'"),
    ('label_data=5', 'label_data must be a dict, got 5'),
    ('video=5', 'video must be a string or a list of strings, got 5'),
    ('load_from=5', 'load_from must be a string or None, got 5'),
    ('max_iters=x', "max_iters must be a number, got 'x'"),
    ('batch_size=x', "batch_size must be a whole number or None, such as 1, got 'x'"),
    ('num_workers=1.5', 'num_workers must be a whole number, such as 0, got 1.5'),
    ('randomness.seed=x', "randomness.seed must be a whole number or None, got 'x'"),
    ('resume=maybe', "resume must be True or False, got 'maybe'"),
])
def test_a_value_of_another_type(failed, option, sentence):
    assert failed(SMALL_VIDEO, option) == sentence


@pytest.mark.parametrize('option, sentence', [
    ('param_scheduler.eta_max=-1', 'param_scheduler.eta_max must be finite and not negative, got -1'),
    ('optim_wrapper.optimizer.lr=-1', 'optim_wrapper.optimizer.lr must be finite and not negative, got -1'),
    ('optim_wrapper.optimizer.lr=nan', 'optim_wrapper.optimizer.lr must be finite and not negative, got nan'),
    ('optim_wrapper.clip_grad.max_norm=-5', 'optim_wrapper.clip_grad.max_norm must be finite and above 0, got -5'),
    ('param_scheduler.pct_start=1.5', 'param_scheduler.pct_start must lie in [0, 1], got 1.5'),
    ('default_hooks.checkpoint.interval=0',
     'default_hooks.checkpoint.interval must lie in [1, 2147483647], got 0 (-1: off)'),
    ('default_hooks.logger.interval=0', 'default_hooks.logger.interval must lie in [1, 2147483647], got 0'),
    (f'max_iters={10**30}', f'max_iters must lie in [1, 2147483647], got {10**30}'),
    ('max_iters=inf', 'max_iters must lie in [1, 2147483647], got inf'),
    ('max_iters=0', 'max_iters must lie in [1, 2147483647], got 0'),
    (f'batch_size={10**30}', f'batch_size must lie in [1, 2147483647], got {10**30}'),
    ('num_workers=-1', 'num_workers must lie in [0, 1024], got -1'),
    ('randomness.seed=-5', 'randomness.seed must lie in [0, 4294967295], got -5'),
])
def test_a_number_that_libraries_would_take_and_that_means_nothing(failed, option, sentence):
    assert failed(SMALL_VIDEO, option) == sentence


def test_a_checkpoint_interval_of_minus_one_switches_it_off(tmp_path):
    found = load_config(SMALL_VIDEO, {'default_hooks.checkpoint.interval': -1, 'optim_wrapper.optimizer.lr': 0})
    assert found.default_hooks.checkpoint.interval == -1


def test_a_value_of_another_type_in_a_list_of_parts_and_all_at_once(failed):
    found = failed(WITH_MASK, 'labeler.filters.0.alpha=a', 'labeler.filters.0.form=5', 'custom_hooks.0.nothing=1',
                   'held_out=x')
    assert sorted(found.split('; ')) == [
        "custom_hooks.0: PseudoLabelHook has no key 'nothing'",
        "held_out must be a number, such as 0.0, got 'x'",
        'it has dataset, labeler, store, batch_size, relabel, min_kept, calibrate, teacher_dtype, teacher, '
        'labels',
        "labeler.filters.0.alpha must be a number, such as 0.002, got 'a'",
        "labeler.filters.0.form must be a string, such as 'norm', got 5",
    ]


@pytest.mark.parametrize('option', [
    "labeler.filters=[dict(type='CycleFilter',alpha='a')]", "labeler.filters=[dict(type='CycleFilter')]",
    "labeler.view=dict(type='A')", 'labeler.view.scales=[1,2', 'labeler.view.scales=(1,(2)'
])
def test_what_the_command_line_has_no_syntax_for(failed, option):
    assert failed(SMALL_VIDEO, 'max_iters=3', option) == (
        f'--cfg-options {option}: the value cannot be read; write a list as [1,2] or (1,2), all brackets closed, '
        'and a dict into a config '
        "file of your own, which begins with _base_ = '<this config>'")


def test_an_option_without_a_value(failed):
    assert failed(SMALL_VIDEO, 'max_iters') == '--cfg-options max_iters: it must be KEY=VALUE, such as max_iters=300'


@pytest.mark.parametrize('config, option, where, value', [
    (WITH_MASK, 'labeler.balance.type=SpeedQuota', 'labeler.balance', 'None'),
    (SMALL_VIDEO, 'labeler.view.scales.0=2', 'labeler.view.scales', '(1.0, 2.0)'),
    (WITH_MASK, 'labeler.filters.0=5', 'labeler.filters.0', "{'type': 'CycleFilter', 'alpha': 0.01, 'beta': 0.5}"),
])
def test_what_has_no_values_to_replace_one_by_one(failed, config, option, where, value):
    assert failed(config, option) == (
        f'--cfg-options {option.partition("=")[0]}: {where} is {value}, and only values of a dict can be replaced '
        f'one by one; give {where} '
        f"as a whole, a dict in a config file of your own, which begins with _base_ = '{config}'")


def test_a_value_that_only_the_constructor_refuses(tmp_path, capsys, weights):
    for seed in (1, 2):
        write_image(tmp_path / 'v' / f'{seed}.png',
                    np.random.default_rng(seed).integers(0, 255, (*SIZE, 3), dtype=np.uint8))
    status = status_of('make_labels', SMALL_VIDEO, '--work-dir', tmp_path / 'out', '--cfg-options',
                       f'video={tmp_path / "v"}', *TINY_VIDEO, f'load_from={weights["small"]}', 'labeler.type=5')
    stderr = capsys.readouterr().err
    told = stderr.splitlines()[-1]
    assert (status == 1 and told == 'error: there is no labeler 5; there are FlowLabeler, TrackLabeler'
            and 'Traceback' not in stderr)


def test_what_a_reference_leads_to_is_judged_where_it_was_written(tmp_path):
    config = tmp_path / 'mine.py'
    config.write_text(f"_base_ = '{SMALL_VIDEO}'\n"
                      "least = 'abc'\n"
                      "again = '{least}'\n"
                      "round = '{around}'\n"
                      "around = '{round}'\n"
                      "labeler = dict(min_kept='{again}', floor='{round}', view=dict(scales=[1., '{least}']))\n")
    with pytest.raises(ConfigError) as refused:
        load_config(config)
    assert str(refused.value) == f"{config}: least must be a number, such as 0.0, got 'abc'"
