"""Stage 1 alone: label the frames of a config. ``tools/train.py`` with the same config and work dir goes on from there."""
from __future__ import annotations

import argparse
from typing import List, Optional

from mmengine.dist import is_main_process

from mmrefine.apis import make_labels
from mmrefine.apis.commands import add_config_options, config_of, run_command


def main(argv: Optional[List[str]] = None) -> int:
    """Parse the command line and label."""
    parser = argparse.ArgumentParser(description=__doc__)
    add_config_options(parser)
    stores = make_labels(config_of(parser.parse_args(argv)))
    if is_main_process():
        print('labels: ' + ', '.join(map(str, stores)))
    return 0


if __name__ == '__main__':
    run_command(main)
