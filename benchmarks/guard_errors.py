"""How often does the guard call a student better that is neither better nor worse? Simulated losses of pairs, with the
guard's own intervals at 95 %, whose upper ends 2.5 % of such students should stay below.

Pairs of one scene are an autoregressive process whose neighbours have the correlation ``r``; scenes differ by a normal
number of their own, as strong as the spread of the pairs times ``scenes``.

    python benchmarks/guard_errors.py
"""
from __future__ import annotations

import argparse
from typing import List, Tuple

import numpy as np

from mmrefine.apis.commands import run_command
from mmrefine.evaluation import compare
from mmrefine.evaluation.guard.runs import independent_runs

SPREAD = 0.1  # of the loss of a pair
# pairs of each scene, r, scenes
CASES: Tuple[Tuple[List[int], float, float], ...] = (
    ([12], 0., 0.), ([12], 0.3, 0.), ([12], 0.6, 0.), ([32], 0., 0.), ([32], 0.6, 0.), ([32], 0.8, 0.),
    ([12, 12], 0., 0.), ([12, 12], 0., 0.5), ([12, 12], 0., 1.), ([10] * 3, 0., 0.5), ([10] * 3, 0., 1.),
    ([6] * 5, 0., 1.), ([5] * 6, 0., 1.), ([4] * 8, 0., 1.))


def main() -> int:
    """Draw, judge, count."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--repeats', type=int, default=1000)
    args = parser.parse_args()
    print('| pairs of each scene | r | scenes | called better | unproven |\n|---|---|---|---|---|')
    for sizes, correlation, strength in CASES:
        rng = np.random.default_rng(0)
        names = [str(scene) for scene, size in enumerate(sizes) for _ in range(size)]
        found = []
        for _ in range(args.repeats):
            parts = [_process(rng, size, correlation) + strength * rng.normal() for size in sizes]
            losses = (SPREAD * np.concatenate(parts)).tolist()
            found.append(compare(losses, independent_runs(losses, names)))
        better, unproven = (np.mean([getattr(one, name) for one in found]) for name in ('is_better', 'is_proof'))
        print(f'| {", ".join(map(str, sizes))} | {correlation:g} | {strength:g} | {better:.1%} | {1 - unproven:.1%} |',
              flush=True)
    return 0


def _process(rng: np.random.Generator, size: int, correlation: float) -> np.ndarray:
    """Standard normal numbers whose neighbours are correlated."""
    values = rng.normal(size=size)
    for number in range(1, size):
        values[number] = correlation * values[number - 1] + (1 - correlation**2)**0.5 * values[number]
    return values


if __name__ == '__main__':
    run_command(main)
