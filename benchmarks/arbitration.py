"""Which pass is right: EPE of single passes, of the cascade and of rules that choose between passes without truth,
on pairs with truth.

    python benchmarks/arbitration.py --checkpoint checkpoints/raft-small-mmrefine.pth --pairs PAIRS

Pairs: every `A-img0.ppm A-img1.ppm A-gt.flo` below --pairs, and any `frame_0001.png frame_0002.png frame_0001.flo`,
`frame10.png frame11.png flow10.flo` and `frame1.png frame2.png flow_noc.png` (KITTI); and always rendered ones, slow
and fast, some of them enlarged three times. EPE in px over all pixels whose truth is known, those that leave the frame
too. The means are geometric, of the ratio to 1x. `least cycle` takes at each pixel that of the passes of `ours` which
makes the shortest round trip, `oracle` the one that is closest to the truth; `mean` is their plain mean.
"""
from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path
from typing import Dict, Iterator, List, NamedTuple, Optional, Tuple

import numpy as np
import torch
from torch import Tensor

from mmrefine.apis import init_model
from mmrefine.apis.commands import run_command
from mmrefine.fileio.flow_io import read_flow
from mmrefine.fileio.images import read_image
from mmrefine.geometry import cycle_error, resize, resize_flow
from mmrefine.labeling import ArbitratedView, CascadeView
from mmrefine.structures import FlowEstimator, PairBatch, as_frames
from mmrefine.synthetic import render_clip
from mmrefine.synthetic.style import SOURCE, TARGET

CONFIG = Path(__file__).resolve().parents[1] / 'configs' / 'refine' / 'raft_small_video.py'
CLASSES = (('slow, below 5 px', 0., 5.), ('medium, 5 to 15 px', 5., 15.), ('fast, 15 px and more', 15., float('inf')))
RULES = ('2x', '1x, 2x', 'least cycle', 'mean', 'ours', 'oracle')


class Pair(NamedTuple):
    """Frames ``(1, 3, H, W)`` in [0, 1], motion ``(1, 2, H, W)`` px and where it is known."""
    name: str
    frames1: Tensor
    frames2: Tensor
    truth: Tensor
    known: Tensor


