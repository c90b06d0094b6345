"""What features say of wrong labels: four measures of how they contradict a flow, on rendered pairs with exact motion.

    python benchmarks/feature_agreement.py --features work_dirs/corrflow/resnet18_demo/refined.pth
    python benchmarks/feature_agreement.py --look source

The figure is the chance that a wrong pixel gets a higher value than a right one (the area under the ROC curve; 0.5 says
nothing), over all pixels whose motion stays in the frame, and over those of them that pass a loose cycle filter. Flow
is that of the demo network. Without ``--features`` the weights are random. The measures, at the middles of the cells:

- ``place``: change of the features, 1 - cosine, from a pixel to the end of its motion (``FeatureAgreement``)
- ``gap``: how much less the change is at the best place of the window than there
- ``points``: px from there to where the features point, the soft arg max of the window that propagation copies by
- ``cycle``: px of the round trip of the flow, for comparison
"""
from __future__ import annotations

import argparse
from pathlib import Path
from typing import Dict, List, Optional, Sequence, Tuple

import torch
import torch.nn.functional as F
from torch import Tensor

from mmrefine.apis import init_model
from mmrefine.apis.commands import run_command
from mmrefine.geometry import (copy_labels, cycle_consistent, cycle_error, feature_change, landing_points, lands_inside,
                               pixel_grid, sample)
from mmrefine.models import CorrespondenceLearner, load_estimator
from mmrefine.structures import FlowEstimator, as_frames
from mmrefine.synthetic import STYLES, render_clip
from mmrefine.values import as_count

ROOT = Path(__file__).resolve().parents[1]
SIZE, STRIDE = (128, 192), 4
FIRST_SEED = 40_000  # far from those of the training and of the demo
SHARPNESS = 20.  # of the softmax over cosines that finds the best place of a window
LIMITS = (1., 3.)  # px; labels that are off by more are wrong


def main(argv: Optional[Sequence[str]] = None) -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--features', help='weights of CorrFlow')
    parser.add_argument('--look', default='target', choices=sorted(STYLES))
    parser.add_argument('--videos', type=int, default=12)
    args = parser.parse_args(argv)
    as_count('--videos', args.videos)
    teacher = init_model(ROOT / 'configs/demo/raft_small_target.py', ROOT / 'configs/demo/raft_small_source.pth')
    torch.manual_seed(0)
    network = CorrespondenceLearner(dict(type='mmrefine.CorrFlowEncoder'))
    if args.features:
        load_estimator(network, args.features)
    network.eval()
    seen = [_measures(teacher, network, FIRST_SEED + i, args.look) for i in range(args.videos)]
    whole = {name: torch.cat([one[name] for one in seen]) for name in seen[0]}
    names = ('place', 'gap', 'points', 'cycle')
    print(f'{"pixels, wrong by":28}{"wrong":>8}' + ''.join(f'{name:>8}' for name in names))
    for of, kept in (('in the frame', torch.ones_like(whole['passes'])), ('past the cycle filter', whole['passes'])):
        for limit in LIMITS:
            wrong = whole['error'][kept] > limit
            areas = ''.join(f'{_area(whole[name][kept], wrong):8.3f}' for name in names)
            print(f'{of + f", {limit:g} px":28}{float(wrong.float().mean()):8.1%}{areas}')
    return 0


@torch.no_grad()
def _measures(teacher: FlowEstimator, network: CorrespondenceLearner, seed: int, look: str) -> Dict[str, Tensor]:
    """Of each cell whose motion stays in the frame."""
    clip = render_clip(seed, 2, SIZE, look)
    frames = as_frames(clip.frames)
    flow_fw, flow_bw = (teacher.estimate(one[None], two[None])[-1] for one, two in (frames, frames.flip(0)))
    error = (flow_fw - torch.from_numpy(clip.flow_fw)[:1].float()).norm(dim=1, keepdim=True)
    one, two = network.encode(frames).split(1)
    cells = pixel_grid(*one.shape[-2:], one) * STRIDE + (STRIDE - 1) / 2
    at_cells: List[Tensor] = [sample(values.float(), cells)[0, 0] for values in (
        error, cycle_error(flow_fw, flow_bw).clamp(max=50.), lands_inside(flow_fw), cycle_consistent(flow_fw, flow_bw,
                                                                                                     0.01, 0.5))]
    end = sample(landing_points(flow_fw), cells)
    place = feature_change(one, cells, two, end, STRIDE)
    sharp = SHARPNESS * F.normalize(one, dim=1), F.normalize(two, dim=1)[:, None]
    best = copy_labels(*sharp, two[:, None], network.radius, 1)
    points = copy_labels(one, two[:, None], cells[:, None], network.radius)
    found: Dict[str, Tuple[Tensor, ...]] = dict(
        place=place[0, 0], gap=(place - 1 + F.cosine_similarity(one, best, dim=1)[:, None])[0, 0],
        points=(points - end).norm(dim=1)[0], error=at_cells[0], cycle=at_cells[1], passes=at_cells[3] > 0.99)
    return {name: values[at_cells[2] > 0.99] for name, values in found.items()}


def _area(scores: Tensor, wrong: Tensor) -> float:
    """Under the ROC curve, by the ranks of the wrong ones (Mann and Whitney)."""
    ranks = torch.empty(len(scores), dtype=torch.float64)
    ranks[scores.argsort()] = torch.arange(1, len(scores) + 1, dtype=torch.float64)
    count = float(wrong.sum())
    return (float(ranks[wrong].sum()) - count * (count + 1) / 2) / (count * (len(wrong) - count))


if __name__ == '__main__':
    run_command(main)
