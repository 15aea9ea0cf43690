"""Calls about what a file system keeps on disk."""

from toolkit.linux.libc import c_int, function
from toolkit.trace import span

_syncfs = function("syncfs", c_int)


def syncfs(fd: int) -> None:
    """Have all that was written to the file system of an open file be on disk.

    Raises:
        SyscallError: EIO, ENOSPC where something could not be written.

    See Also:
        syncfs(2)
    """
    with span("file.sync", f"syncfs({fd})"):
        _syncfs(fd)
