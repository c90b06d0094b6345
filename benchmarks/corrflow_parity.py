"""Does our CorrFlow compute what its authors' code computes? Random weights of theirs, converted, in both.

    git clone https://github.com/zlai0/CorrFlow
    python benchmarks/corrflow_parity.py --code CorrFlow

Printed for frames of each size: the largest difference of the features, beside the largest feature, and of a mask of 16
one-hot channels that is copied from one frame to the next, in single and in double precision; then the share of the
class that a cell has most of, on average, and in brackets what that would be if all cells of a window weighed the same.
The statistics of their batch norms are random, too. Their correlation is an extension that has to be compiled; one by
``F.unfold`` is put in its place. Sides are multiples of 8 px, as their test makes them.
"""
from __future__ import annotations

import argparse
import copy
import sys
import types
import warnings
from pathlib import Path
from typing import Any, Dict, List, Tuple

import torch
import torch.nn.functional as F
from pips_parity import drifting_waves
from torch import Tensor, nn

from mmrefine.apis.commands import run_command
from mmrefine.compat.corrflow_checkpoints import convert_corrflow
from mmrefine.errors import ConfigError
from mmrefine.geometry import copy_labels
from mmrefine.models.networks import CorrFlowEncoder

CLASSES = 16  # their code knows no other number
RADIUS = 6


def main() -> int:
    """Compare, print; 1 if anything differs by more than allowed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--code', type=Path, required=True, help='a checkout of zlai0/CorrFlow')
    parser.add_argument('--sizes', nargs='+', default=['64x96', '240x432', '480x848'], metavar='HxW',
                        help='multiples of 8 px')
    parser.add_argument('--allowed', type=float, default=1e-4,
                        help='of the largest feature, and of the mask, whose values are between 0 and 1')
    args = parser.parse_args()
    sizes = [_size(text) for text in args.sizes]
    theirs = official_network(args.code)
    ours = CorrFlowEncoder().eval()
    ours.load_state_dict(convert_corrflow(theirs.state_dict()), strict=True)
    print('| frames | largest feature | features | mask | features, double | mask, double | largest share |\n'
          + '|---' * 7 + '|')
    worst = 0.
    for height, width in sizes:
        row = compared(theirs, ours, height, width)
        names = ('features', 'mask', 'features in double', 'mask in double')
        print(f'| {height}x{width} | {row["largest"]:.1f} | ' + ' | '.join(f'{row[name]:.1e}' for name in names)
              + f' | {row["share"]:.2f} ({row["even"]:.2f}) |', flush=True)
        worst = max(worst, row['features'] / row['largest'], row['mask'])
    print(f'largest difference: {worst:.1e}, allowed: {args.allowed:g}')
    return int(not worst <= args.allowed)


def _size(text: str) -> Tuple[int, int]:
    sides = text.split('x')
    if len(sides) != 2 or not all(side.isdigit() and int(side) and int(side) % 8 == 0 for side in sides):
        raise ConfigError(f'--sizes: {text} must be HxW in multiples of 8 px, such as 64x96')
    return int(sides[0]), int(sides[1])


class WindowCorrelation(nn.Module):
    """What their extension computes with a patch of ``patch_size`` and all else at 1: the dot product of each cell of
    the first features with the cells of the window around it in the second, 0 for those outside of the frame."""

    def __init__(self, patch_size: int, **ignored: int) -> None:
        super().__init__()
        self.patch_size = patch_size

    def forward(self, one: Tensor, two: Tensor) -> Tensor:
        """``(B, C, H, W)`` twice -> ``(B, patch, patch, H, W)``."""
        count, channels, height, width = one.shape
        side = self.patch_size
        rows: List[Tensor] = []  # one by one, since all windows of a frame take a gigabyte
        padded = F.pad(two, (side // 2, ) * 4)
        for y in range(height):
            around = F.unfold(padded[:, :, y:y + side], side).view(count, channels, side * side, width)
            rows.append((one[:, :, y, None] * around).sum(dim=1))
        return torch.stack(rows, dim=2).view(count, side, side, height, width)


def official_network(folder: Path) -> Any:
    """Theirs, in evaluation mode, with random weights and random statistics of its batch norms."""
    module = types.ModuleType('spatial_correlation_sampler')
    module.SpatialCorrelationSampler = WindowCorrelation  # type: ignore[attr-defined]
    sys.modules[module.__name__] = module
    sys.path.insert(0, str(folder))
    try:
        from models.corrflow import CorrFlow
    except ImportError as error:
        raise ConfigError(f'--code {folder}: models/corrflow.py cannot be imported ({error}); name a checkout of '
                          'https://github.com/zlai0/CorrFlow') from error
    torch.manual_seed(0)
    network = CorrFlow(None).eval()
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm2d):
            for value, low, high in ((layer.weight, 0.5, 1.5), (layer.bias, -0.3, 0.3),
                                     (layer.running_mean, -0.3, 0.3), (layer.running_var, 0.3, 1.5)):
                nn.init.uniform_(value, low, high)
    with torch.no_grad():
        network.post_convolution.weight.mul_(6)  # else all cells of a window would have about the same weight
    return network


@torch.no_grad()
def compared(theirs: nn.Module, ours: CorrFlowEncoder, height: int, width: int) -> Dict[str, float]:
    """The largest differences of the features and of the copied mask."""
    frames = drifting_waves(2, height, width)
    ids = torch.randint(CLASSES, (1, height // 8, width // 8)).repeat_interleave(8, 1).repeat_interleave(8, 2)
    mask = F.one_hot(ids, CLASSES).permute(0, 3, 1, 2).float()
    row: Dict[str, float] = {}
    for suffix, dtype in (('', torch.float32), (' in double', torch.float64)):
        net, own = (copy.deepcopy(network).to(dtype) for network in (theirs, ours))
        shown, given = frames.to(dtype), mask.to(dtype)
        features = own(shown)
        wanted = net.post_convolution(net.feature_extraction(shown))
        row.update({'largest': float(wanted.abs().max()), f'features{suffix}': _gap(wanted, features)})
        with warnings.catch_warnings():
            warnings.simplefilter('ignore', UserWarning)  # of F.interpolate, about a default that has changed since
            copied = net(shown[:1], given, shown[1:])
        # they shrink the mask between pixels; whatever its size, what is copied is compared
        small = net.colorizer.prep(given).to(dtype)
        found = copy_labels(features[1:], features[None, :1], small[None], RADIUS)
        row[f'mask{suffix}'] = _gap(copied, found)
        row['share'] = float(found.amax(dim=1).mean())
        even = copy_labels(torch.zeros_like(features[1:]), features[None, :1], small[None], RADIUS)
        row['even'] = float(even.amax(dim=1).mean())
    return row


def _gap(one: Tensor, other: Tensor) -> float:
    return float((one - other).abs().max())


if __name__ == '__main__':
    run_command(main)
