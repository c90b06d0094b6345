"""How many threads compute, how they wait for one another, and how many processes load data, on this machine.

The commands choose it before torch is loaded (:func:`choose_threads`); ``import mmrefine`` chooses nothing.

* **Number**: one thread for each physical core that the process may run on, as PyTorch does by itself, but no more than
  its CPU quota allows, which PyTorch does not look at. The processes that ``torchrun`` starts share them.
* **Waiting**: threads that have nothing to do spin for a while before they sleep. The default of libgomp is to spin for
  several milliseconds; beside other busy processes that takes time from the thread that it waits for.
  ``SPIN_COUNT`` is long enough for an idle machine and short enough for a busy one (``benchmarks/waiting.py``).
* **Loading**: a sample takes about a hundredth of the time of a step, so a few processes are enough; one core is left
  for computing.

The variables ``OMP_NUM_THREADS``, ``GOMP_SPINCOUNT`` and ``OMP_WAIT_POLICY`` of the user take precedence.
"""
from __future__ import annotations

import os
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Dict, Optional, Set

from mmrefine.compat.cgroups import PROC, cpu_quota

# rounds of a waiting loop; a fraction of a millisecond
SPIN_COUNT = 10000
MOST_LOADERS = 4
COUNT, SPIN, POLICY = 'OMP_NUM_THREADS', 'GOMP_SPINCOUNT', 'OMP_WAIT_POLICY'

CPUS = Path('/sys/devices/system/cpu')

# what libgomp reads: a number, or one for each level of nested teams
_COUNTS = re.compile(r'\s*[1-9][0-9]{0,4}\s*(,\s*[1-9][0-9]{0,4}\s*)*')

# the variables that choose_threads() has set, which are not the user's
_ours: Dict[str, str] = {}


@dataclass(frozen=True)
class Threads:
    """What is right for this process on this machine.

    Attributes:
        count: threads that compute.
        loaders: processes that load data for a training; 0: the training loads them itself.
        cores: physical cores that the process may run on.
        quota: cores whose time it may use, None without a limit.
        processes: processes of ``torchrun`` that share them.
        by_user: whether ``count`` is that of OMP_NUM_THREADS.
        waiting: how threads wait, as a clause.
    """
    count: int
    loaders: int
    cores: int
    quota: Optional[float]
    processes: int
    by_user: bool
    waiting: str

    def __str__(self) -> str:
        quota = 'no CPU quota' if self.quota is None else f'CPU quota of {self.quota:g}'
        shared = f', shared by {self.processes} processes' if self.processes > 1 else ''
        user = f'{COUNT} is set; ' if self.by_user else ''
        return (f'{_counted(self.count, "thread")} ({user}{_counted(self.cores, "core")} usable, {quota}{shared}); '
                f'{self.waiting}')


def plan_threads() -> Threads:
    """What is right for this process; changes nothing."""
    cores, quota, processes = usable_cores(), cpu_quota(), _local_processes()
    share = max(1, min(cores, cores if quota is None else int(quota)) // processes)
    asked = _of_user(COUNT)
    set_by_user = {key: value for key in (SPIN, POLICY) for value in [_of_user(key)] if value is not None}
    if set_by_user:
        waiting = ' and '.join(f'{key}={value}' for key, value in set_by_user.items()) + ' is set'
    elif 'torch' in sys.modules and SPIN not in _ours:
        waiting = f'torch was loaded before, so they wait as it does by default and not with {SPIN}={SPIN_COUNT}'
    else:
        waiting = f'they wait with {SPIN}={SPIN_COUNT}'
    return Threads(share if asked is None else int(asked.partition(',')[0]), min(MOST_LOADERS, share - 1), cores, quota,
                   processes, asked is not None, waiting)


def choose_threads() -> Threads:
    """Set the variables that the user has not set, for torch when it is loaded, and for child processes.

    If torch is loaded already, only the number of its threads can be set, and the variables stay as they are.
    """
    threads = plan_threads()
    torch = sys.modules.get('torch')
    if torch is not None:
        torch.set_num_threads(threads.count)
        return threads
    wanted = {COUNT: str(threads.count)}
    if _of_user(POLICY) is None:  # which GOMP_SPINCOUNT would override
        wanted[SPIN] = str(SPIN_COUNT)
    for key, value in wanted.items():
        if _of_user(key) is None:
            os.environ[key] = _ours[key] = value
    return threads


def usable_cores(cpus: Path = CPUS) -> int:
    """Physical cores that this process may run on; logical ones where the system does not tell them apart."""
    if not hasattr(os, 'sched_getaffinity'):
        import psutil
        return psutil.cpu_count(logical=False) or os.cpu_count() or 1
    siblings: Set[str] = set()
    allowed = os.sched_getaffinity(0)
    for cpu in allowed:
        try:
            siblings.add((cpus / f'cpu{cpu}' / 'topology/thread_siblings_list').read_text().strip())
        except OSError:
            return len(allowed)
    return max(1, len(siblings))


def _local_processes() -> int:
    """Processes of torchrun on this machine; 1 without it."""
    text = os.environ.get('LOCAL_WORLD_SIZE', '')
    return max(1, int(text)) if text.isdecimal() else 1


def _of_user(key: str) -> Optional[str]:
    """The value of a variable that the user has set; None if it is unset, or set by us or by torchrun. A number of
    threads that libgomp would refuse, such as 0 or an empty text, counts as unset.

    torchrun sets OMP_NUM_THREADS=1 for its processes if it is unset. The environment that torchrun itself was started
    with tells whether the user did.
    """
    value = os.environ.get(key)
    if value is None or _ours.get(key) == value or (key == COUNT and not _COUNTS.fullmatch(value)):
        return None
    if key == COUNT and value == '1' and 'TORCHELASTIC_RUN_ID' in os.environ:
        try:
            before = (PROC / str(os.getppid()) / 'environ').read_bytes()
        except OSError:
            return value
        return value if any(entry.startswith(f'{key}='.encode()) for entry in before.split(b'\0')) else None
    return value


def _counted(number: int, what: str) -> str:
    return f'{number} {what}' + ('' if number == 1 else 's')
