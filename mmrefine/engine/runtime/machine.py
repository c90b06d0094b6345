"""The time, memory and disk space that a process has on its machine."""
from __future__ import annotations

import re
import shutil
import time
from pathlib import Path
from typing import Optional

import psutil
import torch

from mmrefine.compat.cgroups import memory_limit


class Machine:
    """Clock, memory and disk as one process sees them; tests replace it by a simulated one.

    Memory is that of the GPU if ``device`` is one, else the machine's. Bytes everywhere; None where it is not known
    (the peak without Linux, everything on a device of another kind).

    Args:
        device: where the network runs.
    """

    def __init__(self, device: str = 'cpu') -> None:
        self.device = torch.device(device)

    @property
    def memory(self) -> str:
        """The name of the memory in messages."""
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
        """Memory that this process uses now."""
        if self.device.type == 'cuda':
            return int(torch.cuda.memory_allocated(self.device))
        return int(psutil.Process().memory_info().rss) if self.device.type == 'cpu' else None

    def peak(self) -> Optional[int]:
        """Peak memory of this process since it began, or since the counter was reset."""
        if self.device.type == 'cuda':
            return int(torch.cuda.max_memory_allocated(self.device))
        return resident_peak() if self.device.type == 'cpu' else None

    def capacity(self, processes: int = 1) -> Optional[int]:
        """Memory that this process can use in all if ``processes`` processes like it share the machine.

        That is its share of the free memory plus what it uses, and no more than its share of the limit of the control
        group (containers, job schedulers).
        """
        if self.device.type == 'cuda':
            return int(torch.cuda.mem_get_info(self.device)[0]) + int(torch.cuda.memory_reserved(self.device))
        resident = self.resident()
        if resident is None:
            return None
        limit = memory_limit()
        room = psutil.virtual_memory().available // processes + resident
        return room if limit is None else min(room, limit // processes)


def resident_peak(proc: Path = Path('/proc')) -> Optional[int]:
    """Peak resident memory of this process in bytes, as Linux counts it; None on other systems.

    psutil does not report it; ``getrusage`` does, but a child process may inherit the peak of its parent.
    """
    try:
        found = re.search(r'^VmHWM:\s+(\d+) kB', (proc / 'self/status').read_text(), re.MULTILINE)
    except OSError:
        return None
    return None if found is None else 1024 * int(found[1])
