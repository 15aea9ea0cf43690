"""Getting data onto the disk: fsync(2) and syncfs(2)."""

import os

from toolkit.linux.flags import quoted
from toolkit.linux.libc import c_int, function
from toolkit.trace import span

_syncfs = function("syncfs", c_int)


def fsync_file(fd: int) -> None:
    """Put a file's data on the disk.

    Raises:
        SyscallError: EIO, ENOSPC or EDQUOT if it cannot be written.

    See Also:
        fsync(2)
    """
    with span("file.fsync", f"fsync({fd})"):
        os.fsync(fd)


def fsync_directory(path: str) -> None:
    """Put a directory's names on the disk, so that a rename survives a power cut."""
    with span("file.open", f"openat(AT_FDCWD, {quoted(path)}, O_RDONLY|O_DIRECTORY|O_CLOEXEC)") as here:
        fd = here.returns(os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC))
    try:
        fsync_file(fd)
    finally:
        os.close(fd)


def syncfs(fd: int) -> None:
    """Put everything on the file system that `fd` lies on onto the disk.

    One call for ten thousand new files, where an fsync each would wait ten
    thousand times.

    Raises:
        SyscallError: EIO, ENOSPC if something could not be written (since Linux 5.8).

    See Also:
        syncfs(2)
    """
    with span("file.syncfs", f"syncfs({fd})"):
        _syncfs(fd)
