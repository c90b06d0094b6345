"""Does our CRAFT compute what its authors' code computes? Random weights of theirs, converted, in both.

    git clone https://github.com/askerlee/craft
    python benchmarks/craft_parity.py --craft craft
    python benchmarks/craft_parity.py --memory

Printed for frames of each size: the largest differences of the flow (px) after each of the iterations that are named,
from rest and from a start; of the smoothed features of frame 2, the correlation volume and the aggregated motion, in
float64; and what each takes. Each part is compared with 1: their values are normed. ``--memory`` needs no other code:
it prints the peak memory of our network for one pair of 376 x 1248 px, one way and both ways.
"""
from __future__ import annotations

import argparse
import copy
import resource
import sys
import time
import types
from pathlib import Path
from typing import Any, Dict, List, Tuple

import torch
from mmengine.config import Config
from pips_parity import drifting_waves
from torch import Tensor

from mmrefine.apis.commands import run_command
from mmrefine.compat.config_names import own_config_root
from mmrefine.compat.craft_checkpoints import convert_craft
from mmrefine.models import FlowRefiner

KITTI = (376, 1248)  # (height, width) px, padded
# of their evaluation script, with --craft --f2 full --setrans
SETTINGS = dict(
    craft=True, use_setrans=True, f1trans='none', f2trans='full', corr_radius=4, mixed_precision=False, num_heads=1,
    inter_num_modes=4, intra_num_modes=4, f2_num_modes=4, inter_qk_have_bias=True, inter_pos_code_type='bias',
    intra_pos_code_type='bias', inter_pos_code_weight=0.5, intra_pos_code_weight=1.0, f2_pos_code_weight=0.5,
    f2_attn_mask_radius=-1, pos_bias_radius=7, position_only=False, position_and_content=False)


