"""The few operations on cgroup files, each leaving its event."""

import errno
import os

from toolkit.core.errors import SyscallError
from toolkit.trace import span

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_HINTS: "Mapping[int, str]" = {
    errno.EACCES: "run as root, or have the cgroup delegated to this user",
    errno.EPERM: "run as root, or have the cgroup delegated to this user",
    errno.EROFS: "the cgroup file system is mounted read-only here: remount it read-write on the host",
}
_WRITE_HINTS: "Mapping[int, str]" = {
    **_HINTS,
    errno.EOPNOTSUPP: "this device or its I/O scheduler does not have it: a weight needs bfq",
    errno.EBUSY: "the limit is below what is in use now, or the group holds processes and cannot hand down controllers",
    errno.EINVAL: "the kernel does not take this value here",
    errno.ENOENT: "this kernel lacks this cgroup file, or its controller is not handed down to this group",
    errno.ENOSPC: "the group has no CPUs or memory nodes yet: write cpuset.cpus and cpuset.mems first",
}


def make(path: str) -> bool:
    """Create the group `path`; return False if it is there already."""
    try:
        with span("cgroup.mkdir", lambda: f'mkdir("{path}", 0755)', _HINTS):
            os.mkdir(path, 0o755)
    except SyscallError as error:
        if error.errno != errno.EEXIST:
            raise
        return False
    return True


def write(path: str, *values: str, area: str = "cgroup.write") -> None:
    """Change a control file: each value goes in with a write of its own, as the kernel wants it.

    Raises:
        SyscallError: ENOENT if the kernel lacks the file, EINVAL for a value it
            does not take, EBUSY for a memory limit below what is in use.
    """
    with span("cgroup.open", lambda: f'openat(AT_FDCWD, "{path}", O_WRONLY|O_CLOEXEC)', _WRITE_HINTS) as opening:
        fd = opening.returns(os.open(path, os.O_WRONLY | os.O_CLOEXEC))
    try:
        for value in values:
            _write(fd, path, value, area)
    finally:
        os.close(fd)


def _write(fd: int, path: str, value: str, area: str) -> None:
    with span(area, lambda: f'write({fd}<{path}>, "{value}", {len(value)})', _WRITE_HINTS) as writing:
        writing.returns(os.write(fd, value.encode()))


def write_all(settings: "Sequence[tuple[str, str]]") -> None:
    """Write (path, value) pairs in order; neighbours with one path share one open file."""
    start = 0
    for end in range(1, len(settings) + 1):
        if end == len(settings) or settings[end][0] != settings[start][0]:
            write(settings[start][0], *(value for _, value in settings[start:end]))
            start = end


def read(path: str) -> str:
    """Return what a control file says now.

    Raises:
        SyscallError: ENOENT if the group or the file does not exist.
    """
    with span("cgroup.read", lambda: f'openat(AT_FDCWD, "{path}", O_RDONLY|O_CLOEXEC)') as reading:
        fd = reading.returns(os.open(path, os.O_RDONLY | os.O_CLOEXEC))
        try:
            text = b""
            while chunk := os.read(fd, 65536):
                text += chunk
        finally:
            os.close(fd)
    return text.decode()


def give(path: str, uid: int) -> None:
    """Give a group's directory or one of its files to a user.

    Raises:
        SyscallError: ENOENT if it does not exist.
    """
    with span("cgroup.chown", f'chown("{path}", {uid}, -1)', _HINTS):
        os.chown(path, uid, -1)


def find(path: str) -> str | None:
    """Return what a control file says now, or None where there is no such file."""
    try:
        return read(path)
    except SyscallError as error:
        # ENODEV: the group was removed between open and read; EOPNOTSUPP: not in this kind of group.
        if error.errno not in (errno.ENOENT, errno.ENODEV, errno.EOPNOTSUPP):
            raise
        return None


def remove(path: str) -> bool:
    """Remove the empty group `path`; return False if it was gone already.

    Raises:
        SyscallError: EBUSY while it holds processes or groups.
    """
    try:
        with span("cgroup.rmdir", lambda: f'rmdir("{path}")', {errno.EBUSY: "processes or groups are still in it"}):
            os.rmdir(path)
    except SyscallError as error:
        if error.errno != errno.ENOENT:
            raise
        return False
    return True
