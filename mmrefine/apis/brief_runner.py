"""MMEngine's runner, with one sentence for a checkpoint that it cannot resume from, and without pages of print."""
from __future__ import annotations

import logging
import sys
from functools import partial
from pathlib import Path
from typing import Any, Optional, Union

from mmengine.logging import MMLogger
from mmengine.runner import Runner

from mmrefine.apis.exit_status import tolerate_names
from mmrefine.engine.hooks.checkpoint_hook import wanted_state
from mmrefine.engine.runtime.resume_point import find_resume_point
from mmrefine.errors import CheckpointError
from mmrefine.values import brief

# how the log records begin that hold the environment, the whole config, the order of the hooks, names inside mmengine,
# and what comes again and again
_PAGES = ('\n---', 'Config:', 'Hooks will be executed', '"FileClient"', '"HardDiskBackend"', 'Exp name:',
          'Saving checkpoint at', 'Distributed training is not used')


class ResumingRunner(Runner):
    """A runner that refuses a checkpoint it cannot resume from by name, and logs any name of a file."""

    def build_logger(self, log_level: Union[int, str] = 'INFO', log_file: Optional[str] = None,
                     **kwargs: Any) -> MMLogger:
        """MMEngine's logger; a name that is no valid text does not break its files."""
        logger = super().build_logger(log_level, log_file, **kwargs)
        for handler in logger.handlers:
            tolerate_names(getattr(handler, 'stream', None))
            setattr(handler, 'handleError', partial(_handle_error, handler))
        return logger

    def load_or_resume(self) -> None:
        """Load weights, or go on from the newest checkpoint of the work dir whose state is one of this run.

        Raises:
            CheckpointError: there is none.
        """
        if self._resume and self._load_from is None and not self._has_loaded:
            find_resume_point(Path(self.work_dir), wanted_state(self))
        super().load_or_resume()

    def resume(self, filename: str, *args: Any, **kwargs: Any) -> None:
        """Go on from a training checkpoint.

        Raises:
            CheckpointError: a part of it, such as the optimiser's, does not belong to this run.
        """
        try:
            super().resume(filename, *args, **kwargs)
        except (ArithmeticError, AssertionError, AttributeError, LookupError, RuntimeError, TypeError,
                ValueError) as error:
            raise CheckpointError(f'{filename}: the run cannot go on from it ({type(error).__name__}: '
                                  f'{brief(str(error))}); delete this file to go on from an older checkpoint, or start '
                                  'again in a new work dir') from error


def _handle_error(handler: logging.Handler, record: logging.LogRecord) -> None:
    """What logging does with an error while it writes; that nobody reads on ends the program, and a log that cannot be
    written is told once."""
    error = sys.exc_info()[1]
    if isinstance(error, BrokenPipeError):
        raise error
    if not isinstance(error, OSError):
        logging.Handler.handleError(handler, record)
        return
    # at each line it would be the same again
    handler.addFilter(lambda record: False)
    path = getattr(handler, 'baseFilename', None) or getattr(getattr(handler, 'stream', None), 'name', 'the log')
    print(f'warning: {path}: cannot be written ({error.strerror or error}), so this log ends here, and the run goes on '
          'without it; free some space if the disk is full, as its results need some, too', file=sys.stderr)


class BriefRunner(ResumingRunner):
    """A runner whose log file has everything, while the terminal shows only what a person waits for."""

    def build_logger(self, log_level: Union[int, str] = 'INFO', log_file: Optional[str] = None,
                     **kwargs: Any) -> MMLogger:
        """MMEngine's logger; pages are not shown in the terminal."""
        logger = super().build_logger(log_level, log_file, **kwargs)
        for handler in logger.handlers:
            if not isinstance(handler, logging.FileHandler):
                handler.addFilter(lambda record: not str(record.msg).startswith(_PAGES))
        return logger
