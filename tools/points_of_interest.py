"""Write the points that a benchmark of tracks knows (heads, joints) as a table for ``WindowQueries``, as Refine uses
them.
"""
from __future__ import annotations

import argparse
from pathlib import Path
from typing import List, Optional

from mmrefine.compat.threads import choose_threads

if __name__ == '__main__':
    choose_threads()  # before torch is loaded

from mmrefine.apis.commands import add_config_options, config_of, run_command
from mmrefine.apis.points_of_interest import write_points_of_interest
from mmrefine.fileio.atomic import write_errors


def main(argv: Optional[List[str]] = None) -> int:
    """Parse the command line and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_config_options(parser, launcher=False)
    parser.add_argument('out', type=Path, help='the table to write, .csv')
    parser.add_argument('--group', default='refined', help='of the report of the config; default: refined')
    args = parser.parse_args(argv)
    with write_errors(args.out):
        count = write_points_of_interest(config_of(args), args.out, args.group)
    print(f'{args.out}: {count} points')
    return 0


if __name__ == '__main__':
    run_command(main)
