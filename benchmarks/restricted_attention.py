"""What restricted attention costs: ``copy_labels`` beside a window by ``F.unfold`` and beside full attention, on a CPU.

Features of 64 channels and 16 channels of labels at a quarter of the frame's size, a window of 13x13 cells. ``unfold``
is the usual form: the windows of all cells are written out, of the features and of the labels. ``full`` compares each
cell with all cells of the other frame, and so gives other labels: with all scores at once, and in parts; it is left out
where all scores take more than 4 GB. All ways take turns in one process, and the fastest of ``--times`` rounds after a
first one counts; seconds are those of the processor, which other processes disturb less. Memory is the peak of a
process that does nothing but one way, once, above what it had before. ``training`` is one pass forward and backward
over 4 x 64x64 cells.

    OMP_NUM_THREADS=1 python benchmarks/restricted_attention.py
    OMP_NUM_THREADS=2 python benchmarks/restricted_attention.py --heights 480 1080 --times 1
"""
from __future__ import annotations

import argparse
import json
import math
import subprocess
import sys
import time
from typing import Any, Callable, Dict, List, Tuple

import torch
import torch.nn.functional as F
from label_memory import resident
from torch import Tensor

from mmrefine.apis.commands import run_command
from mmrefine.geometry import copy_labels

STRIDE, CHANNELS, CLASSES, RADIUS = 4, 64, 16, 6
WIDTHS = {240: 427, 360: 640, 480: 854, 720: 1280, 1080: 1920}  # px, by height
TRAINING = (4, 64, 64)  # pairs of frames, and cells down and across
AT_ONCE = 4e9  # bytes of scores
GOAL_MEMORY, GOAL_TIME, GOAL_SAME = 0.1, 1., 1e-4
OURS, UNFOLD = 'window, ours', 'window, unfold'


def main() -> int:
    """Print a table; 1 if a goal was missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--heights', nargs='+', type=int, choices=list(WIDTHS), default=[240, 480, 720], help='px')
    parser.add_argument('--times', type=int, default=3, help='rounds that count')
    parser.add_argument('--job', help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.job:
        print(json.dumps(_measure(json.loads(args.job))))
        return 0
    print('| frames | cells | way | seconds | to unfold | MB | to unfold | µs per cell |\n' + '|---' * 8 + '|')
    reached, worst = True, 0.
    for height in [*args.heights, None]:
        shape = TRAINING if height is None else (1, math.ceil(height / STRIDE), math.ceil(WIDTHS[height] / STRIDE))
        job = dict(shape=shape, train=height is None, times=args.times)
        timed = _child(job)
        bytes_of = {way: _child(dict(job, way=way)) for way in timed['seconds']}
        name = 'training' if height is None else f'{height}x{WIDTHS[height]}'
        for way, seconds in timed['seconds'].items():
            times, memory = seconds / timed['seconds'][UNFOLD], bytes_of[way] / bytes_of[UNFOLD]
            print(f'| {name} | {shape[0]} x {shape[1]}x{shape[2]} | {way} | {seconds:.3f} | {times:.3f} | '
                  f'{bytes_of[way] / 1e6:.0f} | {memory:.3f} | {1e6 * seconds / math.prod(shape):.2f} |', flush=True)
            if way == OURS:
                reached &= times <= GOAL_TIME and memory <= GOAL_MEMORY
        worst = max(worst, timed['difference'])
    reached &= worst <= GOAL_SAME
    print(f'labels of the two windows differ by at most {worst:.1e}')
    print(f'goal {"reached" if reached else "missed"}: at most {GOAL_MEMORY} of the memory of unfold, no more time, '
          f'labels that differ by at most {GOAL_SAME:g}')
    return int(not reached)


def _child(job: Dict[str, Any]) -> Any:
    done = subprocess.run([sys.executable, '-W', 'ignore', __file__, '--job', json.dumps(job)], check=True,
                          stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def _measure(job: Dict[str, Any]) -> Any:
    """Seconds by way and the largest difference between the windows; or the bytes of one way."""
    tensors = _inputs(tuple(job['shape']), job['train'])
    ways = _ways(job['train'], tuple(job['shape']))

    def run(way: str, given: List[Tensor]) -> Tensor:
        if not job['train']:
            with torch.no_grad():
                return ways[way](*given)
        copied = ways[way](*given)
        copied.square().sum().backward()
        return copied.detach()

    if 'way' in job:
        run(job['way'], _inputs((1, 4, 4), job['train']))  # loads what is needed once
        before = resident('VmRSS')
        run(job['way'], tensors)
        return resident('VmHWM') - before
    seconds: Dict[str, List[float]] = {way: [] for way in ways}
    copied: Dict[str, Tensor] = {}
    for turn in range(job['times'] + 1):
        for way in ways:
            begun = time.process_time()
            copied[way] = run(way, tensors)
            if turn:
                seconds[way].append(time.process_time() - begun)
    return dict(seconds={way: min(found) for way, found in seconds.items()},
                difference=float((copied[OURS] - copied[UNFOLD]).abs().max()))


def _inputs(shape: Tuple[int, int, int], train: bool) -> List[Tensor]:
    """Features of a frame and of a reference, and the labels of the latter."""
    rng = torch.Generator().manual_seed(0)
    count, height, width = shape
    return [torch.randn(count, *before, height, width, generator=rng).requires_grad_(train)
            for before in ((CHANNELS, ), (1, CHANNELS), (1, CLASSES))]


def _ways(train: bool, shape: Tuple[int, int, int]) -> Dict[str, Callable[..., Tensor]]:
    ways: Dict[str, Callable[..., Tensor]] = {OURS: copy_labels, UNFOLD: unfolded}
    if shape[0] * (shape[1] * shape[2])**2 * 4 <= AT_ONCE:
        ways['full, at once'] = full
        if not train:
            ways['full, in parts'] = lambda *given: copy_labels(*given, radius=None)
    return ways


def unfolded(target: Tensor, references: Tensor, labels: Tensor) -> Tensor:
    """The same as ``copy_labels`` for one reference, in the usual form."""
    count, _, height, width = target.shape
    side = 2 * RADIUS + 1

    def windows(x: Tensor) -> Tensor:
        return F.unfold(x, side, padding=RADIUS).view(count, -1, side * side, height * width)

    scores = _weighted_sum(windows(references[:, 0]), target.flatten(2)[:, :, None], 1)
    outside = windows(target.new_ones(count, 1, height, width))[:, 0] == 0
    weights = scores.masked_fill(outside, float('-inf')).softmax(dim=1)
    return _weighted_sum(windows(labels[:, 0]), weights[:, None], 2).unflatten(2, (height, width))


def _weighted_sum(windows: Tensor, weights: Tensor, dim: int) -> Tensor:
    """Without gradients in place, as whoever minds memory would write it."""
    return (windows * weights if windows.requires_grad else windows.mul_(weights)).sum(dim)


def full(target: Tensor, references: Tensor, labels: Tensor) -> Tensor:
    """Attention over all cells of one reference."""
    weights = (target.flatten(2).mT @ references[:, 0].flatten(2)).softmax(dim=-1)
    return (labels[:, 0].flatten(2) @ weights.mT).unflatten(2, tuple(target.shape[2:]))


if __name__ == '__main__':
    run_command(main)
