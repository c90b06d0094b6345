"""What a training step without labels, or on labels and frames, costs against one on labels, on as many directed pairs.

Each recipe of ``mmrefine refine --recipe`` takes steps of the official RAFT-small (random weights; they cost the same)
on crops of the same size, in turns with steps on labels. A step on labels learns from two directed pairs, the others
from both directions of one pair, and they look into whole frames of twice the crop. SMURF's is timed before its
self-supervision begins and after. Processor time of forward, backward and optimiser, as other processes change it
little: the median of all rounds, and the median of its ratio to the step on labels of the same round.

    python benchmarks/label_free_steps.py
    python benchmarks/label_free_steps.py --size 128 192 --iters 5
"""
from __future__ import annotations

import argparse
import time
from statistics import median
from typing import Any, Dict, List

import torch
from mmengine.optim import OptimWrapper

from mmrefine.apis import init_model
from mmrefine.apis.commands import run_command
from mmrefine.apis.named_models import load_named
from mmrefine.apis.recipes import with_recipe
from mmrefine.models import FlowRefiner
from mmrefine.structures import FlowSample

# row -> recipe, and values of its self-supervision
ROWS: Dict[str, Any] = {
    'labels': ('labels', {}), 'labels+warp': ('labels+warp', {}), 'warp': ('warp', {}), 'cycle': ('cycle', {}),
    'smurf': ('smurf', dict(begin=1.)), 'smurf, self-supervised': ('smurf', dict(begin=0., ramp=0.)),
}
GOAL = 1.25  # of warp, and of both, against labels


def main() -> int:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--size', nargs=2, type=int, default=(256, 512), metavar=('H', 'W'), help='of a crop, px')
    parser.add_argument('--iters', type=int, default=12, help='iterations of the network')
    parser.add_argument('--rounds', type=int, default=5, help='steps of each row')
    parser.add_argument('--threads', type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    height, width = args.size
    models = {row: _model(recipe, settings, args.iters) for row, (recipe, settings) in ROWS.items()}
    wrappers = {row: OptimWrapper(torch.optim.AdamW(model.parameters(), lr=1e-6)) for row, model in models.items()}
    torch.manual_seed(0)
    whole = torch.randint(0, 256, (2, 3, 2 * height, 2 * width), dtype=torch.uint8)
    seconds: Dict[str, List[float]] = {row: [] for row in ROWS}
    for _ in range(args.rounds):
        for row, model in models.items():
            data = _both_ways(whole, height, width) if row == 'labels' else _pair(whole, height, width)
            begin = time.process_time()
            model.train_step(data, wrappers[row])
            seconds[row].append(time.process_time() - begin)
    print(f'RAFT-small, 2 directed pairs of {height}x{width} px a step, {args.iters} iterations, {args.threads} '
          f'thread(s), medians of {args.rounds} rounds\n| step | seconds of processor | times labels |\n|---|---|---|')
    ratios = {row: median(t / label for t, label in zip(times, seconds['labels'])) for row, times in seconds.items()}
    for row, times in seconds.items():
        print(f'| {row} | {median(times):.2f} | {ratios[row]:.2f} |')
    for row in ('warp', 'labels+warp'):
        print(f'{row}, goal {"reached" if ratios[row] <= GOAL else "missed"}: at most {GOAL:g} times labels')
    return 0


def _model(recipe: str, settings: Dict[str, float], iters: int) -> FlowRefiner:
    cfg = with_recipe(load_named('raft_small'), recipe)
    cfg.model.train_iters = iters
    for loss in cfg.model.losses:
        loss.update(settings if loss.type == 'SelfSupervisionLoss' else {})
    torch.manual_seed(0)
    return init_model(cfg).train()


def _pair(whole: torch.Tensor, height: int, width: int) -> Dict[str, Any]:
    """A crop from the middle of a pair, with labels everywhere, which losses on frames do not ask for."""
    top, left = height // 2, width // 2
    sample = FlowSample(flow=torch.ones(2, height, width), weight=torch.ones(1, height, width), whole_frames=whole,
                        metainfo=dict(corner=(left, top)))
    return dict(inputs=whole[None, ..., top:top + height, left:left + width], data_samples=[sample])


def _both_ways(whole: torch.Tensor, height: int, width: int) -> Dict[str, Any]:
    """The same pair in both directions, without whole frames."""
    inputs = _pair(whole, height, width)['inputs']
    sample = FlowSample(flow=torch.ones(2, height, width), weight=torch.ones(1, height, width))
    return dict(inputs=torch.cat([inputs, inputs.flip(1)]), data_samples=[sample, sample.clone()])


if __name__ == '__main__':
    run_command(main)
