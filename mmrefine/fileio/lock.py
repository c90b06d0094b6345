"""One process at a time in a folder."""
from __future__ import annotations

import contextlib
import errno
import os
from pathlib import Path
from typing import Iterator

try:
    import fcntl
except ImportError:  # not a Unix
    fcntl = None  # type: ignore[assignment]

__all__ = ['folder_lock']

# what file systems say that have no such lock, or none on a folder
_NO_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EBADF, errno.EINVAL, errno.EISDIR}


@contextlib.contextmanager
def folder_lock(folder: Path) -> Iterator[None]:
    """Keep every other user of ``folder_lock`` out of an existing folder; waits as long as one is inside.

    The lock is the kernel's, on the folder itself: it leaves no file behind, and the death of its holder, however sudden, frees
    it. It is not re-entrant. Where the file system has no such locks (some network mounts), it does nothing.

    Raises:
        OSError: the folder is missing or cannot be opened.
    """
    if fcntl is None:
        yield
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                raise
        yield
    finally:
        with contextlib.suppress(OSError):
            fcntl.flock(handle, fcntl.LOCK_UN)  # closing is not enough if a child was forked meanwhile
        os.close(handle)
