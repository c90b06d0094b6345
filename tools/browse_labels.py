"""Draw labels spread over each scene: frame, kept motion, weight and cycle error, or the tracks over their frames."""
from __future__ import annotations

import argparse
from pathlib import Path
from typing import List, Optional

from mmrefine.compat.threads import choose_threads

if __name__ == '__main__':
    choose_threads()  # before torch is loaded

from mmrefine.apis.browse import browse_labels
from mmrefine.apis.commands import add_config_options, config_of, run_command


def main(argv: Optional[List[str]] = None) -> int:
    """Parse the command line and draw the sheets."""
    parser = argparse.ArgumentParser(description=__doc__)
    add_config_options(parser, launcher=False)
    parser.add_argument('--pairs', type=int, default=12, help='labels on each sheet, spread evenly over the scene')
    parser.add_argument('--out', type=Path, help='folder of the sheets; default: <work dir>/label_sheets')
    args = parser.parse_args(argv)
    for sheet in browse_labels(config_of(args), args.out, args.pairs):
        print(sheet)
    return 0


if __name__ == '__main__':
    run_command(main)
