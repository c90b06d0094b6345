"""The mean of the weights of several networks that were refined from the same one (docs/results.md says when that
helps).

``python tools/average_checkpoints.py one/refined.pth two/refined.pth --out mean.pth``
"""
from __future__ import annotations

import argparse
from pathlib import Path
from typing import List, Optional

from mmrefine.compat.threads import choose_threads

if __name__ == '__main__':
    choose_threads()  # before torch is loaded

from mmrefine.apis.average import average_checkpoints
from mmrefine.apis.exit_status import run_command


def main(argv: Optional[List[str]] = None) -> int:
    """Parse the command line and average."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('checkpoints', type=Path, nargs='+', help='two or more checkpoints of one network')
    parser.add_argument('--out', type=Path, required=True, help='checkpoint to write')
    args = parser.parse_args(argv)
    print(f'{average_checkpoints(args.checkpoints, args.out)}: the mean of {len(args.checkpoints)} networks')
    return 0


if __name__ == '__main__':
    run_command(main)
