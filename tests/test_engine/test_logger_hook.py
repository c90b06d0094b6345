"""When the log has a line about the training."""
from types import SimpleNamespace

import pytest

import mmrefine.engine.hooks.logger_hook as module
from mmrefine.engine import PacedLoggerHook
from mmrefine.errors import ConfigError


def logged_steps(monkeypatch, seconds, steps, **settings):
    """The steps that have a line, where each step takes so many seconds."""
    hook, lines = PacedLoggerHook(**settings), []
    now = [0.]
    monkeypatch.setattr(module.time, 'monotonic', lambda: now[0])
    runner = SimpleNamespace(
        iter=0, max_iters=steps, experiment_name='x', train_dataloader=range(10 ** 6),
        logger=SimpleNamespace(info=lines.append), visualizer=SimpleNamespace(add_scalars=lambda *args, **more: None),
        log_processor=SimpleNamespace(get_log_after_iter=lambda runner, step, mode: ({}, step)))
    hook.json_log_path = None
    for runner.iter in range(steps):
        now[0] += seconds
        hook.after_train_iter(runner, runner.iter)
    hook.after_val_iter(runner, 0)  # at once, and so within the ten seconds
    return lines


def test_a_line_every_ten_seconds_however_long_a_step_takes(monkeypatch):
    assert logged_steps(monkeypatch, 3., 20) == [0, 4, 8, 12, 16, 19]
    assert logged_steps(monkeypatch, 60., 4) == [0, 1, 2, 3]
    assert logged_steps(monkeypatch, .01, 900) == [0, 899]
    assert logged_steps(monkeypatch, 3., 8, every=6.) == [0, 2, 4, 6, 7]


def test_an_interval_in_steps_is_that_of_mmengine(monkeypatch):
    assert logged_steps(monkeypatch, 60., 9, interval=4) == [3, 7]


@pytest.mark.parametrize('settings, sentence', [
    (dict(every=-1.), 'default_hooks.logger.every must be seconds, at least 0, got -1.0'),
    (dict(every='often'), "default_hooks.logger.every must be seconds, at least 0, got 'often'"),
    (dict(interval=0), 'default_hooks.logger.interval must be .* got 0'),
])
def test_values_out_of_range_are_refused(settings, sentence):
    with pytest.raises(ConfigError, match=sentence):
        PacedLoggerHook(**settings)