def main() -> int:
    """Compare, print; 1 if the flows differ by more than allowed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--craft', type=Path, help='a checkout of askerlee/craft')
    parser.add_argument('--sizes', nargs='+', default=['128x192', '184x320'], metavar='HxW', help='multiples of 8 px')
    parser.add_argument('--iters', type=int, default=12)
    parser.add_argument('--allowed', type=float, default=1e-3, help='px')
    parser.add_argument('--memory', action='store_true', help='print the peak memory of our network')
    args = parser.parse_args()
    if args.memory:
        print(memory_rows(args.iters))
    if args.craft is None:
        if not args.memory:
            parser.error('name a checkout with --craft, or ask for --memory')
        return 0
    theirs = official_network(args.craft)
    ours = our_network()
    ours.estimator.load_state_dict(convert_craft(theirs.state_dict()), strict=True)
    print('| size | mean motion, px | from rest, px | from a start, px | F2 | volume | motion | authors, s | ours, s |')
    print('|---|---|---|---|---|---|---|---|---|')
    worst = 0.
    for text in args.sizes:
        row = compared(theirs, ours, (int(text.split('x')[0]), int(text.split('x')[1])), args.iters)
        gaps = ' | '.join(f'{row[name]:.1e}' for name in ('rest', 'start', 'f2', 'volume', 'motion'))
        print(f'| {text} | {row["flow"]:.1f} | {gaps} | {row["theirs"]:.1f} | {row["ours"]:.1f} |', flush=True)
        worst = max(worst, row['rest'], row['start'])
    print(f'largest difference of the flows: {worst:.1e} px, allowed: {args.allowed:g} px')
    return int(not worst <= args.allowed)


def our_network() -> FlowRefiner:
    """The standard CRAFT, with random weights."""
    model = Config.fromfile(own_config_root() / '_base_/models/craft.py').model
    return FlowRefiner(model.estimator).eval()


def official_network(folder: Path) -> Any:
    """Theirs; what it imports and does not use is put in its place."""
    for name, member in (('einops', 'rearrange'), ('scipy', 'interpolate')):
        module = types.ModuleType(name)
        setattr(module, member, None)
        sys.modules.setdefault(name, module)
    sys.path.insert(0, str(folder / 'core'))
    import setrans
    import utils.utils

    for module in (setrans, utils.utils):
        module.print0 = lambda *_: None  # type: ignore[attr-defined]
    setrans.SlidingPosBiases2D.__init__.__defaults__ = (2, 7, (64, 64))  # smaller tables of places: the same, sooner
    import network
    network.print0 = lambda *_: None  # type: ignore[attr-defined]
    torch.manual_seed(0)
    found = network.CRAFT(argparse.Namespace(**SETTINGS)).eval()
    with torch.no_grad():
        for name, value in found.named_parameters():
            if name.endswith('pos_coder.biases'):
                value.normal_()  # 0 at the start: they would not show
            if name.endswith('feat2score.weight'):
                value.mul_(50)  # nearly 0 at the start: all modes would weigh the same
            if name.endswith('setrans.query.weight') or name.endswith('setrans.key.weight'):
                value.mul_(3)  # attention that prefers some cells
        # random weights throw the flow about by so much that a difference in the last bit is one of pixels later
        found.update_block.flow_head.conv2.weight.mul_(0.2)
    return found


@torch.no_grad()
def compared(theirs: Any, ours: FlowRefiner, size: Tuple[int, int], iters: int) -> Dict[str, float]:
    """The largest differences, and seconds."""
    frames = drifting_waves(2, *size)
    one, two = frames[:1], frames[1:]
    start = 8 * torch.randn(1, 2, size[0] // 8, size[1] // 8).repeat_interleave(8, 2).repeat_interleave(8, 3)
    begun = time.perf_counter()
    wanted = theirs(255 * one, 255 * two, iters=iters)
    middle = time.perf_counter()
    found = ours.plain_flows(one, two, iters=iters)
    row = dict(theirs=middle - begun, ours=time.perf_counter() - middle)
    row['flow'] = float(wanted[-1].norm(dim=1).mean())
    row['rest'] = _gap(wanted, found)
    row['start'] = _gap(theirs(255 * one, 255 * two, iters=iters, flow_init=start[:, :, ::8, ::8] / 8),
                        ours.plain_flows(one, two, start, iters=iters))
    return {**row, **parts(theirs, ours.estimator, size)}


@torch.no_grad()
def parts(theirs: Any, ours: Any, size: Tuple[int, int]) -> Dict[str, float]:
    """The largest differences of the parts, in float64."""
    net, own = (copy.deepcopy(network).double() for network in (theirs, ours))
    height, width = size[0] // 8, size[1] // 8
    feat1, feat2 = torch.randn(2, 1, 256, height, width, dtype=torch.float64)
    context, motion = torch.randn(2, 1, 128, height, width, dtype=torch.float64)
    smooth = net.f2_trans(feat2)
    net.corr_fn.update(feat1, smooth, None, None, torch.zeros(1, 2, height, width))
    collected = net.update_block.aggregator(motion.flatten(2).mT, net.att(context.relu()))
    return dict(
        f2=_gap([smooth], [own.f2_trans(feat2)]),
        volume=_gap(net.corr_fn.corr_pyramid, own.decoder.corr_block(feat1, smooth)),
        motion=_gap([collected.mT.view_as(motion)], [own.decoder.aggregator(own.decoder.attn(context.relu()), motion)]))


@torch.no_grad()
def memory_rows(iters: int) -> str:
    """The peak of this process, in all, after each step."""
    rows = ['| step | peak of the process, MB | s |', '|---|---|---|', f'| before | {_peak():.0f} | |']
    ours = our_network()
    frames = drifting_waves(2, *KITTI)
    ways = (('one way', lambda: ours.estimate(frames[:1], frames[1:], iters=iters)),
            ('both ways', lambda: ours.estimate_both(frames[:1], frames[1:], iters=iters)))
    for name, call in ways:
        begun = time.perf_counter()
        call()
        rows.append(f'| {KITTI[0]}x{KITTI[1]}, {iters} iterations, {name} | {_peak():.0f} | '
                    f'{time.perf_counter() - begun:.1f} |')
    return '\n'.join(rows)


def _peak() -> float:
    """MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _gap(wanted: List[Tensor], found: List[Tensor]) -> float:
    assert len(wanted) == len(found)
    return max(float((one - other).abs().max()) for one, other in zip(wanted, found))


if __name__ == '__main__':
    run_command(main)
