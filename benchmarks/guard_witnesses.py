"""Would other witnesses tell the guard more? What each says of the students of the bench of situations
(`guard_situations.py`), beside the three that it asks, ranked against the truth.

- ``larger``: how far a network's motion is from what it sees itself at twice the resolution (the larger pass starts
  from the plain one), px.
- ``teacher's larger``: how far it is from what the original network sees there, which is what labels are made of, px.
- ``three frames``: by how much the motion by way of the next frame and the direct one end apart, relative to 1 px more
  than the motion; the round trip's twin.
- ``still`` and ``agreement``, as :class:`FlowWitnesses` knows them.

Printed for each, over the students of plain videos: the rank correlation of its change with the true change of the
error; of the students that are better by 5 % or more the share of which it says better; and of those that are not
better at all the share of which it says so too. The last lines mix each of them into the score with a weight of 0.2.

    python benchmarks/guard_situations.py
    python benchmarks/guard_witnesses.py
"""
from __future__ import annotations

import argparse
import math
from pathlib import Path
from typing import Any, Dict, List, Mapping, Sequence

import torch
from guard_situations import BETTER, CHECKPOINT, CONFIG, lessons, recipes, taught
from guard_trust import rank_correlation
from torch import Tensor

from mmrefine.apis import init_model
from mmrefine.apis.commands import run_command
from mmrefine.datasets import FramePairs
from mmrefine.engine.guard.flow_witnesses import FlowWitnesses
from mmrefine.evaluation import limited_error
from mmrefine.evaluation.flow.more_witnesses import MORE_FLOORS
from mmrefine.evaluation.guard.comparison import loss_against
from mmrefine.evaluation.guard.measures import FLOORS, WEIGHTS
from mmrefine.geometry import composite_error
from mmrefine.models import FlowRefiner
from mmrefine.registry import TEACHER_VIEWS
from mmrefine.structures import LookRequest, PairBatch, as_frames

LARGER = dict(type='CascadeView', scales=(1., 2.))
LARGER_OF_TEACHER, THREE = "teacher's larger", 'three frames'
ALL_FLOORS: Dict[str, float] = {**FLOORS, **MORE_FLOORS, 'larger': 0.1, LARGER_OF_TEACHER: 0.1, THREE: 0.05}
MIXED_IN = 0.2

Seen = List[Mapping[str, float]]


def main() -> int:
    """Ask, rank, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--only', nargs='+', metavar='SITUATION', help='some of the situations')
    parser.add_argument('--recipes', nargs='+', default=list(recipes()), choices=list(recipes()))
    parser.add_argument('--work-dir', type=Path, default=Path('work_dirs/guard_situations'), help='of the students')
    args = parser.parse_args()
    teacher = init_model(CONFIG, CHECKPOINT)
    true: List[float] = []
    losses: Dict[str, List[float]] = {}
    for situation, name in lessons(args.only, args.recipes):
        if situation.kind == 'plain':
            sides, student, truth = taught(args.work_dir, situation, name, 100, teacher)
            witnesses = FlowWitnesses(still=1., agreement=1.)
            witnesses.prepare(sides[1], teacher, 'cpu', 0, lambda line: None)
            before, after = (_observed(witnesses, sides[1], network, teacher) for network in (teacher, student))
            true.append(100 * (truth['1.0']['video'] / truth['0.0']['video'] - 1))
            for what, weights in _mixtures().items():
                losses.setdefault(what, []).append(_mean_loss(after, before, weights))
            print(f'{situation.name} ({name}): {true[-1]:+.1f} %;',
                  ', '.join(f'{what} {100 * math.expm1(losses[what][-1]):+.1f}' for what in ALL_FLOORS), flush=True)
    print('\n| witness | rank correlation | better by 5 % or more, and said so | not better, and said to be |')
    print('|---|---|---|---|')
    for what, values in losses.items():
        print(_row(what, true, values))
    return 0


def _mixtures() -> Dict[str, Dict[str, float]]:
    """Weights by what they are: each witness alone, the score, and the score with one more witness."""
    more = [name for name in ALL_FLOORS if name not in WEIGHTS]
    return {**{name: {name: 1.} for name in ALL_FLOORS}, 'score': dict(WEIGHTS),
            **{f'score with {name}': {**WEIGHTS, name: MIXED_IN} for name in more}}


@torch.no_grad()
def _observed(witnesses: FlowWitnesses, held: FramePairs, network: FlowRefiner, teacher: FlowRefiner) -> Seen:
    """What all witnesses say of a network, pair by pair."""
    view, found = TEACHER_VIEWS.build(LARGER), []
    for index, number in enumerate(witnesses.chosen):
        seen = witnesses.observe(network, index)
        frames = as_frames([held[number][name] for name in ('frame1', 'frame2')])
        pair = PairBatch(frames[:1], frames[1:])
        flow = network.estimate(pair.frames1, pair.frames2)[-1].float()
        for name, asked in (('larger', network), (LARGER_OF_TEACHER, teacher)):
            larger = view.look(asked, pair, LookRequest(backward=False)).flow_fw.float()
            seen[name] = limited_error(flow, larger, torch.ones_like(flow[:, :1]))
        seen[THREE] = _by_way_of_the_next(held, held.pairs[number], network, flow)
        found.append(seen)
    return found


def _by_way_of_the_next(held: FramePairs, pair: Mapping[str, Any], network: FlowRefiner, flow: Tensor) -> float:
    """How far apart the motion over two frames and the two motions of one frame end, relative to their length; nan at
    the end of a scene.
    """
    scene, first = pair['scene'], pair['index']
    if first + 2 >= len(held.frame_names(scene)):
        return math.nan
    frames = as_frames([held.frame(scene, first + k) for k in range(3)])
    onward, direct = (network.estimate(frames[k:k + 1], frames[2:])[-1].float() for k in (1, 0))
    error, known = composite_error(flow, onward, direct)
    length = float(direct.norm(dim=1).double().mean())
    shown = torch.where(known, error, torch.zeros_like(error)).clamp(max=20).double()
    return float(shown.sum() / known.double().sum().clamp(min=1)) / (1 + length)


def _mean_loss(after: Seen, before: Seen, weights: Mapping[str, float]) -> float:
    """As the guard adds them up; of one witness over the pairs where it says something."""
    told = [(one, other) for one, other in zip(after, before)
            if any(not math.isnan(one[name] + other[name]) for name in weights)]
    found = [loss_against(one, other, weights, ALL_FLOORS) for one, other in told]
    return math.fsum(found) / len(found) if found else math.nan


def _row(what: str, true: Sequence[float], losses: Sequence[float]) -> str:
    told = [(one, loss) for one, loss in zip(true, losses) if not math.isnan(loss)]
    rank = rank_correlation(*zip(*told)) if len(told) > 2 else math.nan
    better, others = [loss for one, loss in told if one <= BETTER], [loss for one, loss in told if one >= 0]
    shares = (f'{sum(loss < 0 for loss in group)} of {len(group)}' for group in (better, others))
    return f'| {what} | {rank:.2f} of {len(told)} | {" | ".join(shares)} |'


if __name__ == '__main__':
    run_command(main)
