"""Render clips of moving textured layers with exact flow: ``frames/<scene>``, ``flow/<scene>`` and more in a folder."""
from __future__ import annotations

import argparse
from pathlib import Path
from typing import List, Optional

from mmrefine.compat.threads import choose_threads

if __name__ == '__main__':
    choose_threads()  # before torch is loaded

from mmrefine.apis.commands import run_command
from mmrefine.errors import ConfigError
from mmrefine.synthetic import STYLES, write_clips


def main(argv: Optional[List[str]] = None) -> int:
    """Parse the command line and render; scenes that exist are not rendered again."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('out', type=Path, help='folder to write to')
    parser.add_argument('--style', choices=sorted(STYLES), default='target', help='the style of the scenes')
    parser.add_argument('--seeds', type=int, nargs=2, default=(0, 10), metavar=('FIRST', 'END'),
                        help='one scene for each seed from FIRST up to and without END')
    parser.add_argument('--frames', type=int, default=6, help='frames of each scene')
    parser.add_argument('--size', type=int, nargs=2, default=(128, 192), metavar=('H', 'W'),
                        help='height and width in px')
    parser.add_argument('--tracks', type=int, default=0, metavar='N',
                        help='points of each scene to follow through all its frames, written to tracks/<scene>.npz')
    parser.add_argument('--sparse', action='store_true',
                        help='also write truth as KITTI has it, on the lines of a laser scanner in the lower part of '
                             'the frame, to flow_sparse/<scene>')
    args = parser.parse_args(argv)
    first, end = args.seeds
    if not 0 <= first < end:
        raise ConfigError(f'--seeds must be FIRST END with 0 <= FIRST < END, got {first} {end}')
    try:
        names = write_clips(args.out, range(first, end), args.frames, tuple(args.size), args.style, args.tracks,
                            args.sparse)
    except ValueError as error:
        raise ConfigError(f'{error}; correct --frames, --size or --tracks') from error
    print(f'{args.out}: {len(names)} scenes, {names[0]} to {names[-1]}')
    return 0


if __name__ == '__main__':
    run_command(main)
