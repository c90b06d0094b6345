"""``mmrefine export``: a refined network for other software."""
from __future__ import annotations

import argparse

from mmrefine.cli.options import add_model, at_least_1

HELP = 'write a network for stock mmflow, the code of its authors, torchvision or ONNX'
ABOUT = """\
Write a network for other software. The file is written only if the exported network gives the same flow as the
original on a rendered pair, the same tracks on a rendered clip, or the same features of a rendered frame; the
difference is printed."""
EXAMPLES = """\
examples:
  mmrefine export work_dirs/my/refined.pth --to official --out raft-small-refined.pth
  mmrefine export work_dirs/my/iter_500.pth --to mmflow --out mine.pth
  mmrefine export work_dirs/my/refined.pth --to onnx --out mine.onnx --size 440 1024
  mmrefine export work_dirs/my/refined.pth --model pips --to official --out model-000000001.pth

mmflow takes any network that estimates flow. official (the code of its authors) and torchvision take the official
RAFTs, that is --model raft_small, raft_official or demo: mmflow's own RAFT has another encoder. official takes CRAFT
(--model with a config whose network is that of configs/_base_/models/craft.py), PIPs (--model pips or pips_demo) and
CorrFlow (--model with a config whose network is a CorrFlowEncoder), too. onnx takes what PyTorch's exporter supports;
it needs onnx, onnxscript and onnxruntime, which are not installed with mmrefine."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Options of the subcommand."""
    parser.add_argument('checkpoint', metavar='CHECKPOINT',
                        help='a refined.pth, a training checkpoint, a stock mmflow checkpoint, or an official file')
    parser.add_argument('--to', required=True, choices=('mmflow', 'official', 'torchvision', 'onnx'),
                        help='the software')
    parser.add_argument('--out', required=True, metavar='FILE', help='file to write')
    add_model(parser)
    parser.add_argument('--size', nargs=2, type=at_least_1, default=(440, 1024), metavar=('H', 'W'),
                        help='height and width of the frames that an ONNX file takes (default: 440 1024)')


def run(args: argparse.Namespace) -> int:
    """Export, then print the difference of the results and how the file is loaded."""
    from mmrefine.apis.export import export_model

    done = export_model(args.checkpoint, args.to, args.out, args.model, tuple(args.size),
                        lambda line: print(line, flush=True))
    unit = '' if done.what == 'features' else ' px'
    print(f'{done.path}: {done.network} for {done.form}; the {done.what} before and after differ by at most '
          f'{done.difference:g}{unit}')
    print(done.use.replace('FILE', str(done.path)))
    return 0
