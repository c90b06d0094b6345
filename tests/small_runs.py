"""Whole runs that take a second: three tiny rendered clips, RAFT-small with two iterations, a few steps."""
from __future__ import annotations

import multiprocessing
import os
import shutil
import socket
import sys
import time
import traceback
import warnings
from pathlib import Path
from typing import Any, Callable, Dict, List, Optional

import pytest
import torch

with warnings.catch_warnings():
    # what libraries say at their import on a newer torch is not held against a test
    warnings.simplefilter('ignore')
    import mmengine.runner  # noqa: F401
    from mmengine.config import Config
    from mmengine.runner import Runner

import mmrefine.datasets  # noqa: F401
from mmrefine.engine import join_processes
from mmrefine.fileio.atomic import save_checkpoint
from mmrefine.fileio.lock import LOCK
from mmrefine.models import FlowRefiner
from mmrefine.synthetic import write_clips

ROOT = Path(__file__).resolve().parents[1]
SIZE = (64, 96)
FRAMES = 3  # a clip
PAIRS = 2 * (FRAMES - 1)  # of the two clips
KEYS = [f'target_{seed:04d}/frame_{t:04d}__frame_{t + 1:04d}' for seed in (1, 2) for t in range(1, FRAMES)]


def small_model() -> Dict[str, Any]:
    """RAFT-small as the configs have it, two iterations."""
    model = Config.fromfile(ROOT / 'configs/_base_/models/raft_small.py').model.to_dict()
    return dict(model, train_iters=2, test_iters=2)


def start_weights(path: Path, seed: int = 3) -> Path:
    """A stock checkpoint with seeded random weights."""
    torch.manual_seed(seed)
    refiner = FlowRefiner(**{k: v for k, v in small_model().items() if k != 'type'})
    save_checkpoint(path, dict(state_dict=refiner.estimator.state_dict(), meta={}))
    return path


