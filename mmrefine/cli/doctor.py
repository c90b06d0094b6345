"""``mmrefine doctor``: what is installed, what works, how to mend it."""
from __future__ import annotations

import argparse

HELP = 'say what is installed, what works, and how to mend what does not'
ABOUT = """\
Look at every part that mmrefine stands on, each problem with the one line that mends it; then say where the configs are, and which weights
are there."""
EXAMPLES = """\
example:
  mmrefine doctor

Ends with 0 if everything that is needed is here, else with 1. Weights that are not here are no fault: they are named, that is all."""


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
