"""Does our PIPs compute what its authors' code computes? Random weights of theirs, converted, in both.

    git clone https://github.com/aharley/pips
    python benchmarks/pips_parity.py --pips pips
    python benchmarks/pips_parity.py --pips pips --height 384 --width 640 --points 128 --many 0

Printed for stride 4 and 8: the largest difference of the points of one window (px) in single and in double precision,
and of the authors' code from itself in both: what rounding alone does; the largest difference of the visibility
(logits), and of the points along a whole video by their chaining; then what each takes for many points in one window:
theirs encodes the frames again for each 512 of them.
"""
from __future__ import annotations

import argparse
import math
import sys
import time
import types
from pathlib import Path
from typing import Any, Callable, Dict, List

import torch
from torch import Tensor, nn

from mmrefine.apis.commands import run_command
from mmrefine.compat.pips_checkpoints import convert_pips
from mmrefine.models.networks import PIPs
from mmrefine.models.trackers import PIPsChain

CHUNK = 512  # of the authors' label making


def main() -> int:
    """Compare, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--pips', type=Path, required=True, help='a checkout of aharley/pips')
    parser.add_argument('--strides', type=int, nargs='+', default=[4, 8], choices=[4, 8])
    parser.add_argument('--height', type=int, default=128)
    parser.add_argument('--width', type=int, default=192)
    parser.add_argument('--points', type=int, default=32, help='compared')
    parser.add_argument('--frames', type=int, default=16, help='of the video')
    parser.add_argument('--many', type=int, default=4608, help='points that are timed: 8 heads times 24x24; 0: none')
    parser.add_argument('--times', type=int, default=1, help='that each is timed; the fastest counts')
    args = parser.parse_args()
    official = official_code(args.pips)
    print('| stride | mean motion, px | window, px | in double precision | theirs, single to double | visibility | '
          'chained, px | authors, s | ours, s | times as fast |\n' + '|---' * 10 + '|')
    for stride in args.strides:
        torch.manual_seed(stride)
        theirs = official.Pips(stride=stride).eval()
        calm([part for part in theirs.delta_block.to_delta if isinstance(part, nn.Linear)][-1])
        ours = PIPs(stride=stride).eval()
        ours.load_state_dict(convert_pips(theirs.state_dict()), strict=True)
        row = _compared(args, theirs, ours)
        gaps = ' | '.join(f'{row[name]:.1e}' for name in ('window', 'double', 'rounding', 'visibility', 'chained'))
        print(f'| {stride} | {row["motion"]:.1f} | {gaps} | {row["theirs"]:.1f} | {row["ours"]:.1f} | '
              f'{row["theirs"] / row["ours"]:.2f} |', flush=True)
    return 0


def official_code(folder: Path) -> Any:
    """Their module; einops' one layer that it needs is put in its place, and constants stay where the tensors are."""

    class Mean(nn.Module):
        """``Reduce('b n c -> b c', 'mean')``."""

        def __init__(self, *ignored: str) -> None:
            super().__init__()

        def forward(self, x: Tensor) -> Tensor:
            return x.mean(dim=1)

    layers = types.ModuleType('einops.layers.torch')
    layers.Reduce = layers.Rearrange = Mean  # type: ignore[attr-defined]
    einops = types.ModuleType('einops')
    einops.rearrange = einops.repeat = None  # type: ignore[attr-defined]
    sys.modules.update({'einops': einops, 'einops.layers': types.ModuleType('einops.layers'),
                        'einops.layers.torch': layers})
    if not torch.cuda.is_available():
        torch.Tensor.cuda = lambda self, *more: self  # type: ignore[method-assign]
    sys.path.insert(0, str(folder))
    from nets import pips
    return pips


def calm(last: nn.Linear) -> None:
    """Make the last layer a tenth of what it is, so that points move by a pixel or two.

    The network sees sines of where a point is, of up to 969 radians for a pixel of the features: a difference in the
    last bit is a thousand times as large in the next iteration, and random weights throw points about by as much.
    """
    with torch.no_grad():
        last.weight.mul_(0.1)