def main() -> int:
    """Print one row for each pair, then one for each class of motion."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--checkpoint', required=True,
                        help='official RAFT-small, converted (tools/convert_checkpoint.py)')
    parser.add_argument('--pairs', type=Path, help='folder of pairs with truth; default: rendered pairs only')
    parser.add_argument('--crop', nargs=2, type=int, default=(256, 384), metavar=('H', 'W'),
                        help='middle of the frames, px')
    parser.add_argument('--rendered', type=int, default=3, help='rendered pairs of each kind')
    parser.add_argument('--iters', type=int, default=12, help='of RAFT')
    args = parser.parse_args()
    model = init_model(CONFIG, args.checkpoint)
    model.test_iters = args.iters
    print(f'{"pair":34}{"motion":>8}{"1x":>8}' + ''.join(f'{rule:>13}' for rule in RULES) + f'{"from 1x":>9}')
    motions: List[float] = []
    ratios: List[Dict[str, float]] = []
    for pair in [*(filed_pairs(args.pairs, tuple(args.crop)) if args.pairs else ()), *_rendered(args.rendered)]:
        motion = pair.truth.norm(dim=1, keepdim=True)[pair.known].mean().item()
        epe, share = _errors(model, pair)
        print(f'{pair.name[-33:]:34}{motion:8.2f}{epe["1x"]:8.3f}' + ''.join(f'{epe[rule]:13.3f}' for rule in RULES)
              + f'{share:9.2f}', flush=True)
        motions.append(motion)
        ratios.append({rule: epe[rule] / epe['1x'] for rule in RULES})
    print('\nEPE over that of 1x: geometric mean (worst pair)')
    for name, low, high in (*CLASSES, ('slow and medium', 0., 15.), ('all', 0., float('inf'))):
        chosen = [ratio for ratio, motion in zip(ratios, motions) if low <= motion < high]
        if chosen:
            print(f'{name + f", {len(chosen)} pairs":50}'
                  + ''.join(_mean([ratio[rule] for ratio in chosen]) for rule in RULES))
    return 0


@torch.no_grad()
def _errors(model: FlowEstimator, pair: Pair) -> tuple:
    """EPE of each rule, px, and the share of the first pass in ours."""
    batch, teacher, view = PairBatch(pair.frames1, pair.frames2), _Remembering(model), ArbitratedView()
    ours = view.look(teacher, batch)
    passes = torch.stack(list(view.motions(teacher, batch).values()))
    trips = torch.stack([cycle_error(one, one.flip(0)) for one in passes])
    flows = {
        '1x': CascadeView(scales=(1., )).look(teacher, batch).both_ways(),
        '2x': CascadeView(scales=(2., )).look(teacher, batch).both_ways(),
        '1x, 2x': CascadeView(scales=(1., 2.)).look(teacher, batch).both_ways(),
        'least cycle': passes.gather(0, trips.argmin(dim=0, keepdim=True).expand_as(passes[:1]))[0],
        'mean': passes.mean(dim=0),
        'ours': ours.both_ways(),
    }
    errors = {rule: (flow[:1] - pair.truth).norm(dim=1, keepdim=True) for rule, flow in flows.items()}
    errors['oracle'] = (passes[:, :1] - pair.truth).norm(dim=2, keepdim=True).amin(dim=0)
    return {rule: error[pair.known].mean().item() for rule, error in errors.items()}, ours.shares_fw[0]['from_1x']


class _Remembering:
    """A teacher that answers the same question once: no pass is computed twice."""

    def __init__(self, model: FlowEstimator) -> None:
        self.model, self.accepts_flow_init = model, model.accepts_flow_init
        self.known: List[Tuple[Tensor, Tensor, Optional[Tensor], Tensor]] = []

    def estimate(self, frames1: Tensor, frames2: Tensor, flow_init: Optional[Tensor] = None) -> List[Tensor]:
        """The last flow, as in ``FlowEstimator``."""
        asked = (frames1, frames2, flow_init)
        for *known, answer in self.known:
            if all(one is two or (one is not None and two is not None and torch.equal(one, two))
                   for one, two in zip(known, asked)):
                return [answer]
        answer = self.model.estimate(frames1, frames2, flow_init)[-1]
        self.known.append((*asked, answer))
        return [answer]


def filed_pairs(root: Path, crop: Optional[tuple] = None) -> Iterator[Pair]:
    """The middle of the pairs below a folder, or the whole frames."""
    for path in sorted([*root.rglob('*.flo'), *root.rglob('flow_noc.png')]):
        first, second = {
            'frame_0001': ('frame_0001.png', 'frame_0002.png'),
            'flow10': ('frame10.png', 'frame11.png'),
            'flow_noc': ('frame1.png', 'frame2.png')
        }.get(path.stem, (path.name.replace('-gt.flo', '-img0.ppm'), path.name.replace('-gt.flo', '-img1.ppm')))
        flow, known = read_flow(path)
        arrays = [read_image(path.parent / first), read_image(path.parent / second), flow, known[..., None]]
        height, width = crop or flow.shape[:2]
        top, left = max((flow.shape[0] - height) // 2, 0), max((flow.shape[1] - width) // 2, 0)
        tensors = [torch.from_numpy(np.ascontiguousarray(array[top:top + height, left:left + width]))
                   for array in arrays]
        one, two, truth, where = (tensor.permute(2, 0, 1)[None] for tensor in tensors)
        yield Pair(f'{path.parent.name}/{path.stem}', one.float() / 255, two.float() / 255, truth.float(), where)


def _rendered(count: int) -> Iterator[Pair]:
    """Both styles as they are, both several times as fast, and a part of the source style
    enlarged three times.
    """
    fast = dict(object_speed=(0.05, 0.3), camera_speed=(0.05, 0.15))
    kinds = {
        'source': (SOURCE, (192, 256), 1),
        'target': (TARGET, (128, 192), 1),
        'source, fast': (dataclasses.replace(SOURCE, **fast), (256, 384), 1),
        'target, fast': (dataclasses.replace(TARGET, **fast), (256, 384), 1),
        'source, enlarged': (SOURCE, (96, 128), 3)
    }
    for kind, (style, size, factor) in kinds.items():
        for i in range(count):
            clip = render_clip(40000 + i, 2, size, style)
            frames = as_frames(clip.frames)
            truth, seen = torch.from_numpy(clip.flow_fw), (factor * size[0], factor * size[1])
            frames, truth = resize(frames, seen), resize_flow(truth, seen)
            yield Pair(f'{kind} {i}', frames[:1], frames[1:], truth, torch.ones_like(truth[:, :1], dtype=torch.bool))


def _mean(ratios: List[float]) -> str:
    return f'{f"{np.exp(np.log(ratios).mean()):.3f} ({max(ratios):.2f})":>13}'


if __name__ == '__main__':
    run_command(main)
