"""MMEngine's runner, without the pages that it prints before a run begins."""
from __future__ import annotations

import logging
from typing import Any, Optional, Union

from mmengine.logging import MMLogger
from mmengine.runner import Runner

# how the log records begin that hold the environment, the whole config, the order of the hooks, and names inside
# mmengine
_PAGES = ('\n---', 'Config:', 'Hooks will be executed', '"FileClient"', '"HardDiskBackend"')


class BriefRunner(Runner):
    """A runner whose log file has everything, while the terminal shows only what a person waits for."""

    def build_logger(self, log_level: Union[int, str] = 'INFO', log_file: Optional[str] = None,
                     **kwargs: Any) -> MMLogger:
        """MMEngine's logger; pages are not shown in the terminal."""
        logger = super().build_logger(log_level, log_file, **kwargs)
        for handler in logger.handlers:
            if not isinstance(handler, logging.FileHandler):
                handler.addFilter(lambda record: not str(record.msg).startswith(_PAGES))
        return logger
