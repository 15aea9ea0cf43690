"""Half-made files and directories, each owned by whoever holds its lock.

Whoever makes something writes it under a temporary name that carries a flock,
and renames it when it is complete.  A flock ends with the last process that
has the descriptor open, however that process ends; so what `sweep` can lock has
no owner any more and goes.  Names say nothing about ownership, so no process
id can be mistaken for another's.
"""

import errno
import os
import stat

from toolkit.core.record import NamedTuple
from toolkit.image.erase import erase
from toolkit.linux.lock import try_lock, wait_lock

_RANDOM_BYTES = 8


class Claim(NamedTuple):
    """A temporary file or directory whose lock this process holds."""

    path: str
    fd: int
    """Open, locked; closing it gives the claim up."""


def claim_directory(parent: str) -> Claim:
    """Make a new directory in `parent` that `sweep` leaves alone while it is claimed.

    The lock is shared: a helper process that works in the directory locks it
    too, and it is claimed as long as either lives.
    """
    while True:
        path = os.path.join(parent, os.urandom(_RANDOM_BYTES).hex())
        os.mkdir(path, 0o700)
        claim = _claim(path, os.O_RDONLY | os.O_DIRECTORY, shared=True)
        if claim is not None:
            return claim


def claim_file(path: str) -> Claim:
    """Open `path` for reading and writing, made if it does not exist, waiting for the claim of another."""
    while True:
        claim = _claim(path, os.O_RDWR | os.O_CREAT)
        if claim is not None:
            return claim


def sweep(parent: str, prefix: str = "") -> dict[str, int]:
    """Delete everything in `parent` that nobody claims; return the names, and the bytes of those that were files.

    Args:
        parent: a directory of claims.
        prefix: what the names begin with.
    """
    swept: dict[str, int] = {}
    with os.scandir(parent) as entries:
        names = [entry.name for entry in entries if entry.name.startswith(prefix)]
    for name in names:
        path = os.path.join(parent, name)
        try:
            fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except FileNotFoundError:
            continue  # its owner was done with it
        try:
            if try_lock(fd) and _is_at(fd, path):
                status = os.fstat(fd)
                erase(path)
                swept[name] = 0 if stat.S_ISDIR(status.st_mode) else status.st_size
        finally:
            os.close(fd)
    return swept


def _claim(path: str, flags: int, *, shared: bool = False) -> Claim | None:
    """Open and lock `path`; None if another took or removed it before it was locked."""
    try:
        fd = os.open(path, flags | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError as exc:
        if exc.errno == errno.ENOENT:
            return None
        raise
    try:
        wait_lock(fd, shared=shared)
        if _is_at(fd, path):
            return Claim(path, fd)
    except BaseException:
        os.close(fd)
        raise
    os.close(fd)
    return None


def _is_at(fd: int, path: str) -> bool:
    """Tell whether `path` still names the file that `fd` is."""
    try:
        return os.path.samestat(os.fstat(fd), os.lstat(path))
    except FileNotFoundError:
        return False
