"""Find thresholds for the label filters of a config that give a wanted precision, without any ground truth."""
from __future__ import annotations

import argparse
from typing import List, Optional

from mmrefine.compat.threads import choose_threads

if __name__ == '__main__':
    choose_threads()  # before torch is loaded

from mmrefine.apis.commands import add_config_options, config_of, run_command
from mmrefine.apis.filter_thresholds import calibrate_filters
from mmrefine.engine.stage1.calibrated import DEFAULTS


def main(argv: Optional[List[str]] = None) -> int:
    """Parse the command line, calibrate, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    add_config_options(parser, launcher=False)
    parser.add_argument('checkpoint', nargs='?', help='weights of the teacher; default: load_from of the config')
    helps = dict(
        precision='share of the kept labels that must be right, in (0, 1)',
        within='px; a motion is right if its error is below this,',
        relative='or below this share of the motion',
        frames='frame pairs to take, spread evenly over the video',
        warps='known warps of each frame',
        pace='the warps move 1 to this many times as far as the teacher finds that the video moves',
        seed='of the warps')
    for name, text in helps.items():
        default = DEFAULTS[name]
        parser.add_argument(f'--{name}', type=type(default), default=default, help=f'{text} (default: {default})')
    parser.add_argument('--device', help='cpu, cuda, …; default: cuda where there is one')
    args = parser.parse_args(argv)
    found, options, path = calibrate_filters(config_of(args), args.checkpoint, args.device,
                                             **{name: getattr(args, name) for name in helps})
    print('\n'.join(found.lines()))
    print(f'--cfg-options {options}')
    print(f'all settings: {path}')
    return 0


if __name__ == '__main__':
    run_command(main)
