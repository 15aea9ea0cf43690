"""What a lab has left on the machine, found by ownership and taken away.

A process is the lab's if it was started from the student's notebook (it has
the lab's mark in its environment), or if its program or its root lies in the
student's directory.  A mount is the lab's if it lies in that directory.
Nothing is found by its name.
"""

import os
import signal
import time

from toolkit.core.errors import EngineError, SyscallError
from toolkit.lab.runner import OWNER_VARIABLE
from toolkit.linux import process, procfs
from toolkit.linux.mount import MNT_DETACH, umount, unescaped

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

_VANISH_S = 5.0


def take_away(directory: str) -> None:
    """Kill the processes of the lab in `directory`, and detach what is mounted there.

    Raises:
        EngineError: a process does not end.
        SyscallError: EPERM without the right to do so.
    """
    pids = list(processes_of(directory))
    pidfds = [fd for fd in map(process.find_pidfd, pids) if fd >= 0]
    try:
        for fd in pidfds:
            _kill(fd)
        _await(directory)
    finally:
        for fd in pidfds:
            os.close(fd)
    for point in reversed(mounts_in(directory)):
        umount(point, MNT_DETACH)


def _kill(pidfd: int) -> None:
    try:
        process.pidfd_send_signal(pidfd, signal.SIGKILL)
    except ProcessLookupError:
        pass  # it has ended


def _await(directory: str) -> None:
    deadline = time.monotonic() + _VANISH_S
    while left := list(processes_of(directory)):
        if time.monotonic() > deadline:
            raise EngineError(f"process {left[0]} of the lab does not end", hint="see what it waits for in ps")
        time.sleep(0.02)


def processes_of(directory: str) -> "Iterator[int]":
    """Yield the pids of the lab's processes; neither this process nor one that it descends from is one of them."""
    mark = f"{OWNER_VARIABLE}={directory}"
    above = set(_ancestors(os.getpid()))
    for name in os.listdir("/proc"):
        if name.isdecimal() and int(name) not in above and _is_of(int(name), directory, mark):
            yield int(name)


def _ancestors(pid: int) -> "Iterator[int]":
    while pid > 0:
        yield pid
        pid = procfs.parent(pid)


def _is_of(pid: int, directory: str, mark: str) -> bool:
    """Look at one process; those that are gone, zombies and those of others are not the lab's."""
    try:
        if mark in procfs.read(f"/proc/{pid}/environ").split("\0"):
            return True
        program = os.readlink(f"/proc/{pid}/exe").removesuffix(" (deleted)")
        return _is_below(program, directory) or _is_below(os.readlink(f"/proc/{pid}/root"), directory)
    except (SyscallError, FileNotFoundError, ProcessLookupError, PermissionError):
        return False


def _is_below(path: str, directory: str) -> bool:
    return path.startswith(f"{directory}/")


def mounts_in(directory: str) -> list[str]:
    """Return the mount points below a directory, in the order in which they were mounted."""
    lines = procfs.read("/proc/self/mountinfo").splitlines()
    points = [unescaped(line.split()[4]) for line in lines]
    return [point for point in points if _is_below(point, directory)]
