"""How well could a network follow a label, if all that it can say is one motion for each cell of 8 px, enlarged?

RAFT-small ends like that: its flow is a bilinear enlargement of a map of cells, without learned upsampling. So however
long it is trained, a sharp border in a label becomes a ramp. For each view that labels may come from, its motion is
scored on DAVIS as it is (``davis_clips.score_clip``), and again after each flow has been replaced by that enlarged map
which is nearest to it in the mean of absolute differences, as the losses of stage 2 measure distance.

    python benchmarks/cells_limit.py --davis DAVIS --badja BADJA --sequences car-shadow
"""
from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any, Dict, Optional, Sequence, Tuple

import torch
import torch.nn.functional as F
from davis_clips import MEASURES, Clip, Flow, read_clip, score_clip
from davis_student import LOOK, ROOT, VIEWS
from torch import Tensor

from mmrefine.apis import init_model
from mmrefine.apis.commands import run_command
from mmrefine.apis.named_models import load_named
from mmrefine.errors import ConfigError
from mmrefine.geometry import resize
from mmrefine.registry import TEACHER_VIEWS
from mmrefine.structures import LookRequest, PairBatch

CELL = 8  # px
ITERS, RATE = 150, 0.1  # steps of Adam and its rate, px


def main(argv: Optional[Sequence[str]] = None) -> int:
    """Score each view as it is, and in cells."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--davis', type=Path, default=Path('data/davis'), help='folder of DAVIS 2016 or 2017')
    parser.add_argument('--badja', type=Path, help='folder of joints; without it there is no PCK')
    parser.add_argument('--checkpoint', default=str(ROOT / 'checkpoints' / 'raft-small-mmrefine.pth'),
                        help='official RAFT-small, converted (tools/convert_checkpoint.py)')
    parser.add_argument('--sequences', nargs='+', default=['car-shadow'])
    parser.add_argument('--views', nargs='+', choices=(LOOK, *VIEWS), default=[LOOK, *VIEWS])
    parser.add_argument('--height', type=int, default=240, help='working size, px, a multiple of 8')
    parser.add_argument('--width', type=int, default=432, help='working size, px, a multiple of 8')
    parser.add_argument('--iters', type=int, default=12, help='iterations of the network')
    parser.add_argument('--frames', type=int, help='only the first so many frames, at least 3, to try it out')
    args = parser.parse_args(argv)
    if args.height % CELL or args.width % CELL:
        raise ConfigError(f'--height and --width must be multiples of {CELL}, got {args.height} and {args.width}')
    cfg = load_named('raft_small', {'model.test_iters': args.iters})
    model = init_model(cfg, args.checkpoint)
    views: Dict[str, Any] = {LOOK: cfg.labeler.view.to_dict(), **VIEWS}
    for name in args.sequences:
        clip = read_clip(args.davis, args.badja, name, (args.height, args.width), args.frames)
        for view in args.views:
            flow = remembered(model, views[view])
            _print(clip, view, flow)
            _print(clip, f'{view}, in cells', lambda one, two: in_cells(flow(one, two)))
    return 0


def remembered(model: Any, view: Dict[str, Any]) -> Flow:
    """The flow of a view from one frame to another, estimated once."""
    part, forward = TEACHER_VIEWS.build(view), LookRequest(backward=False)
    found: Dict[Tuple[bytes, bytes], Tensor] = {}

    def flow(frames1: Tensor, frames2: Tensor) -> Tensor:
        key = (frames1.numpy().tobytes(), frames2.numpy().tobytes())
        if key not in found:
            with torch.no_grad():
                found[key] = part.look(model, PairBatch(frames1, frames2), forward).flow_fw
        return found[key]

    return flow


def in_cells(flow: Tensor) -> Tensor:
    """The enlarged map of cells that is nearest to a flow ``(B, 2, H, W)``, px, H and W multiples of 8: the mean
    absolute difference is brought down from that of the means of the cells."""
    size = (flow.shape[-2], flow.shape[-1])
    cells = F.avg_pool2d(flow, CELL).clone().requires_grad_(True)
    optimizer = torch.optim.Adam([cells], lr=RATE)
    with torch.enable_grad():
        for _ in range(ITERS):
            optimizer.zero_grad()
            (resize(cells, size) - flow).abs().mean().backward()
            optimizer.step()
    return resize(cells.detach(), size)


def _print(clip: Clip, name: str, flow: Flow) -> None:
    scores = score_clip(clip, flow)
    print(f'{clip.name}, {name}:', *(f'{measure} {100 * scores[measure]:.1f}' for measure in MEASURES
                                     if scores.get(measure) is not None), flush=True)


if __name__ == '__main__':
    run_command(main)
