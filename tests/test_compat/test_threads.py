"""Threads, how they wait, and processes that load data follow the machine; the user's variables take precedence."""
from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from mmengine.runner import Runner
from small_runs import small_config

from mmrefine.apis.run_threads import run_threads
from mmrefine.apis.runs import make_labels, train
from mmrefine.compat import threads as module
from mmrefine.compat.cgroups import cpu_quota
from mmrefine.compat.threads import choose_threads, plan_threads, usable_cores
from mmrefine.config.load import complete, load_config
from mmrefine.engine import PseudoLabelHook
from mmrefine.errors import ConfigError, InputError

ROOT = Path(__file__).resolve().parents[2]
VARIABLES = ('OMP_NUM_THREADS', 'GOMP_SPINCOUNT', 'OMP_WAIT_POLICY', 'LOCAL_WORLD_SIZE', 'TORCHELASTIC_RUN_ID')


@pytest.fixture(autouse=True)
def own_environment(monkeypatch):
    """No variable is set, and what a test sets is undone."""
    for key in VARIABLES:
        monkeypatch.delenv(key, raising=False)
    monkeypatch.setattr(module, '_ours', {})
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def machine(monkeypatch, cores, quota=None):
    monkeypatch.setattr(module, 'usable_cores', lambda: cores)
    monkeypatch.setattr(module, 'cpu_quota', lambda: quota)


def tree(root, files):
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


V1 = 'cpu.cfs_quota_us', 'cpu.cfs_period_us'


@pytest.mark.parametrize('groups, files, wanted', [
    ('0::/', {'cpu.max': 'max 100000\n'}, None),
    ('0::/', {}, None),                                                    # the root has no such file
    ('0::/a', {'a/cpu.max': '150000 100000\n'}, 1.5),
    ('0::/a/b', {'a/b/cpu.max': '400000 100000', 'a/cpu.max': '100000 50000'}, 2.),  # that of the group above
    ('0::/a/b', {'a/b/cpu.max': 'max 100000', 'a/cpu.max': 'max 100000'}, None),
    ('0::/host/path', {'cpu.max': '300000 100000'}, 3.),                   # seen from within a container
    ('4:cpu,cpuacct:/a', {f'cpu,cpuacct/a/{V1[0]}': '150000\n', f'cpu,cpuacct/a/{V1[1]}': '100000\n'}, 1.5),
    ('4:cpuacct,cpu:/a/b\n0::/', {f'cpu/a/b/{V1[0]}': '-1', f'cpu/a/b/{V1[1]}': '100000',
                                  f'cpu/a/{V1[0]}': '25000', f'cpu/a/{V1[1]}': '50000'}, .5),
    ('4:cpu:/', {f'cpu/{V1[0]}': '-1\n', f'cpu/{V1[1]}': '100000\n'}, None),
    ('4:memory:/', {f'memory/{V1[0]}': '100000', f'memory/{V1[1]}': '100000'}, None),
    ('0::/a', {'a/cpu.max': '² 100000'}, None),                            # whatever that is
    ('0::/a\0b', {'cpu.max': '100000 100000'}, 1.),                        # a name that no folder has
    (None, {}, None),                                                      # no Linux
])
def test_the_cpu_quota_is_the_least_above_the_process(tmp_path, groups, files, wanted):
    proc = tree(tmp_path / 'proc', {} if groups is None else {'self/cgroup': groups + '\n'})
    assert cpu_quota(proc, tree(tmp_path / 'cgroup', files)) == wanted


@pytest.mark.skipif(not hasattr(os, 'sched_getaffinity'), reason='this system has no affinity')
@pytest.mark.parametrize('allowed, wanted', [({0, 1, 2, 3}, 2), ({0, 2}, 1), ({1, 2}, 2), ({0, 7}, 2)])
def test_cores_are_physical_ones_that_the_process_may_run_on(tmp_path, monkeypatch, allowed, wanted):
    """Processors 0 and 2 are one core, 1 and 3 the other; of 7 nothing is known, so all that are allowed count."""
    monkeypatch.setattr(os, 'sched_getaffinity', lambda pid: allowed)
    cpus = tree(tmp_path, {f'cpu{i}/topology/thread_siblings_list': f'{i % 2},{i % 2 + 2}\n' for i in range(4)})
    assert usable_cores(cpus) == wanted


