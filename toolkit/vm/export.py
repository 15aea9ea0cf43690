"""virtiofsd: a directory of this machine as a file system of the guest.

Two programs have this name: QEMU's own in C until 7.2, and the one in Rust
that followed it.
"""

import os
import socket
from typing import NamedTuple

_IN_C = "/qemu/virtiofsd"
"""How its path ends."""


class Export(NamedTuple):
    """A directory that the guest mounts by its tag."""

    tag: str
    directory: str
    is_read_only: bool


def argv(program: str, export: Export, fd: int) -> tuple[str, ...]:
    """Return the command line; `fd` is the socket on which it waits for qemu.

    What is read-only may be cached for ever.  In what is shared, changes of the
    host show within a second.
    """
    cache = "always" if export.is_read_only else "auto"
    if program.endswith(_IN_C):
        options = f"source={_escaped(export.directory)},cache={cache},sandbox=chroot,no_posix_lock,xattr,log_level=warn"
        return (program, f"--fd={fd}", "-o", options, "--thread-pool-size=0")
    common = (f"--shared-dir={export.directory}", f"--cache={cache}", "--xattr", "--sandbox=chroot")
    return (program, f"--fd={fd}", *common)


def _escaped(directory: str) -> str:
    """Escape what ends a value of -o (fuse_opt_parse)."""
    return directory.replace("\\", "\\\\").replace(",", "\\,")


def connected() -> tuple[socket.socket, socket.socket]:
    """Return virtiofsd's listening socket, and qemu's end of the connection that waits on it.

    The name is one that the kernel makes up, in the abstract space: nothing to
    clean up.  Nobody can take qemu's place, since its connection is the first.
    """
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind("")
    listener.listen(1)
    ours = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    ours.connect(listener.getsockname())
    return listener, ours


def canonical(directory: str) -> str:
    """Return the directory's own path, which is what the guest sees it under."""
    return os.path.realpath(directory)
