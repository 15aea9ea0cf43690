"""Paths inside a container's root, opened so that no symlink leads out of it.

openat2(2) with RESOLVE_IN_ROOT walks a path as a process with that root would,
in one system call: a container cannot redirect a mount target or a file that
the engine touches by swapping a directory for a symlink (CVE-2021-30465).
"""

import ctypes
import errno
import os

from toolkit.linux.flags import flag_names, quoted
from toolkit.linux.libc import syscall
from toolkit.trace import span

RESOLVE_NO_XDEV = 0x01
RESOLVE_NO_MAGICLINKS = 0x02
RESOLVE_NO_SYMLINKS = 0x04
RESOLVE_BENEATH = 0x08
RESOLVE_IN_ROOT = 0x10
_RESOLVE_NAMES = {
    "RESOLVE_NO_XDEV": RESOLVE_NO_XDEV,
    "RESOLVE_NO_MAGICLINKS": RESOLVE_NO_MAGICLINKS,
    "RESOLVE_NO_SYMLINKS": RESOLVE_NO_SYMLINKS,
    "RESOLVE_BENEATH": RESOLVE_BENEATH,
    "RESOLVE_IN_ROOT": RESOLVE_IN_ROOT,
}
_OPEN_NAMES = {
    name: getattr(os, name)
    for name in (
        "O_WRONLY",
        "O_RDWR",
        "O_CREAT",
        "O_EXCL",
        "O_TRUNC",
        "O_APPEND",
        "O_PATH",
        "O_DIRECTORY",
        "O_NOFOLLOW",
        "O_CLOEXEC",
    )
}
_SYMLINK_LIMIT = 40  # as the kernel's MAXSYMLINKS


class _OpenHow(ctypes.Structure):
    """struct open_how, include/uapi/linux/openat2.h."""

    _fields_ = (("flags", ctypes.c_uint64), ("mode", ctypes.c_uint64), ("resolve", ctypes.c_uint64))


def open_flags_text(flags: int) -> str:
    """Return open(2) flags as strace prints them."""
    access = "" if flags & (os.O_WRONLY | os.O_RDWR) else "O_RDONLY"
    rest = flag_names(flags, _OPEN_NAMES, zero="")
    return "|".join(part for part in (access, rest) if part)


def openat2(directory_fd: int, path: str, flags: int, *, mode: int = 0, resolve: int = RESOLVE_IN_ROOT) -> int:
    """Open `path` below `directory_fd` under the `resolve` rules; close-on-exec.

    Raises:
        SyscallError: ENOENT, ELOOP, EXDEV (the path would leave, RESOLVE_BENEATH),
            ENOSYS before Linux 5.6.

    See Also:
        openat2(2)
    """
    flags |= os.O_CLOEXEC
    how = _OpenHow(flags, mode, resolve)
    mode_text = f", mode=0{mode:o}" if mode else ""
    resolve_text = flag_names(resolve, _RESOLVE_NAMES)
    call = (
        f"openat2({directory_fd}, {quoted(path)}, "
        f"{{flags={open_flags_text(flags)}{mode_text}, resolve={resolve_text}}}, 24)"
    )
    with span("file.openat2", call, {errno.ENOSYS: "openat2 needs Linux 5.6"}) as here:
        return here.returns(syscall("openat2", directory_fd, os.fsencode(path), ctypes.byref(how), ctypes.sizeof(how)))


def open_in_root(root_fd: int, path: str, flags: int = os.O_PATH, mode: int = 0) -> int:
    """Open `path` as a process whose root is `root_fd` would see it."""
    return openat2(root_fd, path.lstrip("/") or ".", flags, mode=mode, resolve=RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS)


def make_directories(root_fd: int, path: str, mode: int = 0o755) -> int:
    """Make `path` inside the root a directory, and its parents; return an O_PATH descriptor of it.

    Each component is opened in the root before the next is made, so a symlink
    in the middle is followed as the container would, never out of it.
    """
    try:
        return open_in_root(root_fd, path, os.O_PATH | os.O_DIRECTORY)
    except OSError as exc:
        if exc.errno != errno.ENOENT:
            raise
    parent, _, name = path.strip("/").rpartition("/")
    parent_fd = make_directories(root_fd, parent, mode) if parent else os.dup(root_fd)
    try:
        _mkdirat(parent_fd, _leaf(root_fd, path, name), mode)
    finally:
        os.close(parent_fd)
    return open_in_root(root_fd, path, os.O_PATH | os.O_DIRECTORY)


def make_file(root_fd: int, path: str, mode: int = 0o644) -> int:
    """Make `path` inside the root a file (a mount point for a file); return an O_PATH descriptor of it."""
    try:
        return open_in_root(root_fd, path, os.O_PATH)
    except OSError as exc:
        if exc.errno != errno.ENOENT:
            raise
    parent = path.strip("/").rpartition("/")[0]
    os.close(make_directories(root_fd, parent)) if parent else None
    os.close(open_in_root(root_fd, path, os.O_WRONLY | os.O_CREAT, mode))
    return open_in_root(root_fd, path, os.O_PATH)


def _leaf(root_fd: int, path: str, name: str) -> str:
    """Return the name to make; a dangling symlink cannot become a directory."""
    try:
        os.close(openat2(root_fd, path.strip("/"), os.O_PATH | os.O_NOFOLLOW))
    except OSError as exc:
        if exc.errno == errno.ENOENT:
            return name
        raise
    raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), path)


def _mkdirat(directory_fd: int, name: str, mode: int) -> None:
    with span("file.mkdir", f"mkdirat({directory_fd}, {quoted(name)}, 0{mode:o})"):
        try:
            os.mkdir(name, mode, dir_fd=directory_fd)
        except FileExistsError:
            return  # another process was quicker