@pytest.mark.parametrize('cores, quota, processes, count, loaders', [
    (1, None, 1, 1, 0), (2, None, 1, 2, 1), (4, None, 1, 4, 3), (64, None, 1, 64, 4),
    (64, 1.5, 1, 1, 0), (64, .5, 1, 1, 0), (64, 3., 1, 3, 2), (2, 8., 1, 2, 1),
    (8, None, 2, 4, 3), (8, 6.5, 4, 1, 0), (2, None, 8, 1, 0),
])
def test_threads_follow_cores_quota_and_processes(monkeypatch, cores, quota, processes, count, loaders):
    machine(monkeypatch, cores, quota)
    monkeypatch.setenv('LOCAL_WORLD_SIZE', str(processes))
    plan = plan_threads()
    assert (plan.count, plan.loaders, plan.by_user) == (count, loaders, False)


def test_the_line_for_the_log_names_what_was_found(monkeypatch):
    machine(monkeypatch, 2)
    monkeypatch.delitem(sys.modules, 'torch')
    assert str(plan_threads()) == '2 threads (2 cores usable, no CPU quota); they wait with GOMP_SPINCOUNT=10000'
    machine(monkeypatch, 8, 4.5)
    monkeypatch.setenv('LOCAL_WORLD_SIZE', '4')
    monkeypatch.setenv('OMP_WAIT_POLICY', 'passive')
    assert str(plan_threads()) == ('1 thread (8 cores usable, CPU quota of 4.5, shared by 4 processes); '
                                   'OMP_WAIT_POLICY=passive is set')


