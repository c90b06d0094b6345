"""``benchmarks/time_to_refined.py``: phases end with files, rows are what they are called, an old revision is unpacked.
"""
from __future__ import annotations

import argparse
import importlib
import json
import os
import subprocess
import sys
import time

import numpy as np
import psutil
import pytest
import torch
from small_trees import ROOT

from mmrefine.apis.named_models import load_named
from mmrefine.config.load import complete, override
from mmrefine.errors import ConfigError, MMRefineError
from mmrefine.registry import LABELERS
from mmrefine.structures import LookRequest, PairBatch


@pytest.fixture(scope='module')
def modules():
    """The benchmark, and the part of it that runs and times a process."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / 'benchmarks'))
        yield importlib.import_module('time_to_refined'), importlib.import_module('timed_run')
    for name in ('time_to_refined', 'timed_run'):
        sys.modules.pop(name, None)


@pytest.fixture
def finished(tmp_path, modules):
    """The folder of a run that began at 100 s, put its files in place at these seconds, and ended at 160 s; it computed
    half of the time until 120 s, and all of it from then on."""
    files = {'labels/fingerprint.json': 104, 'teacher.pth': 110, 'iter_20.pth': 125, 'iter_100.pth': 130,
             'refined.pth': 142, 'report.json': 155, 'student.pth': 141}
    for name, seconds in files.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b'')
        os.utime(path, (seconds, seconds))
    samples = np.array([[100., 0.], [120., 10.], [160., 50.]])
    return tmp_path, modules[1].TimedRun(100., 160., samples, memory=0)


def test_a_phase_lasts_from_file_to_file_and_together_they_are_the_whole_run(finished, modules):
    found = modules[1].phases(*finished)
    assert {name: (one['seconds'], one['cpu']) for name, one in found.items()} == dict(
        start=(4., 2.), labels=(6., 3.), training=(20., 15.), guard=(12., 12.), report=(13., 13.), end=(5., 5.),
        whole=(60., 50.))


def test_networks_on_the_way_come_in_the_order_of_their_steps(finished, modules):
    found = modules[1].checkpoints(*finished)
    assert [(one['iter'], one['seconds'], one['cpu']) for one in found] == [(20, 25., 15.), (100, 30., 20.)]
    assert [one['path'].name for one in found] == ['iter_20.pth', 'iter_100.pth']


def test_a_run_that_learned_nothing_is_named_by_the_phase_that_is_missing(finished, modules):
    for step in (20, 100):
        (finished[0] / f'iter_{step}.pth').unlink()
    with pytest.raises(MMRefineError, match=r"has no iter_\*.pth, with which the phase 'training' of a run ends"):
        modules[1].phases(*finished)


def test_computing_of_a_process_and_its_child_is_counted(modules):
    spin = 'import time\nwhile time.process_time() < 1: pass\n'
    waits = f'{spin}time.sleep(600)'  # so that both are there to be looked at, however busy the machine is
    child = f'import subprocess, sys\nsubprocess.Popen([sys.executable, "-c", {waits!r}])\n{waits}'
    spent, process = {}, psutil.Popen([sys.executable, '-c', child])
    try:
        until = time.monotonic() + 120
        while sum(spent.values()) < 1.9 and time.monotonic() < until:
            assert modules[1]._look(process, spent) > 0
            time.sleep(.05)
        assert len(spent) == 2 and 1.9 <= sum(spent.values()) < 3.5
    finally:
        for one in (*process.children(), process):
            one.kill()
        process.wait()


def test_samples_of_a_run_begin_and_end_with_it(tmp_path, modules):
    command = [sys.executable, '-c', 'pass']
    run = modules[1].watch(command, tmp_path, dict(os.environ), tmp_path / 'log.txt')
    assert (np.diff(run.samples, axis=0) >= 0).all()
    assert run.samples[0].tolist() == [run.began, 0.] and run.samples[-1, 0] == run.ended


def test_a_run_that_fails_is_an_error_with_its_last_line(tmp_path, modules):
    failing = [sys.executable, '-c', 'print("first"); raise SystemExit("no such video")']
    with pytest.raises(MMRefineError, match='status 1: no such video .all of it: .*log.txt'):
        modules[1].watch(failing, tmp_path, dict(os.environ), tmp_path / 'log.txt')


def test_an_earlier_revision_is_unpacked_as_it_was(tmp_path, modules):
    repository, ours = tmp_path / 'repository', dict(GIT_CONFIG_GLOBAL=os.devnull, GIT_CONFIG_SYSTEM=os.devnull)

    def git(*arguments):
        who = ['-c', 'user.name=a', '-c', 'user.email=a@example.org', '-C', str(repository)]
        subprocess.run(['git', *who, *arguments], check=True, capture_output=True, env={**os.environ, **ours})

    repository.mkdir()
    git('init', '-q')
    for text in ('old', 'new'):
        (repository / 'code.py').write_text(text)
        git('add', '.')
        git('commit', '-qm', text)
    tree = modules[1].tree_of('HEAD~1', repository, tmp_path / 'trees')
    assert (tree / 'code.py').read_text() == 'old' and list((tmp_path / 'trees').iterdir()) == [tree]
    (tree / 'code.py').write_text('kept')
    assert (modules[1].tree_of('HEAD~1', repository, tmp_path / 'trees') / 'code.py').read_text() == 'kept'
    with pytest.raises(MMRefineError, match='no-such.*name a revision of this repository with --before'):
        modules[1].tree_of('no-such', repository, tmp_path / 'trees')


def test_a_process_runs_the_package_of_its_tree(tmp_path, modules):
    package = tmp_path / 'mmrefine'
    package.mkdir()
    (package / '__init__.py').write_text('')
    (package / '__main__.py').write_text('import os; print("of the tree", os.environ["OMP_NUM_THREADS"])')
    command, env = modules[1].python_of(tmp_path, {**os.environ, 'PYTHONSAFEPATH': '1'}, threads=3)
    modules[1].watch(command, tmp_path, env, tmp_path / 'log.txt')
    assert (tmp_path / 'log.txt').read_text() == 'of the tree 3\n'


def test_rows_run_forwards_then_backwards(modules):
    found = list(modules[0].turns(['a', 'b', 'c'], 3))
    assert [name for name, _ in found] == list('abccbaabc')
    assert [time for _, time in found] == [0, 0, 0, 1, 1, 1, 2, 2, 2]


def values(options):
    """The values after --set, by key."""
    return dict(text.split('=', 1) for text in options[options.index('--set') + 1:])


@pytest.mark.parametrize('row, model, steps, first, interval', [
    ('this version', 'raft_small', None, [], 200), ('quick', 'raft_small', None, ['--quick'], 40),
    ('this version', 'demo', 4, ['--steps', '4'], 1), ('40 steps', 'demo', 40, ['--steps', '40'], 8)])
def test_each_row_keeps_five_networks_on_the_way(modules, row, model, steps, first, interval):
    job = dict(row=row, model=model, steps=steps, recipe=None, seed=126, values=['crop_size=(64,96)'])
    options = modules[0].options_of(job)
    assert options[:options.index('--set')] == first
    assert values(options) == {
        'randomness.seed': '126', 'default_hooks.checkpoint.interval': str(interval),
        'default_hooks.checkpoint.max_keep_ckpts': '-1', 'crop_size': '(64,96)'}


def test_a_recipe_is_for_all_rows_that_may_have_one(modules):
    found = {row: modules[0].options_of(dict(row=row, model='demo', steps=None, recipe='warp', seed=125, values=[]))
             for row in modules[0].ROWS}
    asked = {row: options[options.index('--recipe') + 1] if '--recipe' in options else None
             for row, options in found.items()}
    assert asked == {'this version': 'warp', 'quick': 'warp', 'verified': 'warp', 'plain 1x': 'labels',
                     'version before': None}


class Flowing:
    """A teacher to which nothing moves; it notes the sizes that it is asked about."""
    accepts_flow_init = True

    def __init__(self):
        self.sizes = []

    def estimate(self, frames1, frames2, flow_init=None):
        self.sizes.append(tuple(frames1.shape[-2:]))
        return [torch.zeros(len(frames1), 2, *frames1.shape[-2:])]


def test_plain_self_training_asks_at_one_size_and_weighs_all_pixels_alike(modules):
    found = values(modules[0].options_of(dict(row='plain 1x', model='demo', steps=None, recipe=None, seed=125,
                                              values=[])))
    assert found.pop('labeler.balance') == 'None' and found.pop('labeler.view.scales') == '(1.,)'
    cfg = complete(override(load_named('demo'), {'video': 'v.mp4', 'labeler.balance': None,
                                                 'labeler.view.scales': (1., )}))
    labeler, teacher = LABELERS.build(cfg.labeler), Flowing()
    frames = torch.rand(1, 3, 64, 96, generator=torch.Generator().manual_seed(0))
    batch = PairBatch(frames, frames)
    labeler.view.look(teacher, batch, LookRequest())
    assert set(teacher.sizes) == {(64, 96)}
    assert labeler.label_pairs(teacher, batch)[0].forward.weight.unique().tolist() == [1.]


def test_a_budget_takes_the_command_of_the_row_that_is_named(modules):
    benchmark = modules[0]
    for row, name, own in (('this version', '300 steps', []), ('verified', 'verified, 300 steps', ['--verify'])):
        args = argparse.Namespace(rows=[], budgets=[300], budgets_of=row, steps=None)
        assert benchmark.row_names(args) == [name] and benchmark.steps_of(args, name) == 300
        found = benchmark.options_of(dict(row=name, model='demo', steps=300, recipe=None, seed=125, values=[]))
        assert found[:found.index('--set')] == [*own, '--steps', '300']


def test_a_row_is_run_again_only_if_its_job_or_its_code_has_changed(modules, monkeypatch, tmp_path, capsys):
    benchmark, ran = modules[0], []
    one = dict(seconds=2., cpu=1.)
    point = dict(iter=0, EPE=2., EPE_unseen=2., **one)

    def run_row(args, job):
        ran.append((job['row'], job['seed']))
        return dict(phases={name: one for name in benchmark.PHASES}, curve=[point],
                    handed_back=dict(point, EPE=1., kept_original=False))

    monkeypatch.setattr(benchmark, 'run_row', run_row)
    options = ['--out', str(tmp_path / 'r.json'), '--rows', 'this version', 'plain 1x', '--times']
    benchmark.main([*options, '1'])
    assert ran == [('this version', 125), ('plain 1x', 125)]
    benchmark.main([*options, '2'])
    assert ran[2:] == [('plain 1x', 126), ('this version', 126)]
    wanted = '| plain 1x | 2 | 2 | 2 | 2 | 2 | 2 | 2 | 2 | - | 2.000 → 1.000, -50.0 % | 2.000 → 2.000, +0.0 % |'
    assert wanted in capsys.readouterr().out
    rows = json.loads((tmp_path / 'r.json').read_text())
    rows[0]['job']['code'] = 'other'
    (tmp_path / 'r.json').write_text(json.dumps(rows))
    benchmark.main([*options, '2'])
    assert ran[4:] == [('this version', 125)]


@pytest.mark.parametrize('options, message', [
    (['--times', '0'], '--times must be a whole number, at least 1, got 0'),
    (['--budgets', '0', '5'], '--budgets must be whole numbers, at least 1, got 0 5'),
    (['--steps', '0'], '--steps must be whole numbers, at least 1, got 0')])
def test_options_that_cannot_be_right_are_refused(modules, options, message):
    with pytest.raises(ConfigError, match=message):
        modules[0].main(options)


def test_the_code_of_a_row_is_that_of_its_tree(modules, monkeypatch, tmp_path):
    for name in ('before', 'now'):
        (tmp_path / name / 'mmrefine').mkdir(parents=True)
        (tmp_path / name / 'mmrefine' / 'a.py').write_text(name)
    monkeypatch.setattr(modules[0], 'ROOT', tmp_path / 'now')
    monkeypatch.setattr(modules[0], 'tree_of', lambda revision, repository, folder: tmp_path / 'before')
    args = argparse.Namespace(size=(64, 96), frames=3, look='target', unseen=1, model='demo', steps=None, recipe=None,
                              values=[], threads=1, checkpoint=None, before='HEAD', work_dir=tmp_path)
    codes = {name: modules[0].job_of(args, name, 0)['code'] for name in modules[0].ROWS}
    assert codes['version before'] != codes['this version'] == codes['quick'] == codes['plain 1x']
    (tmp_path / 'now' / 'mmrefine' / 'a.py').write_text('before')
    assert modules[0].job_of(args, 'this version', 0)['code'] == codes['version before']
