"""What it costs how threads wait for one another: seconds of a training step, alone and beside other busy processes.

Each way of waiting has a process of its own, since libgomp reads its variables when it is loaded. The processes take
turns step by step, first on the idle machine, then while others compute on every core: what was started idle is so
measured under a load that begins later. "Started busy" are other processes, which were started beside that load.
``default`` is how PyTorch runs by itself; ``chosen`` is how the commands of mmrefine run.

    python benchmarks/waiting.py
    python benchmarks/waiting.py --size 240 432 --pairs 4 --iters 8 --steps 3 --ways default spin10000 passive
"""
from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time
import warnings
from typing import Dict, List, Sequence

import psutil

WAYS: Dict[str, Dict[str, str]] = {
    'default': {},
    **{f'spin{count}': {'GOMP_SPINCOUNT': str(count)} for count in (1000, 10000, 30000, 100000)},
    'passive': {'OMP_WAIT_POLICY': 'passive'},
}
VARIABLES = ('OMP_NUM_THREADS', 'MKL_NUM_THREADS', 'GOMP_SPINCOUNT', 'OMP_WAIT_POLICY')


def main() -> int:
    """Print a row for each way of waiting."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--ways', nargs='+', default=list(WAYS), choices=[*WAYS, 'chosen'],
                        help='chosen: what the commands of mmrefine take on this machine')
    parser.add_argument('--size', nargs=2, type=int, default=(128, 192), metavar=('H', 'W'), help='of the frames, px')
    parser.add_argument('--pairs', type=int, default=2, help='in a step')
    parser.add_argument('--iters', type=int, default=4, help='of RAFT-small, which is trained')
    parser.add_argument('--steps', type=int, default=3, help='of each process, idle and busy; medians are printed')
    parser.add_argument('--busy', type=int, default=2, help='processes that compute beside it')
    parser.add_argument('--child', help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        _steps_on_demand(args)
        return 0
    idle, busy, late = _measured(args)
    print(f'{args.pairs} pairs of {args.size[0]}x{args.size[1]} px, RAFT-small, {args.iters} iterations, medians of '
          f'{args.steps} steps; {args.busy} busy processes\n')
    print('| waiting | idle, s | of default | load begins later, s | of its idle | started busy, s | of its idle |')
    print('|---|---|---|---|---|---|---|')
    for way in args.ways:
        cells = [f'{idle[way]:.3f}', f'{idle[way] / idle[args.ways[0]]:.2f}']
        cells += [cell for took in (busy[way], late[way]) for cell in (f'{took:.3f}', f'{took / idle[way]:.2f}')]
        print(f'| {way} | {" | ".join(cells)} |')
    return 0


def _measured(args: argparse.Namespace) -> List[Dict[str, float]]:
    """Seconds of a step by way: alone, under a load that began later, and started under it."""
    children = _started(args.ways)
    others: List['subprocess.Popen[str]'] = []
    try:
        idle = _took(children, [], args.steps)
        others = [subprocess.Popen([sys.executable, '-c', 'while True: pass'], text=True) for _ in range(args.busy)]
        time.sleep(1.)
        busy = _took(children, others, args.steps)
        for child in children.values():
            child.kill()
        children = _started(args.ways)
        return [idle, busy, _took(children, others, args.steps)]
    finally:
        for process in [*others, *children.values()]:
            process.kill()
            process.wait()


def _started(ways: Sequence[str]) -> Dict[str, 'subprocess.Popen[str]']:
    """A process for each way of waiting; they have made one step each when this returns."""
    env = {key: value for key, value in os.environ.items() if key not in VARIABLES}
    children = {way: subprocess.Popen([sys.executable, *sys.argv, '--child', way], stdin=subprocess.PIPE,
                                      stdout=subprocess.PIPE, text=True, env={**env, **WAYS.get(way, {})})
                for way in ways}
    for child in children.values():
        _step(child)
    return children


def _took(children: Dict[str, 'subprocess.Popen[str]'], others: List['subprocess.Popen[str]'],
          steps: int) -> Dict[str, float]:
    """Median seconds of a step; the processes take turns.

    A step beside which anything else on the machine computed for a tenth of its time is repeated, at most five times.
    """
    found: Dict[str, List[float]] = {way: [] for way in children}
    for _ in range(steps):
        for way, child in children.items():
            for _ in range(5):
                before = _elsewhere([child, *others])
                took = _step(child)
                if _elsewhere([child, *others]) - before <= .1 * took + .02:  # the clock ticks each 0.01 s
                    break
            found[way].append(took)
    return {way: statistics.median(times) for way, times in found.items()}


def _elsewhere(ours: List['subprocess.Popen[str]']) -> float:
    """Seconds that processes other than these have computed so far."""
    machine = psutil.cpu_times()
    own = [psutil.Process(process.pid).cpu_times() for process in ours]
    return float(machine.user + getattr(machine, 'nice', 0.) + machine.system - sum(one.user + one.system
                                                                                    for one in own))


def _step(child: 'subprocess.Popen[str]') -> float:
    assert child.stdin is not None and child.stdout is not None
    child.stdin.write('\n')
    child.stdin.flush()
    return float(child.stdout.readline())


def _steps_on_demand(args: argparse.Namespace) -> None:
    """Make a step for each line of the standard input, and print its seconds."""
    warnings.simplefilter('ignore')
    if args.child == 'chosen':
        from mmrefine.compat.threads import choose_threads
        choose_threads()
    from pathlib import Path

    import torch

    from mmrefine.config.load import load_config
    from mmrefine.registry import MODELS
    from mmrefine.structures import FlowSample

    torch.manual_seed(0)
    base = Path(__file__).resolve().parents[1] / 'configs' / '_base_' / 'models' / 'raft_small.py'
    model = MODELS.build(dict(load_config(base).model, train_iters=args.iters)).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-6)
    frames = torch.rand(args.pairs, 2, 3, *args.size) * 255.
    samples = [FlowSample(flow=torch.randn(2, *args.size), weight=torch.ones(1, *args.size)) for _ in frames]
    for _ in sys.stdin:
        began = time.perf_counter()
        loss, _ = model.parse_losses(model(frames, samples, mode='loss'))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        print(time.perf_counter() - began, flush=True)


if __name__ == '__main__':
    sys.exit(main())
