"""Refine a motion model: make labels, finetune, compare before with after."""
from __future__ import annotations

import argparse
from typing import List, Optional

from mmrefine.compat.threads import choose_threads

if __name__ == '__main__':
    choose_threads()  # before torch is loaded

from mmrefine.apis import train
from mmrefine.apis.commands import add_config_options, config_of, run_command
from mmrefine.apis.precision import add_amp, amp_values
from mmrefine.apis.recipe_names import RECIPES
from mmrefine.apis.recipes import with_recipe
from mmrefine.config.load import load_config


def main(argv: Optional[List[str]] = None) -> int:
    """Parse the command line and run the config."""
    parser = argparse.ArgumentParser(description=__doc__)
    add_config_options(parser)
    parser.add_argument('--recipe', choices=RECIPES,
                        help='what is learned from, as of mmrefine refine; --cfg-options then override the config that '
                             'it makes (default: what the config says)')
    parser.add_argument('--resume', action='store_true', help='go on with a stopped run in the same work dir')
    add_amp(parser)
    args = parser.parse_args(argv)
    cfg = config_of(args, with_recipe(load_config(args.config), args.recipe) if args.recipe else None)
    cfg.resume = args.resume or bool(cfg.get('resume'))
    cfg.merge_from_dict(amp_values(args.amp, cfg))
    train(cfg)
    return 0


if __name__ == '__main__':
    run_command(main)
