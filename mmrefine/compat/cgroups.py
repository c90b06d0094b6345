"""What the control groups of Linux (containers, job schedulers), version 1 and 2, allow this process."""
from __future__ import annotations

from pathlib import Path
from typing import Iterator, List, Mapping, Optional, Sequence

PROC, MOUNT = Path('/proc'), Path('/sys/fs/cgroup')


def memory_limit(proc: Path = PROC, mount: Path = MOUNT) -> Optional[int]:
    """Least memory limit, in bytes, of this process's control group and those above it; None without one."""
    names = {1: ['memory.limit_in_bytes'], 2: ['memory.max']}
    limits = [int(words[0]) for words in _words('memory', names, proc, mount) if words[0].isdecimal()]  # and not "max"
    return min(limits, default=None)


def cpu_quota(proc: Path = PROC, mount: Path = MOUNT) -> Optional[float]:
    """Least number of cores whose time this process's control group and those above it may use; None without a quota.

    A quota may be a fraction, such as 1.5 cores.
    """
    names = {1: ['cpu.cfs_quota_us', 'cpu.cfs_period_us'], 2: ['cpu.max']}
    # without a quota the first word is "max" or -1
    quotas = [int(words[0]) / int(words[1]) for words in _words('cpu', names, proc, mount)
              if len(words) == 2 and words[0].isdecimal() and words[1].isdecimal() and int(words[1]) > 0]
    return min(quotas, default=None)


def _words(controller: str, names: Mapping[int, Sequence[str]], proc: Path, mount: Path) -> Iterator[List[str]]:
    """The words of some files, named by version, in the folder of each control group that has them."""
    try:
        lines = (proc / 'self/cgroup').read_text().splitlines()
    except (OSError, ValueError):  # a name that is not UTF-8
        return
    for line in lines:
        if line.count(':') < 2:
            continue
        _, controllers, group = line.split(':', 2)
        if controllers == '':
            version, root = 2, mount
        elif controller in controllers.split(','):  # the folder is named after one controller or after all of them
            version, root = 1, mount / (controller if (mount / controller).is_dir() else controllers)
        else:
            continue
        folder = root / group.strip('/')
        # a container may see its own group as the root, although the path is that of the host
        for place in {folder, *folder.parents, root}:
            if place != root and root not in place.parents:
                continue
            try:
                words = ' '.join((place / name).read_text() for name in names[version]).split()
            except (OSError, ValueError):
                continue
            if words:
                yield words
