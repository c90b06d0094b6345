"""Store what several passes of a network see of pairs whose motion is known, for a verifier to learn from
(configs/verifier): rendered pairs, or frames of your own and exact warps of them.

``python tools/collect_passes.py OUT --model CONFIG --checkpoint FILE --style target --seeds 0 40``
``python tools/collect_passes.py OUT --model CONFIG --checkpoint FILE --video VIDEO --count 40``
"""
from __future__ import annotations

import argparse
from pathlib import Path
from typing import List, Optional

from mmrefine.compat.threads import choose_threads

if __name__ == '__main__':
    choose_threads()  # before torch is loaded

from mmrefine.apis import init_model
from mmrefine.apis.collect_passes import collect_rendered, collect_warps
from mmrefine.apis.exit_status import run_command
from mmrefine.errors import ConfigError
from mmrefine.fileio.atomic import write_errors
from mmrefine.models import FlowRefiner
from mmrefine.synthetic import STYLES


def main(argv: Optional[List[str]] = None) -> int:
    """Parse the command line and collect; files that exist are not made again."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('out', type=Path, help='folder to write to')
    parser.add_argument('--model', required=True, help='config of the network')
    parser.add_argument('--checkpoint', required=True, help='its weights')
    parser.add_argument('--name', help='of the network, in the names of the files; default: that of the checkpoint')
    parser.add_argument('--iters', type=int, help='of a network that iterates; default: its own')
    kind = parser.add_mutually_exclusive_group(required=True)
    kind.add_argument('--style', nargs='+', choices=sorted(STYLES), help='rendered worlds')
    kind.add_argument('--video', help='a video file, a folder of frames, or a folder of such folders and files')
    parser.add_argument('--seeds', type=int, nargs=2, default=(0, 10), metavar=('FIRST', 'END'),
                        help='one rendered pair of each style for each seed from FIRST up to and without END')
    parser.add_argument('--size', type=int, nargs=2, default=(128, 192), metavar=('H', 'W'),
                        help='height and width of rendered frames, px')
    parser.add_argument('--speed', type=float, default=1., help='factor on how fast rendered objects and cameras move')
    parser.add_argument('--count', type=int, default=40, help='frames of the video to warp')
    args = parser.parse_args(argv)
    first, end = args.seeds
    if not 0 <= first < end:
        raise ConfigError(f'--seeds must be FIRST END with 0 <= FIRST < END, got {first} {end}')
    model = init_model(args.model, args.checkpoint)
    if not isinstance(model, FlowRefiner):
        raise ConfigError(f'{args.model}: is no flow network; name one of flow')
    if args.iters is not None:
        model.test_iters = args.iters
    name, done = args.name or Path(args.checkpoint).stem, 0
    with write_errors(args.out):
        if args.video:
            done = sum(1 for _ in collect_warps(args.out, model, name, args.video, args.count))
        else:
            # seed by seed, so that a stopped run has of all styles alike
            done = sum(1 for seed in range(first, end) for style in args.style
                       for _ in collect_rendered(args.out, model, name, style, [seed], tuple(args.size), args.speed))
    print(f'{args.out}: {done} pairs seen by {name}')
    return 0


if __name__ == '__main__':
    run_command(main)
