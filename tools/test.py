"""Score a network on the report groups of a config: against ground truth where there is any, else without labels."""
from __future__ import annotations

import argparse
from pathlib import Path
from typing import List, Optional

from mmrefine.apis.commands import add_config_options, config_of, run_command
from mmrefine.apis.testing import test_checkpoint
from mmrefine.evaluation import benchmark_table, score_table
from mmrefine.fileio.atomic import write_json


def main(argv: Optional[List[str]] = None) -> int:
    """Parse the command line, score, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    add_config_options(parser, launcher=False)
    parser.add_argument('checkpoint', help='a stock mmflow checkpoint, a refined.pth or a training checkpoint')
    parser.add_argument('--out', type=Path, help='write the scores to this JSON file too')
    parser.add_argument('--device', help='cpu, cuda, …; default: cuda where there is one')
    args = parser.parse_args(argv)
    scores = test_checkpoint(config_of(args), args.checkpoint, args.device)
    table = benchmark_table(scores)
    print(*([table, ''] if table else []), score_table(scores), sep='\n')
    if args.out:
        write_json(args.out, dict(config=args.config, checkpoint=args.checkpoint, groups=scores))
    return 0


if __name__ == '__main__':
    run_command(main)
