"""``mmrefine report``: what a run changed."""
from __future__ import annotations

import argparse

HELP = 'show what a run changed, and write its page again'
ABOUT = """\
Print the figures of a finished run before and after, and write report.html again from report.json: after an update
of mmrefine, or when the page was lost. Nothing is computed."""
EXAMPLES = """\
examples:
  mmrefine report work_dirs/my
  mmrefine report work_dirs/videos
      a folder of runs, one for each scene: a table of all"""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Options of the subcommand."""
    parser.add_argument('folder', metavar='DIR', help='folder of results of a run, or a folder with several, at any '
                                                      'depth')


def run(args: argparse.Namespace) -> int:
    """Print the tables and write the pages."""
    from mmrefine.apis.report import rebuild_reports

    for line in rebuild_reports(args.folder):
        print(line)
    return 0
