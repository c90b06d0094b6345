"""The number of threads that a run computes with: sums of floats depend on it, so a resumed run keeps it."""
from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import Iterator

import torch
from mmengine.dist import is_main_process
from mmengine.runner import Runner

from mmrefine.compat.threads import COUNT, plan_threads
from mmrefine.errors import ConfigError, InputError
from mmrefine.fileio.atomic import write_errors, write_json
from mmrefine.fileio.records import read_record
from mmrefine.values import as_count

# in the folder of results
THREADS_FILE = 'threads.json'


@contextmanager
def run_threads(runner: Runner, go_on: bool) -> Iterator[None]:
    """While a run computes: its number of threads, kept in ``<work_dir>/threads.json``; one line of the log says it.

    Args:
        runner: nothing has been computed yet.
        go_on: take the number of the run in the work dir if there is one. OMP_NUM_THREADS, if the user has set it,
            takes precedence, with a warning. Default, and otherwise: what torch has now.

    Raises:
        InputError: the file in the work dir is damaged.
    """
    path, plan, before = Path(runner.work_dir, THREADS_FILE), plan_threads(), torch.get_num_threads()
    remedy = 'delete it to go on with as many threads as the machine has cores'
    record = read_record(path, 'the number of threads of a run', dict(threads=object), remedy) if go_on else None
    count = before
    if record is not None:
        try:
            began_with = as_count(f'{path}: threads', record['threads'])
        except ConfigError as error:
            raise InputError(f'{error}; {remedy}') from error
        if not plan.by_user:
            count = began_with
        elif began_with != before:
            runner.logger.warning(f'This run began with {began_with} threads and goes on with {before}, since {COUNT} '
                                  'is set, so its sums are rounded differently from now on and its results differ '
                                  'slightly from those of a run that was not stopped')
    if is_main_process():
        with write_errors(path):
            write_json(path, dict(threads=count))
    other = '' if count == plan.count else f'this run computes with {count}; chosen for this machine: '
    runner.logger.info(f'Threads: {other}{plan}')
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