@pytest.fixture(scope='session')
def material(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two rendered clips of three frames (frames/, flow/) and start.pth."""
    root = tmp_path_factory.mktemp('material')
    write_clips(root, seeds=(1, 2), num_frames=FRAMES, size=SIZE)
    start_weights(root / 'start.pth')
    return root


def small_config(material: Path, work_dir: Path, max_iters: int = 4, rounds: int = 1, relabel: str = 'once',
                 workers: int = 0, interval: int = 100, report: bool = False, **more: Any) -> Config:
    """The config of a whole run; ``more`` replaces top-level keys."""
    cfg = Config.fromfile(ROOT / 'configs/_base_/default_runtime.py')
    data = dict(type='FramePairs', data_root=str(material / 'frames'))
    train_pipeline = [dict(type='LoadLabel'), dict(type='RandomCrop', size=SIZE), dict(type='RandomFlip'),
                      dict(type='ColorJitter', brightness=0.2), dict(type='PackPair')]
    hooks: List[Dict[str, Any]] = [
        dict(
            type='PseudoLabelHook',
            dataset=dict(data),
            batch_size=2,
            relabel=relabel,
            labeler=dict(
                type='FlowLabeler',
                view=dict(type='CascadeView', scales=(1., )),
                filters=[dict(type='CycleFilter', alpha=0.5, beta=2.)]))
    ]
    if report:
        judged = dict(data, truth_root=str(material / 'flow'), pipeline=[dict(type='LoadTruth'), dict(type='PackPair')])
        no_truth = dict(data, scenes='target_0002', pipeline=[dict(type='PackPair')])
        hooks.append(dict(type='ReportHook', groups=dict(refined=judged, unseen=no_truth), pictures=2))
    cfg.merge_from_dict(dict(
        work_dir=str(work_dir),
        load_from=str(material / 'start.pth'),
        model=small_model(),
        train_dataloader=dict(
            batch_size=2,
            num_workers=workers,
            persistent_workers=workers > 0,
            sampler=dict(type='DrawSampler', shuffle=True),
            dataset=dict(data, pipeline=train_pipeline)),
        train_cfg=dict(type='SelfTrainingLoop', max_iters=max_iters, rounds=rounds),
        optim_wrapper=dict(type='OptimWrapper', optimizer=dict(type='AdamW', lr=1e-3), clip_grad=dict(max_norm=1.0)),
        param_scheduler=dict(type='OneCycleLR', eta_max=1e-3, total_steps=max_iters + 2, by_epoch=False),
        default_hooks=dict(logger=dict(interval=1), checkpoint=dict(interval=interval)),
        custom_hooks=hooks,
        randomness=dict(seed=125)))
    cfg.merge_from_dict(more)
    return cfg


def build(cfg: Config) -> Runner:
    """The runner of a config, with a fresh experiment name:
    MMEngine keeps loggers and message hubs of a name for ever.
    """
    if cfg.resume:  # as tools/train.py --resume does it
        cfg.resume = (Path(cfg.work_dir) / 'last_checkpoint').exists()
        cfg.load_from = None if cfg.resume else cfg.load_from
    torch.set_num_threads(1)  # these tensors are too small to share
    cfg.experiment_name = f'run{next(_NUMBERS)}'
    with warnings.catch_warnings():
        warnings.filterwarnings('ignore', category=UserWarning, module='torch.*')
        return Runner.from_cfg(cfg)


def run(cfg: Config) -> Runner:
    """Both stages."""
    runner = build(cfg)
    runner.train()
    return runner


_NUMBERS = iter(range(10**6))


def in_child(action: Callable[[], Any], env: Optional[Dict[str, str]] = None) -> multiprocessing.process.BaseProcess:
    """Start ``action`` in a forked process; its exit code is 0, 1 after an exception (on stderr), -9 after SIGKILL."""

    def target() -> None:
        os.environ.update(env or {})
        try:
            action()
        except BaseException:
            traceback.print_exc()
            sys.stderr.flush()
            os._exit(1)
        os._exit(0)

    process = multiprocessing.get_context('fork').Process(target=target)
    with warnings.catch_warnings():
        warnings.simplefilter('ignore', DeprecationWarning)  # fork beside threads: none of ours holds a lock
        process.start()
    return process


def exit_code(process: multiprocessing.process.BaseProcess, seconds: float = 120.) -> Optional[int]:
    """Wait for the end of a process of ours."""
    # join() would also wait for the processes that this one started: they notice its end only after seconds
    end = time.monotonic() + seconds
    while process.exitcode is None and time.monotonic() < end:
        time.sleep(0.01)
    if process.is_alive():
        process.kill()
        process.join()
        raise AssertionError(f'the process did not end within {seconds} s')
    return process.exitcode


def in_two_processes(action: Callable[[int], Any]) -> List[Optional[int]]:
    """Run ``action(rank)`` in two processes that have joined a gloo group; their exit codes."""
    with socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        port = probe.getsockname()[1]

    def work(rank: int) -> None:
        torch.set_num_threads(1)
        join_processes('pytorch')
        action(rank)
        torch.distributed.destroy_process_group()

    shared = dict(WORLD_SIZE='2', OMP_NUM_THREADS='1', MKL_NUM_THREADS='1', MASTER_ADDR='127.0.0.1',
                  MASTER_PORT=str(port))
    processes = [
        in_child(lambda rank=rank: work(rank), dict(shared, RANK=str(rank), LOCAL_RANK=str(rank))) for rank in range(2)
    ]
    return [exit_code(process) for process in processes]


def files_of(folder: Path) -> Dict[str, bytes]:
    """Relative path -> contents of every file but the lock of a store."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob('*'))
            if path.is_file() and path.name != LOCK}


def refined_state(work_dir: Path) -> Dict[str, torch.Tensor]:
    """The weights in refined.pth."""
    return torch.load(work_dir / 'refined.pth', weights_only=True)['state_dict']


def same_state(one: Dict[str, torch.Tensor], other: Dict[str, torch.Tensor]) -> bool:
    """Whether two state dicts agree to the bit."""
    return one.keys() == other.keys() and all(torch.equal(value, other[key]) for key, value in one.items())


def copy_run(source: Path, target: Path) -> Path:
    """A copy of a work dir whose ``last_checkpoint`` points into the copy."""
    shutil.copytree(source, target)
    last = target / 'last_checkpoint'
    if last.exists():
        last.write_text(str(target / Path(last.read_text()).name))
    return target
