"""Locks that die with their owner.

A flock(2) belongs to an open file description: it holds as long as any process
has that description open, however that process ends.  The engine uses one for
every question of the form "is the owner of this still alive?", since a lock
cannot be confused with another's as a process id can.
"""

import errno
import fcntl
import os

from toolkit.linux.flags import quoted
from toolkit.trace import span


def open_directory(path: str) -> int:
    """Open a directory, close-on-exec, to lock it."""
    with span("file.open", f"openat(AT_FDCWD, {quoted(path)}, O_RDONLY|O_DIRECTORY|O_CLOEXEC)") as here:
        return here.returns(os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC))


def try_lock(fd: int, *, shared: bool = False) -> bool:
    """Take the lock of an open file without waiting; tell whether it was free.

    See Also:
        flock(2)
    """
    kind = "LOCK_SH" if shared else "LOCK_EX"
    operation = (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB
    try:
        with span("lock.flock", f"flock({fd}, {kind}|LOCK_NB)"):
            fcntl.flock(fd, operation)
    except OSError as exc:
        if exc.errno == errno.EWOULDBLOCK:
            return False
        raise
    return True


def wait_lock(fd: int, *, shared: bool = False) -> None:
    """Take the lock of an open file, waiting for its owner to let go or to die."""
    kind = "LOCK_SH" if shared else "LOCK_EX"
    with span("lock.flock", f"flock({fd}, {kind})"):
        fcntl.flock(fd, fcntl.LOCK_SH if shared else fcntl.LOCK_EX)


def unlock(fd: int) -> None:
    """Let go of the lock of an open file."""
    with span("lock.flock", f"flock({fd}, LOCK_UN)"):
        fcntl.flock(fd, fcntl.LOCK_UN)
