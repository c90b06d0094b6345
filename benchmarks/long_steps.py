"""Long steps out of short ones: EPE over pairs (i, i + 2) of the direct passes, of the chain over frame i + 1,
and of all together.

    python benchmarks/long_steps.py
    python benchmarks/long_steps.py --checkpoint checkpoints/raft-small-mmrefine.pth

Rendered triples, slow and fast, both ways; EPE in px over all pixels, those that are hidden or leave the frame too, and
the share of the pixels that each bin of true speed has. `direct` is `ArbitratedView`, `chain` two short steps with the
direct motion where the chain leaves a frame, `1x` the plain first pass of either, `all` is `ComposedView`, and `all, no
refine` the same without the pass that starts from the chain. The last line is the geometric mean over the pairs of the
ratio to `direct`, and the worst pair.
"""
from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path
from typing import Dict, Iterator, List, Tuple

import numpy as np
import torch
from label_table import RememberingTeacher
from torch import Tensor

from mmrefine.apis import init_model
from mmrefine.apis.commands import run_command
from mmrefine.geometry import compose
from mmrefine.labeling import ArbitratedView, CascadeView, ComposedView
from mmrefine.structures import FlowEstimator, NamedFrame, PairBatch, as_frames
from mmrefine.synthetic import exact_motion, render_clip
from mmrefine.synthetic.style import SOURCE, TARGET

ROOT = Path(__file__).resolve().parents[1]
CONFIG = ROOT / 'configs' / 'demo' / 'raft_small_target.py'
WEIGHTS = ROOT / 'configs' / 'demo' / 'raft_small_source.pth'
BINS = ((0., 5.), (5., 10.), (10., 20.), (20., 40.), (40., float('inf')))  # px
RULES = ('direct 1x', 'direct', 'chain of 1x', 'chain', 'all, no refine', 'all')
FAST = dict(object_speed=(0.05, 0.25), camera_speed=(0.03, 0.12))
KINDS = {
    'source': (SOURCE, (128, 192)),
    'target': (TARGET, (128, 192)),
    'source, fast': (dataclasses.replace(SOURCE, **FAST), (160, 224)),
    'target, fast': (dataclasses.replace(TARGET, **FAST), (160, 224))
}


def main() -> int:
    """Print one row for each pair, then one for each bin of speed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--checkpoint', default=str(WEIGHTS), help='RAFT-small weights (default: those of the demo)')
    parser.add_argument('--rendered', type=int, default=3, help='rendered pairs of each kind')
    parser.add_argument('--first', type=int, default=60000, help='seed of the first of them')
    parser.add_argument('--iters', type=int, default=12, help='of RAFT')
    args = parser.parse_args()
    model = init_model(CONFIG, args.checkpoint)
    model.test_iters = args.iters
    print(f'{"pair":20}{"motion":>8}' + ''.join(f'{rule:>16}' for rule in RULES) + f'{"from chain":>12}')
    sums, pixels, means = np.zeros((len(BINS), len(RULES))), np.zeros(len(BINS)), []
    for name, frames, truth in _rendered(args.first, args.rendered):
        errors, share = _errors(RememberingTeacher(model), frames, truth)
        speed = truth.norm(dim=1)
        for number, (low, high) in enumerate(BINS):
            chosen = (speed >= low) & (speed < high)
            pixels[number] += chosen.sum().item()
            sums[number] += [error[chosen].double().sum().item() for error in errors.values()]
        means.append([error.mean().item() for error in errors.values()])
        print(f'{name:20}{speed.mean():8.2f}' + _cells(means[-1]) + f'{share:12.2f}', flush=True)
    print(f'\n{"true speed, px":20}{"share":>8}' + ''.join(f'{rule:>16}' for rule in RULES))
    for (low, high), chosen, count in zip(BINS, sums, pixels):
        label = f'{low:g} to {high:g}' if np.isfinite(high) else f'{low:g} and more'
        print(f'{label:20}{count / pixels.sum():8.2f}' + (_cells(chosen / count) if count else ''))
    print(f'{"all":20}{1:8.2f}' + _cells(sums.sum(axis=0) / pixels.sum()))
    ratios = np.array(means) / np.array(means)[:, RULES.index('direct')][:, None]
    print(f'{"over direct":28}' + ''.join(f'{f"{np.exp(np.log(chosen).mean()):.3f} ({chosen.max():.2f})":>16}'
                                          for chosen in ratios.T))
    return 0


def _cells(values: List[float]) -> str:
    return ''.join(f'{value:16.3f}' for value in values)


@torch.no_grad()
def _errors(model: FlowEstimator, frames: Tensor, truth: Tensor) -> Tuple[Dict[str, Tensor], float]:
    """The error of each rule ``(2, H, W)``, px, there and back,
    and the share of the chain and of what starts from it in the last.
    """
    first, middle, last = frames[:1], frames[1:2], frames[2:]
    flows: Dict[str, Tensor] = {}
    for name, view in ((' 1x', CascadeView(scales=(1., ))), ('', ArbitratedView())):
        pairs = ((first, last), (first, middle), (middle, last))
        direct, one, two = (view.look(model, PairBatch(*pair)).both_ways() for pair in pairs)
        there, back = compose(one[:1], two[:1]), compose(two[1:], one[1:])
        chained, inside = (torch.cat(both) for both in zip(there, back))
        flows['direct' + name] = direct
        flows['chain' + (' of' + name if name else '')] = torch.where(inside, chained, direct)
    for name, refine in (('all', True), ('all, no refine', False)):
        look = ComposedView(refine=refine).look(model, PairBatch(first, last, middles=[[NamedFrame(middle[0])]]))
        flows[name] = look.both_ways()
        if refine:
            shares = (*look.shares_fw, *look.shares_bw)
            share = float(np.mean([sum(found[key] for key in found if key.startswith('from_composed'))
                                   for found in shares]))
    return {rule: (flows[rule] - truth).norm(dim=1) for rule in RULES}, share


def _rendered(start: int, count: int) -> Iterator[Tuple[str, Tensor, Tensor]]:
    """A name, three frames ``(3, 3, H, W)`` in [0, 1], and the motion from the first to the last and back,
    ``(2, 2, H, W)`` px.
    """
    for kind, (style, size) in KINDS.items():
        for seed in range(start, start + count):
            frames = as_frames(render_clip(seed, 3, size, style).frames)
            truth = [exact_motion(seed, *ends, size, style)[0] for ends in ((0, 2), (2, 0))]
            yield f'{kind} {seed - start}', frames, torch.from_numpy(np.stack(truth))


if __name__ == '__main__':
    run_command(main)
