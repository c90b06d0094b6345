"""What all command-line tools share: options in MMLab's manner, errors in one line."""
from __future__ import annotations

import argparse
import os
from pathlib import Path

from mmengine.config import Config, DictAction

from mmrefine.apis.config import load_config
from mmrefine.apis.exit_status import run_command

__all__ = ['add_config_options', 'config_of', 'run_command']


def add_config_options(parser: argparse.ArgumentParser, launcher: bool = True) -> None:
    """CONFIG, --work-dir, --cfg-options and --launcher, as every MMLab tool has them."""
    parser.add_argument('config', help='config file, for example configs/refine/raft_video.py')
    parser.add_argument('--work-dir', help='folder of all results; default work_dirs/<name of the config>')
    parser.add_argument('--cfg-options', nargs='+', action=DictAction, default={}, metavar='KEY=VALUE',
                        help='override keys of the config, for example video=my.mp4 max_iters=300')
    if launcher:
        launchers = ['none', 'pytorch', 'slurm', 'mpi']
        parser.add_argument('--launcher', choices=launchers, default='none',
                            help='how the processes of a distributed run were started')
        parser.add_argument('--local_rank', '--local-rank', type=int, default=0, help=argparse.SUPPRESS)


def config_of(args: argparse.Namespace) -> Config:
    """The config that the command line asks for, its work dir and launcher set."""
    cfg = load_config(args.config, args.cfg_options)
    if 'launcher' in args:
        os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
        cfg.launcher = args.launcher
    if args.work_dir:
        cfg.work_dir = args.work_dir
    elif not cfg.get('work_dir'):
        cfg.work_dir = str(Path('work_dirs') / Path(args.config).stem)
    return cfg
