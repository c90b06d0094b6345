"""Run stage 1 only: label the frames of a config. ``tools/train.py`` with the same work dir goes on from there."""
from __future__ import annotations

import argparse
from typing import List, Optional, Tuple

from mmrefine.compat.threads import choose_threads

if __name__ == '__main__':
    choose_threads()  # before torch is loaded

from mmengine.dist import is_main_process

from mmrefine.apis import make_labels
from mmrefine.apis.commands import add_config_options, config_of, run_command


def main(argv: Optional[List[str]] = None) -> int:
    """Parse the command line and label."""
    parser = argparse.ArgumentParser(description=__doc__)
    add_config_options(parser)
    parser.add_argument('--part', type=_part, default=(1, 1), metavar='K/N',
                        help='only the K-th of N parts, on one of N machines; put their stores together with '
                             'tools/label_store.py merge')
    args = parser.parse_args(argv)
    stores = make_labels(config_of(args), args.part)
    if is_main_process():
        print('labels: ' + ', '.join(map(str, stores)))
    return 0


def _part(text: str) -> Tuple[int, int]:
    """``2/3`` as (2, 3)."""
    number, _, count = text.partition('/')
    if not (number.isdecimal() and count.isdecimal() and 1 <= int(number) <= int(count)):
        raise argparse.ArgumentTypeError(f'it must be K/N with K from 1 to N, such as 1/4, got {text!r}')
    return int(number), int(count)


if __name__ == '__main__':
    run_command(main)
