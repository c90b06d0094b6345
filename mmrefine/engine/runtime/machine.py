"""What a process can find out about the machine under it: time, memory, disk."""
from __future__ import annotations

import re
import shutil
import time
from pathlib import Path
from typing import Iterator, Optional

import psutil
import torch


class Machine:
    """Clock, memory and disk as one process sees them; tests put another one in its place.

    Memory is that of the GPU if ``device`` is one, else the machine's. Bytes everywhere; None where it is not known
    (the peak without Linux, everything on a device of another kind).

    Args:
        device: where the network lives.
    """

    def __init__(self, device: str = 'cpu') -> None:
        self.device = torch.device(device)

    @property
    def memory(self) -> str:
        """What to call the memory."""
        return 'GPU memory' if self.device.type == 'cuda' else 'memory'

    def clock(self) -> float:
        """Seconds since some moment."""
        return time.monotonic()

    def free_disk(self, folder: Path) -> Optional[int]:
        """Free space, for this user, of the file system that holds an existing folder."""
        try:
            return shutil.disk_usage(folder).free
        except OSError:
            return None

    def resident(self) -> Optional[int]:
        """What this process has now."""
        if self.device.type == 'cuda':
            return int(torch.cuda.memory_allocated(self.device))
        return int(psutil.Process().memory_info().rss) if self.device.type == 'cpu' else None

    def peak(self) -> Optional[int]:
        """The most that this process had since it began, or since somebody reset it."""
        if self.device.type == 'cuda':
            return int(torch.cuda.max_memory_allocated(self.device))
        return resident_peak() if self.device.type == 'cpu' else None

    def capacity(self, processes: int = 1) -> Optional[int]:
        """The most that this process can have, what it has included, if as many others like it work here.

        That is what is free plus what it has, and no more than the limit of its control group (containers, job
        schedulers), which all processes on the machine share.
        """
        if self.device.type == 'cuda':
            return int(torch.cuda.mem_get_info(self.device)[0]) + int(torch.cuda.memory_reserved(self.device))
        resident = self.resident()
        if resident is None:
            return None
        limit = cgroup_limit()
        room = psutil.virtual_memory().available // processes + resident
        return room if limit is None else min(room, limit // processes)


def resident_peak(proc: Path = Path('/proc')) -> Optional[int]:
    """Most memory, in bytes, that this process had at a time, as Linux counts it; None on other systems.

    psutil does not tell it; ``getrusage`` does, but for a process that another one started, it may be the peak of that
    one.
    """
    try:
        found = re.search(r'^VmHWM:\s+(\d+) kB', (proc / 'self/status').read_text(), re.MULTILINE)
    except OSError:
        return None
    return None if found is None else 1024 * int(found[1])


def cgroup_limit(proc: Path = Path('/proc'), mount: Path = Path('/sys/fs/cgroup')) -> Optional[int]:
    """Least memory limit, in bytes, of this process's control group (version 1 or 2) and those above it; None
    without one."""
    try:
        lines = (proc / 'self/cgroup').read_text().splitlines()
    except OSError:
        return None
    limits = [limit for line in lines if line.count(':') >= 2 for limit in _limits(mount, *line.split(':', 2)[1:])]
    return min(limits, default=None)


def _limits(mount: Path, controllers: str, group: str) -> Iterator[int]:
    if controllers == '':  # version 2
        root, name = mount, 'memory.max'
    elif 'memory' in controllers.split(','):
        root, name = mount / 'memory', 'memory.limit_in_bytes'
    else:
        return
    folder = root / group.strip('/')
    # a container may see its own group as the root, under a path that is the host's
    for place in {folder, *folder.parents, root}:
        if place != root and root not in place.parents:
            continue
        try:
            text = (place / name).read_text().strip()
        except OSError:
            continue
        if text.isdigit():  # and not "max"
            yield int(text)
