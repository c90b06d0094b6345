"""How long an optimiser step takes on a CPU, and how much memory, beside its rivals in the same run.

Rivals: the stock network of mmflow and, with ``--official``, the code of RAFT's authors (it imports scipy), with the
same weights and all of them learning. Each row is a process of its own in which all ways take turns; one round warms
up. ``--busy N`` starts N other processes that never rest. Memory is that of a process that does nothing but one way,
above what it had before its first step.

    python benchmarks/train_speed.py --official ../RAFT
    python benchmarks/train_speed.py --official ../RAFT --networks raft-small --threads 2 --busy 0 2 --no-memory
"""
from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Dict, List, Tuple

SIZES = ((4, 240, 432), (2, 368, 768))  # pairs in a batch, height, width
NETWORKS = {'raft': 'raft_official', 'raft-small': 'raft_small', 'raft-small-convex': 'raft_small_convex'}
OFFICIAL = ['raft', 'raft-small']  # that its authors have
ROOT = Path(__file__).resolve().parents[1]


def main() -> int:
    """Print a table, row by row, and write it if asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--official', type=Path, help="the folder of the RAFT authors' code, which has core/raft.py")
    parser.add_argument('--networks', nargs='+', choices=list(NETWORKS), default=OFFICIAL)
    parser.add_argument('--sizes', nargs='+', type=_batch, default=SIZES, metavar='PAIRSxHxW')
    parser.add_argument('--threads', nargs='+', type=int, default=[1, 2])
    parser.add_argument('--busy', nargs='+', type=int, default=[0], help='other processes that never rest')
    parser.add_argument('--iters', type=int, default=8)
    parser.add_argument('--steps', type=int, default=3, help='that count')
    parser.add_argument('--contrastive', nargs='+', choices=['dense', 'sampled', 'batch'], default=[],
                        help="also with the contrastive flow loss, in these modes; batch: sampled, negatives='batch'")
    parser.add_argument('--no-memory', action='store_true')
    parser.add_argument('--out', type=Path, help='JSON of all rows; those it has already are not measured again')
    parser.add_argument('--job', help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.job:
        print(json.dumps(_measure(json.loads(args.job))))
        return 0
    rows: List[Dict[str, Any]] = json.loads(args.out.read_text()) if args.out and args.out.is_file() else []
    for network in args.networks:
        for batch in args.sizes:
            for threads in args.threads:
                for busy in args.busy:
                    job = dict(network=network, batch=list(batch), threads=threads, busy=busy, iters=args.iters,
                               steps=args.steps)
                    if args.contrastive:
                        job['contrastive'] = args.contrastive
                    row = next((row for row in rows if row['job'] == job), None)
                    if row is None:
                        row = dict(job=job, **_row(job, args))
                        rows.append(row)
                        if args.out:
                            args.out.write_text(json.dumps(rows, indent=1) + '\n')
                    _show(row)
    return 0


def _row(job: Dict[str, Any], args: argparse.Namespace) -> Dict[str, Any]:
    """Seconds by way, and MiB by way."""
    official = str(args.official.resolve()) if args.official and job['network'] in OFFICIAL else None
    others = [subprocess.Popen([sys.executable, '-c', 'while True: pass']) for _ in range(job['busy'])]
    try:
        seconds = _child(dict(job, official=official))
        ways = [] if args.no_memory or job['busy'] else list(seconds)
        return dict(seconds=seconds, mib={way: _child(dict(job, official=official, way=way, steps=1)) for way in ways})
    finally:
        for other in others:
            other.kill()


def _child(job: Dict[str, Any]) -> Any:
    env = dict(os.environ, OMP_NUM_THREADS=str(job['threads']))
    done = subprocess.run([sys.executable, '-W', 'ignore', __file__, '--job', json.dumps(job)], env=env, check=True,
                          stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def _measure(job: Dict[str, Any]) -> Any:
    """Median seconds of a step by way; or the MiB of one way."""
    import resource

    import torch
    from training_steps import ways_of_a_step

    from mmrefine.apis import init_model
    torch.manual_seed(0)
    refiner = init_model(ROOT / 'configs' / 'refine' / f'{NETWORKS[job["network"]]}_video.py')
    steps = ways_of_a_step(refiner, job['network'], tuple(job['batch']), job['iters'], 'cpu',
                           Path(job['official']) if job['official'] else None, job.get('contrastive', ()))
    if 'way' in job:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        steps[job['way']]()
        return round((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024)
    found: Dict[str, List[float]] = {way: [] for way in steps}
    for turn in range(job['steps'] + 1):
        for way, step in steps.items():
            begin = time.perf_counter()
            step()
            if turn:
                found[way].append(time.perf_counter() - begin)
    return {way: statistics.median(times) for way, times in found.items()}


def _show(row: Dict[str, Any]) -> None:
    job, seconds = row['job'], row['seconds']
    pairs, height, width = job['batch']
    print(f'\n{job["network"]}, {pairs} pairs of {height}x{width}, {job["iters"]} iterations, {job["threads"]} '
          f'thread(s), {job["busy"]} busy process(es)', flush=True)
    rival = next((way for way in seconds if way.startswith('authors') and way.endswith('float32')),
                 'stock network, float32')
    print(f'| step | seconds | times as fast as {rival} | MiB |\n|---|---|---|---|')
    for way, value in seconds.items():
        print(f'| {way} | {value:.2f} | {seconds[rival] / value:.2f} | {row["mib"].get(way, "")} |', flush=True)


def _batch(text: str) -> Tuple[int, int, int]:
    pairs, height, width = (int(part) for part in text.split('x'))
    return pairs, height, width


if __name__ == '__main__':
    sys.exit(main())
