"""What a second pass is worth, and what more iterations are, or fewer where it starts from a flow (`--second`): EPE of
several networks and teacher views on both rendered styles, on the same videos, and seconds of computing for a pair.

    python benchmarks/teacher_views.py demo=configs/demo/raft_small_source.pth
    official=checkpoints/raft-small-mmrefine.pth
    pwcnet=configs/demo/pwcnet_small_source.py=configs/demo/pwcnet_small_source.pth
"""
from __future__ import annotations

import argparse
import time
from itertools import product
from pathlib import Path
from typing import Any, Dict, List, Sequence, Tuple

import numpy as np
import torch

from mmrefine.apis import init_model
from mmrefine.apis.commands import run_command
from mmrefine.labeling import CascadeView
from mmrefine.structures import FlowEstimator, LookRequest, PairBatch, as_frames
from mmrefine.synthetic import render_clip

CONFIG = Path(__file__).resolve().parents[1] / 'configs' / 'demo' / 'raft_small_target.py'
VIEWS: Dict[str, Tuple[float, ...]] = {'1x': (1., ), '1x, 2x': (1., 2.)}
TIMES = (1, 2, 4)  # as many iterations as the config says


def main() -> int:
    """Print one row for each look, network and view."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('networks', nargs='+', metavar='NAME=[CONFIG=]CHECKPOINT',
                        help='RAFT-small checkpoints, or those of another config')
    parser.add_argument('--videos', type=int, default=8, help='of each look')
    parser.add_argument('--second', type=int, nargs='+', default=[], metavar='N',
                        help='also two passes, the second one of so many iterations, for networks that iterate')
    args = parser.parse_args()
    print(f'{"look":8}{"network":12}{"view":10}{"iters":>6}{"motion":>8}{"EPE":>8}{"median":>8}{"s a pair":>10}   '
          f'px, {args.videos} videos')
    for look, size, frames in (('source', (192, 256), 2), ('target', (128, 192), 3)):
        # seeds far from those of the training and of the demo
        clips = [render_clip(20000 + i, frames, size, look) for i in range(args.videos)]
        for network in args.networks:
            name, *config, path = network.split('=')
            model = init_model(config[0] if config else CONFIG, path)
            # only networks that iterate can start from a flow
            asked: List[Tuple[str, Any]] = [(view, None) for view in VIEWS]
            if model.accepts_flow_init:
                asked = list(product(VIEWS, (times * model.test_iters for times in TIMES)))
                asked += [('1x, 2x', (model.test_iters, second)) for second in args.second]
            for view, iters in asked:
                motion, epe, median, seconds = _errors(model, CascadeView(scales=VIEWS[view], iters=iters), clips)
                shown = '+'.join(map(str, iters)) if isinstance(iters, tuple) else iters or ''
                print(f'{look:8}{name:12}{view:10}{shown:>6}{motion:8.2f}{epe:8.3f}{median:8.3f}{seconds:10.2f}',
                      flush=True)
    return 0


@torch.no_grad()
def _errors(model: FlowEstimator, view: CascadeView, clips: Sequence) -> Tuple[float, float, float, float]:
    """Mean motion, pooled EPE and the mean of the medians, px, and seconds of computing for a pair."""
    motions, errors, medians = [], [], []
    pairs, began = sum(len(clip.flow_fw) for clip in clips), time.process_time()
    for clip in clips:
        frames = as_frames(clip.frames)
        truth = torch.from_numpy(clip.flow_fw)
        look = view.look(model, PairBatch(frames[:-1], frames[1:]), LookRequest(backward=False))
        error = (look.flow_fw - truth).norm(dim=1)
        motions.append(truth.norm(dim=1).mean().item())
        errors.append(error.mean().item())
        medians.append(error.median().item())
    seconds = (time.process_time() - began) / pairs
    return float(np.mean(motions)), float(np.mean(errors)), float(np.mean(medians)), seconds


if __name__ == '__main__':
    run_command(main)
