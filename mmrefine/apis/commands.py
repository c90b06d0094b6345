"""What all command-line tools share: options in MMLab's manner, and errors in one line."""
from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Any, Optional

from mmengine.config import Config, DictAction

from mmrefine.apis.exit_status import run_command
from mmrefine.config.load import load_config, override
from mmrefine.errors import ConfigError

__all__ = ['Overrides', 'add_config_options', 'config_of', 'run_command']


class Overrides(DictAction):
    """KEY=VALUE as MMEngine reads it, with one sentence for what cannot be read.

    Raises:
        ConfigError: no ``=``, unbalanced brackets, or a dict, which MMEngine's syntax does not have.
    """

    def __call__(self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, values: Any,
                 option_string: Any = None) -> None:
        """Add the pairs one by one, so that the message names the one that cannot be read."""
        for pair in values:
            if '=' not in pair:
                raise ConfigError(f'{option_string} {pair}: it must be KEY=VALUE, such as max_iters=300')
            try:
                if 'dict(' in pair:  # MMEngine would read it as a string, or hang
                    raise ValueError('a dict')
                super().__call__(parser, namespace, [pair], option_string)
            except (AssertionError, RecursionError, ValueError) as error:
                raise ConfigError(f'{option_string} {pair}: the value cannot be read; write a list as [1,2] or (1,2), '
                                  'all brackets closed, and a dict into a config file of your own, which begins with '
                                  "_base_ = '<this config>'") from error


def add_config_options(parser: argparse.ArgumentParser, launcher: bool = True) -> None:
    """CONFIG, --work-dir, --cfg-options and --launcher, as every MMLab tool has them."""
    parser.add_argument('config', help='config file, for example configs/refine/raft_video.py')
    parser.add_argument('--work-dir', help='folder of all results; default work_dirs/<name of the config>')
    parser.add_argument('--cfg-options', nargs='+', action=Overrides, default={}, metavar='KEY=VALUE',
                        help='override keys of the config, for example video=my.mp4 max_iters=300')
    if launcher:
        launchers = ['none', 'pytorch', 'slurm', 'mpi']
        parser.add_argument('--launcher', choices=launchers, default='none',
                            help='how the processes of a distributed run were started')
        parser.add_argument('--local_rank', '--local-rank', type=int, default=0, help=argparse.SUPPRESS)


def config_of(args: argparse.Namespace, named: Optional[Config] = None) -> Config:
    """The config of a command line, with work dir and launcher.

    Args:
        args: of a parser with :func:`add_config_options`.
        named: what the options override; None: the config that the command line names.
    """
    cfg = load_config(args.config, args.cfg_options) if named is None else override(named, args.cfg_options)
    if 'launcher' in args:
        os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
        cfg.launcher = args.launcher
    if args.work_dir:
        cfg.work_dir = args.work_dir
    elif not cfg.get('work_dir'):
        cfg.work_dir = str(Path('work_dirs') / Path(args.config).stem)
    return cfg
