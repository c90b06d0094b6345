"""Find by k-means the classes of colours that fit your own videos, for ``ColorClasses(centroids=…)`` of CorrFlow.

``python tools/fit_color_classes.py VIDEO --out colors.json``
"""
from __future__ import annotations

import argparse
from pathlib import Path
from typing import List, Optional

from mmrefine.compat.threads import choose_threads

if __name__ == '__main__':
    choose_threads()  # before torch is loaded

from mmrefine.apis.exit_status import run_command
from mmrefine.apis.fit_color_classes import fit_color_classes
from mmrefine.fileio.atomic import write_errors


def main(argv: Optional[List[str]] = None) -> int:
    """Parse the command line and fit."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('video', help='a video file, a folder of frames, or a folder of such folders and files')
    parser.add_argument('--out', type=Path, required=True, help='the file to write, .json')
    parser.add_argument('--classes', type=int, default=16, help='how many; default: 16')
    parser.add_argument('--frames', type=int, default=200, help='that are looked at, over all videos; default: 200')
    parser.add_argument('--pixels', type=int, default=1000, help='of each frame, at random; default: 1000')
    parser.add_argument('--seed', type=int, default=0, help='of the draws; default: 0')
    args = parser.parse_args(argv)
    with write_errors(args.out):
        found = fit_color_classes(args.video, args.out, args.classes, args.frames, args.pixels, args.seed)
    for a, b in found:
        print(f'{a:9.3f} {b:9.3f}')
    print(f'{args.out}: {len(found)} classes of colours (a, b)')
    return 0


if __name__ == '__main__':
    run_command(main)
