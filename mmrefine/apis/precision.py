"""The option ``--amp`` of the command and of ``tools/train.py``."""
from __future__ import annotations

import argparse
from typing import Any, Dict, Mapping, Optional

from mmrefine.errors import ConfigError

PRECISIONS = {'auto': 'auto', 'on': 'bfloat16', 'off': 'float32'}


def add_amp(parser: argparse.ArgumentParser, default: Optional[str] = None) -> None:
    """--amp, alone or with a choice; by default what the config says."""
    parser.add_argument('--amp', nargs='?', const='on', default=default, choices=list(PRECISIONS),
                        help='train under bfloat16 autocast: auto, if a short measurement finds it faster; on (or '
                             '--amp alone), wherever the hardware knows it; off, never. '
                             f'Default: {default or "as the config says"}')


def amp_values(choice: Optional[str],
               cfg: Mapping[str, Any],
               values: Optional[Mapping[str, Any]] = None) -> Dict[str, Any]:
    """The values of the config that ``--amp`` stands for, by dotted key.

    Args:
        choice: of the option; ``'auto'`` leaves a config alone that has chosen its own optimiser wrapper.
        cfg: the config.
        values: that will replace some of it, by dotted key.

    Raises:
        ConfigError: another choice, or a choice beside values that name an optimiser wrapper.
    """
    if choice is not None and choice not in PRECISIONS:
        raise ConfigError(f'amp must be one of {", ".join(PRECISIONS)}, got {choice!r}')
    asked = (values or {}).get('optim_wrapper.type')
    if asked is not None and choice in ('on', 'off'):
        raise ConfigError(f'--amp {choice} and optim_wrapper.type={asked} are both given; leave one of them out')
    kind = asked or (cfg.get('optim_wrapper') or {}).get('type', 'OptimWrapper')
    if choice is None or (choice == 'auto' and (asked is not None or kind != 'OptimWrapper')):
        return {}
    return {'optim_wrapper.type': 'BFloat16OptimWrapper', 'optim_wrapper.precision': PRECISIONS[choice]}
