"""Defer Ctrl-C, and SIGTERM where it is handled in Python, to the end of a step."""
from __future__ import annotations

import os
import signal
import threading
import time
from typing import Any, Callable, Dict, Optional, Tuple

import torch
from mmengine.dist import all_reduce, get_world_size, is_main_process

SIGNALS = (signal.SIGINT, signal.SIGTERM)
# Launchers and `timeout` forward a signal that the terminal has already sent to all processes; a second Ctrl-C by a
# person comes later than this.
SAME_STOP = 1.  # s
NOTE = b'\nstopping: this step is finished and saved first; once more stops at once\n'


class HeldInterrupts:
    """Within ``with``, a signal that would stop the program is only noted; a second one of its kind stops it at once.

    Only handlers that are Python functions are replaced: a signal that is ignored, or that ends the process, still
    does so. Outside the main thread, where Python receives no signals, nothing is replaced. Processes forked within
    the block, such as data loading workers, ignore Ctrl-C, which a terminal sends to them as well.
    """

    def __init__(self) -> None:
        self._handlers: Dict[int, Callable[[int, Any], Any]] = {}
        self._noted: Optional[Tuple[int, float]] = None  # number and time
        self._owner = os.getpid()

    def __enter__(self) -> 'HeldInterrupts':
        if threading.current_thread() is threading.main_thread():
            for number in SIGNALS:
                handler = signal.getsignal(number)
                if callable(handler) and not isinstance(handler, signal.Handlers):
                    self._handlers[number] = handler
                    signal.signal(number, self._hold)
        return self

    def __exit__(self, *error: object) -> None:
        for number, handler in self._handlers.items():
            signal.signal(number, handler)

    def pending(self) -> int:
        """The number of the signal that was noted, 0 if none was; the same in all processes, whichever of them it
        was sent to."""
        number = self._noted[0] if self._noted else 0
        if get_world_size() == 1:
            return number
        shared = torch.tensor([number])
        all_reduce(shared, op='max')
        return int(shared)

    def release(self, number: int) -> None:
        """What the signal would have done, in most cases a ``KeyboardInterrupt``."""
        self._noted = None
        handler = self._handlers.get(number)
        if handler is None:  # the signal was sent to another process
            raise KeyboardInterrupt(number)
        handler(number, None)

    def _hold(self, number: int, frame: Any) -> None:
        if os.getpid() != self._owner:
            if number != signal.SIGINT:
                self._handlers[number](number, frame)
            return
        now = time.monotonic()
        if self._noted is None:
            self._noted = number, now
            if is_main_process():
                os.write(2, NOTE)  # print may be in the middle of a line, and is not re-entrant
        elif number == self._noted[0] and now - self._noted[1] > SAME_STOP:
            self._handlers[number](number, frame)
