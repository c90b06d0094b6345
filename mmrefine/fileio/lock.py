"""A lock that lets one process at a time change a folder."""
from __future__ import annotations

import contextlib
import errno
import os
from pathlib import Path
from typing import Any, Dict, Iterator

from filelock import FileLock

LOCK = '.lock'  # empty, and never removed: waiting processes would otherwise wait for a deleted file
WAIT = 0.01  # s between two attempts

# errors of file systems without locks
_NO_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EBADF, errno.EINVAL}
_READ_ONLY = {errno.EACCES, errno.EPERM, errno.EROFS}
# newer versions of filelock would take the mere presence of the file for a lock there, and wait for ever
_NO_FALLBACK: Dict[str, Any] = dict(fallback_to_soft=False) if hasattr(FileLock, 'fallback_to_soft') else {}


@contextlib.contextmanager
def folder_lock(folder: Path) -> Iterator[None]:
    """Keep every other user of ``folder_lock`` out of an existing folder; waits as long as one is inside.

    The lock is the kernel's, on the file ``.lock`` in the folder: the death of its holder, however sudden, frees it. It
    is not re-entrant. It does nothing where the file system has no locks (some network mounts), or where the folder
    cannot be written, so that nothing in it will be changed.

    Raises:
        OSError: the folder is missing, or its ``.lock`` cannot be opened.
    """
    folder.stat()  # a missing folder would otherwise be made, or waited for
    lock = FileLock(folder / LOCK, **_NO_FALLBACK)
    try:
        lock.acquire(poll_interval=WAIT)
    except NotImplementedError:  # older versions of filelock raise it for ENOSYS
        pass
    except OSError as error:
        if error.errno not in _NO_LOCKS and (error.errno not in _READ_ONLY or os.access(folder, os.W_OK)):
            raise
    try:
        yield
    finally:
        lock.release()
