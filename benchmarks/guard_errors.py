"""How often does the guard call a student better that is neither better nor worse? Simulated losses of pairs, with the
guard's own intervals at 95 %, whose upper ends 2.5 % of such students should stay below.

Pairs of one scene are an autoregressive process whose neighbours have the correlation ``r``; scenes differ by a normal
number of their own, as strong as the spread of the pairs times ``scenes``. Where the ends of all scenes were kept back
(``all``) the student is neither better nor worse on the mean of these; where some scenes were, on that of all there
could be.

The second table is of a student at four steps of the way to it, whose losses are its own in part: how often the guard,
which compares the student first and the steps on the way only where that does not settle it, decides as it would if it
compared them all.

    python benchmarks/guard_errors.py
"""
from __future__ import annotations

import argparse
from typing import List, Tuple

import numpy as np

from mmrefine.apis.commands import run_command
from mmrefine.engine.guard.candidates import first_confidence
from mmrefine.evaluation import compare
from mmrefine.evaluation.guard.comparison import compare_all
from mmrefine.evaluation.guard.runs import independent_runs

SPREAD = 0.1  # of the loss of a pair
# pairs of each scene that were kept back, whether these are all scenes, r, scenes
CASES: Tuple[Tuple[List[int], bool, float, float], ...] = (
    ([12], True, 0., 0.), ([12], True, 0.3, 0.), ([12], True, 0.6, 0.), ([32], True, 0., 0.), ([32], True, 0.6, 0.),
    ([32], True, 0.8, 0.), ([6] * 2, True, 0., 1.), ([4] * 3, True, 0., 1.), ([4] * 8, True, 0., 1.),
    ([7] * 2, False, 0., 0.), ([7] * 2, False, 0., 0.5), ([7] * 2, False, 0., 1.), ([3] * 3, False, 0., 0.),
    ([3] * 3, False, 0., 0.5), ([3] * 3, False, 0., 1.), ([6] * 5, False, 0., 0.), ([6] * 5, False, 0., 1.),
    ([5] * 6, False, 0., 1.), ([4] * 8, False, 0., 1.))
STEPS = (0.25, 0.5, 0.75, 1.)
GAINS = (0., -0.05, -0.1, -0.15)  # of the student
OWN, NEIGHBOURS = 0.3, 0.2  # spread of what is a step's own; correlation of neighbours


def main() -> int:
    """Draw, judge, count."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--repeats', type=int, default=1000)
    args = parser.parse_args()
    print('| pairs of each scene | kept back | r | scenes | called better | unproven |\n|---|---|---|---|---|---|')
    for sizes, are_all, correlation, strength in CASES:
        rng = np.random.default_rng(0)
        names = [str(scene) for scene, size in enumerate(sizes) for _ in range(size)]
        found = []
        for _ in range(args.repeats):
            offsets = strength * rng.normal(size=len(sizes))
            offsets -= offsets.mean() if are_all else 0.
            parts = [_process(rng, size, correlation) + offset for size, offset in zip(sizes, offsets)]
            losses = (SPREAD * np.concatenate(parts)).tolist()
            found.append(compare(losses, independent_runs(losses, names, sampled=not are_all)))
        better, unproven = (np.mean([getattr(one, name) for one in found]) for name in ('is_better', 'is_proof'))
        kept = f'{", ".join(map(str, sizes))} | {"all" if are_all else "some"}'
        print(f'| {kept} | {correlation:g} | {strength:g} | {better:.1%} | {1 - unproven:.1%} |',
              flush=True)
    print('\n| pairs | change of the student | called better, all compared | student first | settled by the student | '
          'another step handed back |\n|---|---|---|---|---|---|')
    for pairs in (12, 32):
        for gain in GAINS:
            _print_steps(pairs, gain, args.repeats)
    return 0


def _print_steps(pairs: int, gain: float, repeats: int) -> None:
    """A row of the second table."""
    rng, names, found = np.random.default_rng(0), ['scene'] * pairs, []
    for _ in range(repeats):
        whole = 0.9 * _process(rng, pairs, NEIGHBOURS)
        own = [OWN * step**0.5 * _process(rng, pairs, NEIGHBOURS) for step in STEPS]
        losses = [gain * step * (2 - step) + SPREAD * (step * whole + part) for step, part in zip(STEPS, own)]
        first = compare(losses[-1], independent_runs(losses[-1], names), first_confidence(0.95, len(STEPS))).is_better
        runs = independent_runs(np.mean(losses, axis=0).tolist(), names)
        farthest = max((step for step, one in zip(STEPS, compare_all(losses, runs)) if one.is_better), default=0.)
        found.append((farthest > 0, first or farthest > 0, first, first and farthest < 1))
    shares = ' | '.join(f'{share:.1%}' for share in np.mean(found, axis=0))
    print(f'| {pairs} | {gain:+.0%} | {shares} |', flush=True)


def _process(rng: np.random.Generator, size: int, correlation: float) -> np.ndarray:
    """Standard normal numbers whose neighbours are correlated."""
    values = rng.normal(size=size)
    for number in range(1, size):
        values[number] = correlation * values[number - 1] + (1 - correlation**2)**0.5 * values[number]
    return values


if __name__ == '__main__':
    run_command(main)
