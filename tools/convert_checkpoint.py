"""Rename the weights of a RAFT, CRAFT, PIPs or CorrFlow checkpoint: the authors' code, torchvision (RAFT only) and
mmrefine, each to each.

``python tools/convert_checkpoint.py raft-things.pth checkpoints/raft_things.pth`` makes weights for
``configs/_base_/models/raft_official.py`` (``raft_small.py`` for RAFT-small); ``--to princeton`` and ``--to
torchvision`` go the other way, and of CRAFT (``craft.py``), PIPs and CorrFlow ``--to official``. Network and layout of
the source are detected; values are not changed.
"""
from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import List, Optional

from mmrefine.compat.threads import choose_threads

if __name__ == '__main__':
    choose_threads()  # before torch is loaded

from mmrefine.compat.checkpoints import load_checkpoint_file
from mmrefine.compat.corrflow_checkpoints import CORRFLOW_LAYOUTS, convert_corrflow_checkpoint, is_corrflow_checkpoint
from mmrefine.compat.craft_checkpoints import CRAFT_LAYOUTS, convert_craft_checkpoint, is_craft_checkpoint
from mmrefine.compat.official_checkpoints import LAYOUTS, convert_raft_checkpoint
from mmrefine.compat.pips_checkpoints import PIPS_LAYOUTS, convert_pips_checkpoint, is_pips_checkpoint
from mmrefine.errors import ConfigError, MMRefineError
from mmrefine.fileio.atomic import save_checkpoint

# networks with one code base beside ours
_OF_ONE_AUTHOR = (
    ('CRAFT', is_craft_checkpoint, CRAFT_LAYOUTS, convert_craft_checkpoint),
    ('PIPs', is_pips_checkpoint, PIPS_LAYOUTS, convert_pips_checkpoint),
    ('CorrFlow', is_corrflow_checkpoint, CORRFLOW_LAYOUTS, convert_corrflow_checkpoint),
)


def parse_args(argv: Optional[List[str]] = None) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        description="rename the weights of a RAFT, CRAFT, PIPs or CorrFlow checkpoint (the authors' code, torchvision, "
                    'mmrefine)')
    parser.add_argument('source', type=Path, help='checkpoint to read')
    parser.add_argument('target', type=Path, help='checkpoint to write')
    parser.add_argument(
        '--to', choices=[*LAYOUTS, PIPS_LAYOUTS[1]], default='mmrefine',
        help='the names to write (default: mmrefine; of RAFT princeton or torchvision, of the others official)')
    return parser.parse_args(argv)


def convert(source: Path, target: Path, to: str) -> str:
    """Write ``target`` with the weights of ``source`` under the names of ``to``; returns a sentence for the user."""
    checkpoint = load_checkpoint_file(source)
    for network, holds, layouts, convert_network in _OF_ONE_AUTHOR:
        if not holds(checkpoint):
            continue
        if to not in layouts:
            raise ConfigError(f'--to {to}: {source} holds a {network} network, which has the names '
                              f'{" and ".join(layouts)}; take one of these')
        save_checkpoint(target, convert_network(checkpoint, to, str(source)))
        return f'{target}: the {network} of {source} under {to} names'
    if to not in LAYOUTS:
        raise ConfigError(f'--to {to}: {source} holds no CRAFT, PIPs or CorrFlow network, and other networks have the '
                          f'names {", ".join(LAYOUTS)}; take one of these')
    converted, layout = convert_raft_checkpoint(checkpoint, to, str(source))
    save_checkpoint(target, converted)
    config = 'raft_official.py' if layout.net_type == 'Basic' else 'raft_small.py'
    hint = f'; its config is configs/_base_/models/{config}' if to == 'mmrefine' else ''
    return f'{target}: the {layout.net_type} RAFT from {layout.name} to {to} names{hint}'


def main(argv: Optional[List[str]] = None) -> int:
    """Run the command; 0 if the file was written, else 1 with the reason on stderr."""
    args = parse_args(argv)
    try:
        print(convert(args.source, args.target, args.to))
    except MMRefineError as error:
        print(f'error: {error}', file=sys.stderr)
        return 1
    return 0


if __name__ == '__main__':
    sys.exit(main())
