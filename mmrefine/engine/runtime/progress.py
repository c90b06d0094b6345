"""Progress of a loop in the log: how many, how fast, how much longer."""
from __future__ import annotations

import time
from typing import Callable, Optional


class Progress:
    """Logs the progress of a loop every few seconds.

    Args:
        what: text of the line with ``{}`` for the count, such as ``'flow: {} pairs'``; only the last ``{}`` is
            replaced, as the name of a scene may contain braces.
        total: how many there are in all; None if unknown.
        log: called with a line.
        every: seconds between two lines.
        clock: seconds since some moment.
        end: whether even a loop shorter than ``every`` logs a line when it ends.
    """

    def __init__(self, what: str, total: Optional[int], log: Callable[[str], None] = print, every: float = 10.,
                 clock: Callable[[], float] = time.monotonic, *, end: bool = False) -> None:
        self.what, self.total, self.log, self.every, self.clock = what, total, log, every, clock
        self.started = self.last = clock()
        self.end = end

    def __call__(self, done: int) -> None:
        """Report that ``done`` of them are done."""
        now = self.clock()
        finished = done == self.total and (self.end or self.last > self.started)
        if now - self.last < self.every and not finished:
            return
        self.last = now
        rate = done / max(now - self.started, 1e-9)
        if self.total is None:
            self.log(f'{self._counted(str(done))}, {rate:.2f} a second')
            return
        left = round((self.total - done) / max(rate, 1e-9))
        self.log(f'{self._counted(f"{done}/{self.total}")}, {rate:.2f} a second, {left // 60} min {left % 60:02d} s '
                 'left')

    def _counted(self, count: str) -> str:
        before, _, after = self.what.rpartition('{}')
        return before + count + after

    def beyond(self, done: int) -> Callable[[int], None]:
        """Progress for a part of the loop that counts from 0 after ``done`` are done."""
        return lambda more: self(done + more)