def variables_after(**given):
    """What a new process has after it has chosen."""
    code = ('import os, sys, json; from mmrefine.compat.threads import choose_threads as choose\n'
            'first, second = choose(), choose()\n'
            "heavy = sorted({'torch', 'numpy', 'cv2', 'mmengine'} & set(sys.modules))\n"
            f'print(json.dumps([first == second, first.count, heavy, [os.environ.get(k) for k in {VARIABLES[:3]}]]))')
    env = {key: value for key, value in os.environ.items() if key not in VARIABLES}
    done = subprocess.run([sys.executable, '-c', code], env={**env, **given, 'PYTHONPATH': str(ROOT)}, text=True,
                          capture_output=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_it_loads_nothing_heavy_sets_the_variables_and_may_be_called_twice():
    same, count, heavy, variables = variables_after()
    assert same and not heavy and variables == [str(count), '10000', None]


@pytest.mark.parametrize('given, variables', [
    (dict(OMP_NUM_THREADS='7'), ['7', '10000', None]),
    (dict(OMP_NUM_THREADS='7,2', GOMP_SPINCOUNT='5'), ['7,2', '5', None]),
    (dict(OMP_NUM_THREADS='7', OMP_WAIT_POLICY='passive'), ['7', None, 'passive']),
])
def test_variables_of_the_user_stay(given, variables):
    same, count, _, after = variables_after(**given)
    assert same and (count, after) == (7, variables)


@pytest.mark.parametrize('value', ['', '0', '-1', 'abc', '1e3', '2;3', '99999999999999999999'])
def test_a_number_that_libgomp_refuses_counts_as_unset(value):
    _, count, _, after = variables_after(OMP_NUM_THREADS=value)
    assert after[0] == str(count) and variables_after()[3] == after


def test_once_torch_is_loaded_only_the_number_is_set(monkeypatch):
    machine(monkeypatch, 3)
    chosen = choose_threads()
    assert torch.get_num_threads() == chosen.count == 3
    assert 'torch was loaded before' in str(chosen)
    assert not {'OMP_NUM_THREADS', 'GOMP_SPINCOUNT'} & set(os.environ)


@pytest.mark.parametrize('launcher, count', [
    (b'HOME=/\0PATH=/bin\0', 4), (b'HOME=/\0OMP_NUM_THREADS=1\0', 1), (None, 1),
])
def test_the_one_thread_that_torchrun_sets_is_not_the_users(tmp_path, monkeypatch, launcher, count):
    machine(monkeypatch, 8)
    for key, value in dict(LOCAL_WORLD_SIZE='2', TORCHELASTIC_RUN_ID='none', OMP_NUM_THREADS='1').items():
        monkeypatch.setenv(key, value)
    if launcher is not None:
        (tmp_path / str(os.getppid())).mkdir()
        (tmp_path / str(os.getppid()) / 'environ').write_bytes(launcher)
    monkeypatch.setattr(module, 'PROC', tmp_path)
    assert plan_threads().count == count


def test_every_tool_chooses_before_it_imports_anything_heavy():
    for path in sorted(ROOT.glob('tools/*.py')):
        heavy = [node.lineno for node in ast.parse(path.read_text(encoding='utf-8')).body
                 if isinstance(node, (ast.Import, ast.ImportFrom))
                 and (getattr(node, 'module', None) or node.names[0].name).split('.')[0] not in sys.stdlib_module_names
                 and getattr(node, 'module', None) != 'mmrefine.compat.threads']
        calls = [number for number, line in enumerate(path.read_text(encoding='utf-8').splitlines(), 1)
                 if line.startswith('    choose_threads()')]
        assert len(calls) == 1 and all(calls[0] < number for number in heavy), path


def test_importing_the_library_chooses_nothing():
    env = {key: value for key, value in os.environ.items() if key not in VARIABLES}
    done = subprocess.run([sys.executable, '-c', 'import os, mmrefine; print(os.environ.get("GOMP_SPINCOUNT"), '
                                                 'os.environ.get("OMP_NUM_THREADS"))'],
                          env={**env, 'PYTHONPATH': str(ROOT)}, text=True, capture_output=True, timeout=60)
    assert done.stdout == 'None None\n', done.stderr


def test_auto_is_the_number_of_processes_that_load_data_and_a_number_stays(monkeypatch):
    machine(monkeypatch, 3)
    config = ROOT / 'configs/refine/raft_small_video.py'
    values = dict(video='my.mp4', load_from='raft.pth')
    assert complete(load_config(config, values)).train_dataloader.num_workers == 2
    assert complete(load_config(config, {**values, 'num_workers': 7})).train_dataloader.num_workers == 7
    with pytest.raises(ConfigError, match="num_workers must be a whole number, such as 0, got 'many'"):
        complete(load_config(config, {**values, 'num_workers': 'many'}))


def during(work_dir, go_on):
    """The number of threads in a run, and what it logged."""
    lines = []
    logger = SimpleNamespace(info=lambda text: lines.append(('info', text)),
                             warning=lambda text: lines.append(('warning', text)))
    with run_threads(SimpleNamespace(work_dir=str(work_dir), logger=logger), go_on):
        return torch.get_num_threads(), lines


def test_a_resumed_run_takes_the_number_that_it_began_with(tmp_path, monkeypatch):
    machine(monkeypatch, 3)
    torch.set_num_threads(3)
    assert during(tmp_path, go_on=True)[0] == 3          # nothing is there yet
    torch.set_num_threads(1)                             # on a smaller machine
    machine(monkeypatch, 1)
    count, lines = during(tmp_path, go_on=True)
    assert count == 3 and [kind for kind, _ in lines] == ['info']
    assert lines[0][1].startswith('Threads: this run computes with 3; chosen for this machine: 1 thread (1 core usable')
    assert torch.get_num_threads() == 1                  # as before the run
    assert during(tmp_path, go_on=False)[0] == 1         # another run in that folder
    assert json.loads((tmp_path / 'threads.json').read_text()) == dict(threads=1)


def test_the_users_number_goes_before_that_of_the_run_with_one_warning(tmp_path, monkeypatch):
    torch.set_num_threads(2)
    during(tmp_path, go_on=False)
    monkeypatch.setenv('OMP_NUM_THREADS', '1')
    torch.set_num_threads(1)
    count, lines = during(tmp_path, go_on=True)
    assert count == 1 and [kind for kind, _ in lines] == ['warning', 'info']
    assert lines[0][1].startswith('This run began with 2 threads and goes on with 1, since OMP_NUM_THREADS is set')
    assert [kind for kind, _ in during(tmp_path, go_on=True)[1]] == ['info']  # once


def test_a_damaged_record_is_named(tmp_path):
    (tmp_path / 'threads.json').write_text('{"threads": "many"}')
    with pytest.raises(InputError, match=r"threads\.json: threads must be a whole number, at least 1, got 'many'"):
        during(tmp_path, go_on=True)
    (tmp_path / 'threads.json').write_text('2, ')
    with pytest.raises(InputError, match=r'threads\.json: is not valid JSON'):
        during(tmp_path, go_on=True)


def test_labels_and_training_compute_with_the_number_of_the_run(material, tmp_path, monkeypatch):
    found = []
    monkeypatch.setattr(Runner, 'train', lambda self: found.append(torch.get_num_threads()))
    monkeypatch.setattr(PseudoLabelHook, 'label', lambda *args: found.append(torch.get_num_threads()))
    torch.set_num_threads(3)
    make_labels(small_config(material, tmp_path))
    torch.set_num_threads(1)
    make_labels(small_config(material, tmp_path))             # goes on with labels that are half made
    train(small_config(material, tmp_path, resume=True))
    train(small_config(material, tmp_path))                   # begins anew
    assert found == [3, 3, 3, 1] and torch.get_num_threads() == 1