@torch.no_grad()
def _compared(args: argparse.Namespace, theirs: nn.Module, ours: PIPs) -> Dict[str, float]:
    """The largest differences, and seconds for many points."""
    video = drifting_waves(args.frames, args.height, args.width)
    size = torch.tensor([args.width, args.height]) - 1
    queries = torch.rand(1, args.points, 2) * size
    window = video[:8]
    points, _, visibility, _ = theirs(queries, 255 * window[None], iters=6)
    out = ours(ours.encode(window)[None], queries, 6)
    found = dict(motion=float((points[-1] - queries[:, None]).norm(dim=-1).mean()),
                 window=_gap(points[-1], out.points[-1]), visibility=_gap(visibility, out.visibility))
    exact = theirs.double()(queries.double(), 255 * window[None].double(), iters=6)[0][-1]
    ours.double()
    found['double'] = _gap(exact, ours(ours.encode(window.double())[None], queries.double(), 6).points[-1])
    found['rounding'] = _gap(exact, points[-1].double())
    theirs.float(), ours.float()
    few = queries[0, :3]
    chained = PIPsChain(ours).track(video.__getitem__, len(video), (args.height, args.width),
                                    torch.cat([torch.zeros(len(few), 1), few.flip(1)], dim=1))
    found['chained'] = _gap(torch.stack([_their_chain(theirs, video, point) for point in few]), chained.points)
    many = torch.rand(1, args.many, 2) * size

    def chunkwise() -> None:
        for some in many.split(CHUNK, dim=1):
            theirs(some, 255 * window[None], iters=6)

    def at_once() -> None:
        features = ours.encode(window)[None]
        for some in many.split(CHUNK, dim=1):
            ours(features, some, 6)

    if not args.many:
        return dict(found, theirs=math.nan, ours=math.nan)
    return dict(found, theirs=_seconds(chunkwise, args.times), ours=_seconds(at_once, args.times))


def _their_chain(network: nn.Module, video: Tensor, point: Tensor) -> Tensor:
    """One point along a video ``(T, 3, H, W)`` by their network and the rule of their demo, ``(T, 2)`` px."""
    at, path, feature = 0, torch.zeros(len(video), 2), None
    path[0] = point
    while at < len(video):
        shown = video[at:at + 8]
        padded = torch.cat([shown, shown[-1:].expand(8 - len(shown), -1, -1, -1)])
        points, _, visibility, feature, _ = network(path[at].view(1, 1, 2), 255 * padded[None], iters=6,
                                                    feat_init=feature, return_feat=True)
        path[at:at + 8] = points[-1][0, :len(shown), 0]
        sure, bar, on = visibility.sigmoid()[0, :, 0], 0.9, 7
        while not sure[on] > bar:
            on -= 1
            if on == 1:
                bar, on = bar - 0.02, 7
        at += on
    return path


def drifting_waves(frames: int, height: int, width: int) -> Tensor:
    """Waves that drift, and noise: ``(T, 3, H, W)`` in [0, 1]."""
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing='ij')
    shown: List[Tensor] = []
    for t in range(frames):
        waves = [torch.sin((x + 2 * t) / k + y / (k + 2)) * math.cos(k) for k in (5., 9., 14.)]
        shown.append(0.5 + 0.2 * torch.stack(waves) + 0.05 * torch.randn(3, height, width))
    return torch.stack(shown).clamp(0, 1)


def _gap(one: Tensor, other: Tensor) -> float:
    return float((one - other).abs().max())


def _seconds(call: Callable[[], None], times: int) -> float:
    """Of the fastest of ``times`` calls."""
    taken = []
    for _ in range(times):
        begun = time.perf_counter()
        call()
        taken.append(time.perf_counter() - begun)
    return min(taken)


if __name__ == '__main__':
    run_command(main)
