"""``mmrefine doctor``: what is installed, what works, how to repair it."""
from __future__ import annotations

import argparse

HELP = 'say what is installed, what works, and how to repair what does not'
ABOUT = """\
Check every library that mmrefine needs, and print for each problem the command that solves it; then list where the
configs are, and which weights are there."""
EXAMPLES = """\
example:
  mmrefine doctor

Exit status: 0 if everything that is needed is installed, else 1. Missing weights are listed and count as no problem."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """The subcommand has no options."""


def run(args: argparse.Namespace) -> int:
    """Print the report."""
    from mmrefine.compat.installation import diagnose, format_report

    checks = diagnose()
    print(format_report(checks))
    if not all(check.ok for check in checks):
        return 1
    from mmrefine.apis.named_models import model_lines
    print('\n'.join(model_lines()))
    return 0
