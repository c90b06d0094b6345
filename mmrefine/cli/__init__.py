"""The command ``mmrefine``: one module for each of its subcommands, each is a few lines that call :mod:`mmrefine.apis`.

Nothing heavy is imported before a subcommand runs, so that ``--help`` is quick.
"""
from __future__ import annotations

import argparse
import sys
import warnings
from typing import Any, List, Optional

import mmrefine
from mmrefine.apis.exit_status import run_command
from mmrefine.cli import doctor, export, flow, labels, propagate, refine, report, track
from mmrefine.cli.options import Paragraphs
from mmrefine.compat.threads import choose_threads
from mmrefine.errors import MMRefineError

__all__ = ['build_parser', 'main']

SUBCOMMANDS = (refine, labels, flow, track, propagate, report, export, doctor)

ABOUT = """\
Refine a pre-trained motion model (optical flow, or tracks of points) on unlabelled video.

  mmrefine refine my.mp4 --checkpoint raft-small.pth
  mmrefine flow my.mp4 --checkpoint work_dirs/my/refined.pth

Without any weights at hand, --model demo tries everything out with a small network that comes with mmrefine, and
--model pips_demo does with a small tracker of points.
`mmrefine COMMAND --help` says more."""

ENDS = """\
Exit status: 0 if all went well, 1 after one line that says what is wrong and what to do, 2 if the command line is
invalid, and 130 after Ctrl-C; then the same command goes on where it was stopped."""


def build_parser() -> argparse.ArgumentParser:
    """The parser of the command with all its subcommands."""
    parser = argparse.ArgumentParser(
        prog='mmrefine', description=ABOUT, epilog=ENDS, formatter_class=Paragraphs)
    parser.add_argument('--version', action='version', version=f'mmrefine {mmrefine.__version__}')
    commands = parser.add_subparsers(dest='command', metavar='COMMAND', required=True, title='commands')
    for part in SUBCOMMANDS:
        name = part.__name__.rpartition('.')[2]
        child = commands.add_parser(
            name, help=part.HELP, description=part.ABOUT, epilog=part.EXAMPLES, formatter_class=Paragraphs)
        part.add_options(child)
        child.set_defaults(run=part.run)
    return parser


def main(argv: Optional[List[str]] = None) -> None:
    """Parse the command line, run the subcommand, and exit."""

    def run() -> int:
        args = build_parser().parse_args(argv)
        choose_threads()  # before the subcommand loads torch
        with warnings.catch_warnings():
            setattr(warnings, 'showwarning', _show_warning)
            try:
                status: int = args.run(args)
            except MMRefineError as error:
                if 'values' not in args or '--cfg-options' not in str(error):
                    raise
                # what reads a config only knows the option of MMLab's tools
                raise type(error)(str(error).replace('--cfg-options', '--set')) from error
        return status

    run_command(run, 'the same command goes on from here')


def _show_warning(message: Any, category: Any, *place: Any) -> None:
    """Print a warning in one line, without its place in the code."""
    print(f'warning: {" ".join(str(message).split())}', file=sys.stderr)
