"""Lines of the training in the log, by the clock."""
from __future__ import annotations

import math
import time
from typing import Any, Dict, Optional

from mmengine.hooks import LoggerHook
from mmengine.runner import Runner

from mmrefine.errors import ConfigError
from mmrefine.registry import HOOKS
from mmrefine.values import as_count, is_number


@HOOKS.register_module()
class PacedLoggerHook(LoggerHook):
    """MMEngine's ``LoggerHook`` with a line every few seconds, however long a step takes.

    The first step and the last one have a line, too.

    Args:
        interval: log every so many steps, as in MMEngine, and not by the clock; None: by the clock.
        every: seconds from one line to the next, at least 0.
        more: arguments of MMEngine's hook.

    Raises:
        ConfigError: a value out of range.
    """

    def __init__(self, interval: Optional[int] = None, every: float = 10., **more: Any) -> None:
        if not is_number(every) or not 0 <= every < math.inf:
            raise ConfigError(f'default_hooks.logger.every must be seconds, at least 0, got {every!r}')
        super().__init__(interval=1 if interval is None else as_count('default_hooks.logger.interval', interval),
                         **more)
        self.paced, self.every = interval is None, every
        self._last, self._ends = -math.inf, False

    def after_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None,
                         outputs: Optional[Dict[str, Any]] = None) -> None:
        """Log the step if a line is due."""
        self._ends = runner.iter + 1 == runner.max_iters
        super().after_train_iter(runner, batch_idx, data_batch, outputs)
        self._ends = False  # a validation that follows keeps to the clock

    def every_n_inner_iters(self, batch_idx: int, n: int) -> bool:
        """Whether a line is due; MMEngine's name."""
        if not self.paced:
            return bool(super().every_n_inner_iters(batch_idx, n))
        now = time.monotonic()
        if now - self._last < self.every and not self._ends:
            return False
        self._last = now
        return True
