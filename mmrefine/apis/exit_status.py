"""How a command ends: with an exit status, and one line that says why if it is not 0."""
from __future__ import annotations

import errno
import os
import signal
import sys
from contextlib import contextmanager
from typing import Any, Callable, Iterator, Optional

from mmrefine.errors import MMRefineError


def run_command(main: Callable[[], int], go_on: str = 'the same command goes on from here, a training with '
                                                      '--resume') -> None:
    """Run a tool and exit: 0, 1 after one line that says what is wrong, 130 after Ctrl-C, 143 after SIGTERM,
    and 141, without a word, where nobody reads what it prints.

    Anything that is not an :class:`~mmrefine.errors.MMRefineError` is a bug of ours and keeps its traceback.

    Args:
        main: the tool; returns the exit status.
        go_on: what to do after it was stopped, in a few words.
    """
    tolerate_names(sys.stdout)
    try:
        with _terminable():
            status = main()
        sys.stdout.flush()
    except BaseException as error:
        status = _status_of(error, go_on)
    sys.exit(status)


def _status_of(error: BaseException, go_on: str) -> int:
    """The exit status for what ended a tool, after the line that says it; raises what is a bug of ours."""
    stop = _stop_behind(error)
    if stop is not None:
        print(f'stopped; {go_on}', file=sys.stderr)
        # `python -m` ends by SIGINT, whatever the status, after a KeyboardInterrupt has left an exec of text, as in an
        # import that makes dataclasses; CPython forgets it at the next exec of text
        exec('')
        return 128 + int(stop.args[0] if stop.args else signal.SIGINT)  # as shells number it
    if isinstance(error, BrokenPipeError):  # nobody reads on, as in `mmrefine … | head`
        # what is still in the buffer would be written at the end, and fail again
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.__stdout__.fileno() if sys.__stdout__ else 1)
        return 128 + int(signal.SIGPIPE)
    if isinstance(error, MMRefineError):
        print(f'error: {_sentence(error)}', file=sys.stderr)
    elif isinstance(error, OSError) and error.errno == errno.ENOSPC:
        print(f'error: {error.filename or "the work dir"}: the disk is full; free some space, then '
              f'{go_on}', file=sys.stderr)
    elif isinstance(error, OSError) and error.errno == errno.ENAMETOOLONG:
        print(f'error: {os.fsdecode(error.filename or "a path")}: is too long for the disk, where a name has at most '
              '255 bytes and a whole path 4096 as a rule; choose a shorter one (--out, for results)', file=sys.stderr)
    else:
        raise error
    return 1


def _stop_behind(error: Optional[BaseException]) -> Optional[KeyboardInterrupt]:
    """The Ctrl-C or SIGTERM that became another error on its way, as in a library that catches everything."""
    while error is not None and not isinstance(error, KeyboardInterrupt):
        error = error.__cause__ or error.__context__
    return error


def tolerate_names(stream: Any) -> None:
    """Let names of files that are no valid text be written to a text stream, with a backslash for each odd byte."""
    if getattr(stream, 'errors', None) == 'strict' and hasattr(stream, 'reconfigure'):
        stream.reconfigure(errors='backslashreplace')


@contextmanager
def _terminable() -> Iterator[None]:
    """SIGTERM, from a scheduler or ``kill``, stops like Ctrl-C does, so that unfinished files are removed."""

    def stop(number: int, frame: Any) -> None:
        raise KeyboardInterrupt(number)

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _sentence(error: MMRefineError) -> str:
    """The message in one line, without the traceback that the worker of a data loader puts around it."""
    text = str(error)
    if 'Original Traceback' in text:
        text = text.rstrip().rpartition(f'.{type(error).__name__}: ')[2]
    return ' '.join(text.split())
