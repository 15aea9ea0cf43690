"""What /proc says about processes."""

import errno
import os

from toolkit.linux.flags import quoted
from toolkit.trace import span


def read(path: str) -> str:
    """Return a file of /proc.

    Raises:
        SyscallError: ENOENT or ESRCH if the process is gone.
    """
    call = f"openat(AT_FDCWD, {quoted(path)}, O_RDONLY|O_CLOEXEC)"
    with span("proc.read", call, {errno.ENOENT: "the process is gone"}) as here:
        fd = here.returns(os.open(path, os.O_RDONLY | os.O_CLOEXEC))
        try:
            parts: list[bytes] = []
            while chunk := os.read(fd, 65536):
                parts.append(chunk)
        finally:
            os.close(fd)
    return b"".join(parts).decode(errors="replace")


def start_time(pid: int) -> int:
    """Return when a process started, in clock ticks since boot; 0 if it is gone.

    Together with the pid it names a process for ever (proc_pid_stat(5), field 22).
    """
    try:
        text = read(f"/proc/{pid}/stat")
    except OSError as exc:
        if exc.errno in (errno.ENOENT, errno.ESRCH):
            return 0
        raise
    return int(text.rpartition(")")[2].split()[19])


def parent(pid: int | str) -> int:
    """Return the parent of a process, as the mounted /proc numbers it; a pid namespace of the caller's does not count.

    Raises:
        SyscallError: ENOENT or ESRCH if the process is gone.
    """
    return int(read(f"/proc/{pid}/stat").rpartition(")")[2].split()[1])
