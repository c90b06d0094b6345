"""Score a network on the report groups of a config: with ground truth if there is any, else without.

Or, with --format-only, write the zip file that a leaderboard accepts: the flows of its test set in its layout.
"""
from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import List, Optional

from mmrefine.compat.threads import choose_threads

if __name__ == '__main__':
    choose_threads()  # before torch is loaded

from mmrefine.apis.checkpoint_scores import test_checkpoint
from mmrefine.apis.commands import add_config_options, config_of, run_command
from mmrefine.apis.leaderboard import write_leaderboard
from mmrefine.evaluation import Judged
from mmrefine.fileio.atomic import write_errors, write_json
from mmrefine.report import benchmark_table, score_table


def main(argv: Optional[List[str]] = None) -> int:
    """Parse the command line, score, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_config_options(parser, launcher=False)
    parser.add_argument('checkpoint', help='a stock mmflow checkpoint, a refined.pth or a training checkpoint')
    parser.add_argument('--out', type=Path, help='write the scores to this JSON file too; with --format-only the '
                                                 'folder of the zip, default: the work dir')
    parser.add_argument('--format-only', choices=['sintel', 'kitti'], metavar='BENCHMARK',
                        help='score nothing, write sintel.zip or kitti.zip for the leaderboard')
    parser.add_argument('--device', help='cpu, cuda, …; default: cuda where there is one')
    args = parser.parse_args(argv)
    cfg = config_of(args)
    if args.format_only:
        written = write_leaderboard(cfg, args.checkpoint, args.format_only, args.out or cfg.work_dir, args.device,
                                    _report_progress)
        short = '' if written.flows == written.wanted else f'; the leaderboard expects {written.wanted}'
        print(f'{written.path}: {written.flows} flows{short}')
        return 0
    judged = test_checkpoint(cfg, args.checkpoint, args.device, _report_progress)
    scores, figures = ({name: read(group) for name, group in judged.items()}
                       for read in (Judged.scores, lambda group: group.figures))
    table = benchmark_table(scores, figures)
    print(*([table, ''] if table else []), score_table(scores, figures), sep='\n')
    if args.out:
        with write_errors(args.out):
            write_json(args.out, dict(config=args.config, checkpoint=args.checkpoint, groups=scores))
    return 0


def _report_progress(line: str) -> None:
    """Print progress to stderr, so that stdout has the scores only."""
    print(line, file=sys.stderr, flush=True)


if __name__ == '__main__':
    run_command(main)
