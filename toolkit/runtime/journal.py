"""The journal of events: who did what to which object, one line each, written by whoever did it.

There is no daemon to tell, so every process of the engine appends to one file
in the run directory, with a single write(2) of whole lines: the kernel keeps
them apart.  At a size of MAX_BYTES the file becomes FILE.1, in the place of the
one that was called so: the last few thousand events can be read, as docker's
daemon keeps the last 256.

A line is a JSON array: nanoseconds since the epoch, type, action, id,
attributes.  Docker's words for it are made by who reads it.
"""

import os
import time

from toolkit.core import document
from toolkit.linux import lock

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_BYTES = 1024 * 1024
_FLAGS = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC


def line(kind: str, action: str, ident: str, attributes: "Mapping[str, str]") -> bytes:
    """Return an event that happens now, as it stands in the journal."""
    return _stamped(_rest(kind, action, ident, attributes))


def foretell(path: str, kind: str, action: str, ident: str, attributes: "Mapping[str, str]") -> bytes:
    """Return an event that is to happen, for another process, which says when: see `happened`."""
    return path.encode() + b"\0" + _rest(kind, action, ident, attributes)


def happened(foretold: bytes) -> None:
    """Write down an event that happens now; made for a monitor, which runs little code."""
    path, _, rest = foretold.partition(b"\0")
    append(path, _stamped(rest))


def _rest(kind: str, action: str, ident: str, attributes: "Mapping[str, str]") -> bytes:
    return document.encode((kind, action, ident, attributes))[1:]


def _stamped(rest: bytes) -> bytes:
    return b"[%d,%b\n" % (time.time_ns(), rest)


def append(path: str | bytes, lines: bytes) -> None:
    """Write events into the journal at `path`.

    What cannot be written (a full disk, a run directory that is just being
    taken away) is lost: no deed fails for lack of its record.
    """
    try:
        fd = os.open(path, _FLAGS, 0o600)
    except OSError:
        return
    try:
        os.write(fd, lines)
        if os.lseek(fd, 0, os.SEEK_CUR) > MAX_BYTES:
            _turn(path, fd)
    except OSError:
        pass  # as above
    finally:
        os.close(fd)


def _turn(path: str | bytes, fd: int) -> None:
    """Begin a new file; of several who find the old one full, one does it."""
    if lock.try_lock(fd) and os.stat(path).st_ino == os.fstat(fd).st_ino:
        os.rename(path, os.fsencode(path) + b".1")
