"""What all command-line tools share: options in MMLab's manner, errors in one line."""
from __future__ import annotations

import argparse
import errno
import os
import signal
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Callable, Iterator

from mmengine.config import Config, DictAction

from mmrefine.apis.config import load_config
from mmrefine.errors import MMRefineError

__all__ = ['add_config_options', 'config_of', 'run_command']


def run_command(main: Callable[[], int]) -> None:
    """Run a tool and exit: 0, 1 after one line that says what is wrong, 130 after Ctrl-C, 143 after SIGTERM.

    Anything that is not an :class:`~mmrefine.errors.MMRefineError` is a bug of ours and keeps its traceback.
    """
    try:
        with _terminable():
            status = main()
    except MMRefineError as error:
        print(f'error: {_sentence(error)}', file=sys.stderr)
        status = 1
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        print(f'error: {error.filename or "the work dir"}: the disk is full; free some space and run the same command again, '
              'a training with --resume', file=sys.stderr)
        status = 1
    except KeyboardInterrupt as stop:
        print('stopped; the same command goes on from here, a training with --resume', file=sys.stderr)
        status = 128 + (stop.args[0] if stop.args else signal.SIGINT)  # as a shell would say it
    sys.exit(status)


@contextmanager
def _terminable() -> Iterator[None]:
    """SIGTERM, which a scheduler or ``kill`` sends, stops like Ctrl-C: what is being written is cleaned up."""

    def stop(number: int, frame: Any) -> None:
        raise KeyboardInterrupt(number)

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _sentence(error: MMRefineError) -> str:
    """The message in one line; a data loader's worker wraps it into the text of its traceback."""
    text = str(error)
    if 'Original Traceback' in text:
        text = text.rstrip().rpartition(f'.{type(error).__name__}: ')[2]
    return ' '.join(text.split())


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
