"""Paths inside a container's root, opened so that no symlink leads out of it.

openat2(2) with RESOLVE_IN_ROOT walks a path as a process with that root would,
in one system call: a container cannot redirect a mount target or a file that
the engine touches by swapping a directory for a symlink (CVE-2021-30465).
"""

import ctypes
import errno
import os
import stat

from toolkit.core.errors import SyscallError
from toolkit.linux.flags import flag_names, quoted
from toolkit.linux.libc import NR, c_char_p, c_int, c_long, c_size_t, function
from toolkit.trace import span
from toolkit.trace.spelling import speller

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
        "O_NOCTTY",
        "O_NONBLOCK",
        "O_CLOEXEC",
    )
}
SYMLINK_LIMIT = 40  # as the kernel's MAXSYMLINKS


class _OpenHow(ctypes.Structure):
    """struct open_how, include/uapi/linux/openat2.h."""

    _fields_ = (("flags", ctypes.c_uint64), ("mode", ctypes.c_uint64), ("resolve", ctypes.c_uint64))


_HOW_BYTES = ctypes.sizeof(_OpenHow)
_NR_OPENAT2 = NR["openat2"]
_openat2 = function("syscall", c_long, c_int, c_char_p, ctypes.POINTER(_OpenHow), c_size_t, restype=c_long)
_OPENAT2_HINTS = {errno.ENOSYS: "openat2 needs Linux 5.6"}


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
    with span("file.openat2", (_OPENAT2, directory_fd, path, flags, mode, resolve), _OPENAT2_HINTS) as here:
        return here.returns(_openat2(_NR_OPENAT2, directory_fd, os.fsencode(path), ctypes.byref(how), _HOW_BYTES))


def _openat2_text(directory_fd: int, path: str, flags: int, mode: int, resolve: int) -> str:
    mode_text = f", mode=0{mode:o}" if mode else ""
    resolve_text = flag_names(resolve, _RESOLVE_NAMES)
    flags_text = open_flags_text(flags)
    return f"openat2({directory_fd}, {quoted(path)}, {{flags={flags_text}{mode_text}, resolve={resolve_text}}}, 24)"


_OPENAT2 = speller(_openat2_text)


def _mkdir_text(directory_fd: int, name: str, mode: int) -> str:
    return f"mkdirat({directory_fd}, {quoted(name)}, 0{mode:o})"


_MKDIR = speller(_mkdir_text)


def open_in_root(root_fd: int, path: str, flags: int = os.O_PATH, mode: int = 0) -> int:
    """Open `path` as a process whose root is `root_fd` would see it."""
    return openat2(root_fd, path.lstrip("/") or ".", flags, mode=mode, resolve=RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS)


def make_directories(root_fd: int, path: str, mode: int = 0o755) -> int:
    """Make `path` inside the root a directory, and its parents; return an O_PATH descriptor of it.

    Symlinks are followed as the container would, never out of the root; what a
    dangling one points to is made inside.

    Raises:
        SyscallError: ENOTDIR where a file is in the way, ELOOP for symlinks in a circle.
    """
    try:
        return open_in_root(root_fd, path, os.O_PATH | os.O_DIRECTORY)
    except OSError as exc:
        if exc.errno != errno.ENOENT:
            raise
    made = _make_last(root_fd, path, mode)
    return open_in_root(root_fd, made or _make_way(root_fd, path, mode), os.O_PATH | os.O_DIRECTORY)


def _make_last(root_fd: int, path: str, mode: int) -> str:
    """Make the last component alone, which is all that is missing most times; return "" where more is."""
    parent, _, name = path.rstrip("/").rpartition("/")
    if name in ("", ".", ".."):
        return ""
    try:
        parent_fd = open_in_root(root_fd, parent, os.O_PATH | os.O_DIRECTORY)
    except OSError as exc:
        if exc.errno == errno.ENOENT:
            return ""
        raise
    try:
        with span("file.mkdir", (_MKDIR, parent_fd, name, mode)):
            os.mkdir(name, mode, dir_fd=parent_fd)
    except OSError as exc:
        if exc.errno == errno.EEXIST:  # a symlink to something that does not exist
            return ""
        raise
    finally:
        os.close(parent_fd)
    return path


def make_file(root_fd: int, path: str, mode: int = 0o644) -> int:
    """Make `path` inside the root a file (a mount point for a file); return an O_PATH descriptor of it.

    Raises:
        SyscallError: as `make_directories`.
    """
    try:
        return open_in_root(root_fd, path, os.O_PATH)
    except OSError as exc:
        if exc.errno != errno.ENOENT:
            raise
    real = _make_way(root_fd, path, 0o755, has_file=True)
    os.close(open_in_root(root_fd, real, os.O_WRONLY | os.O_CREAT, mode))
    return open_in_root(root_fd, real, os.O_PATH)


def _make_way(root_fd: int, path: str, mode: int, *, has_file: bool = False) -> str:
    """Make the directories on the way to `path`; return the way without symlinks.

    openat2 follows a symlink only to something that exists, so those on the
    way to something that does not are read here.

    Args:
        root_fd: the root.
        path: where to.
        mode: of the new directories.
        has_file: the last component is none.
    """
    real: list[str] = []
    pending = path.split("/")[::-1]
    links = 0
    while pending:
        name = pending.pop()
        if name in ("", "."):
            continue
        if name == "..":
            del real[-1:]
            continue
        target = _link_target(root_fd, "/".join([*real, name]))
        if not target:
            if target is None and (pending or not has_file):
                _make_one(root_fd, "/".join(real), name, mode)
            real.append(name)
            continue
        links += 1
        if links > SYMLINK_LIMIT:
            raise SyscallError(f"openat2({root_fd}, {quoted(path)})", errno.ELOOP, hint="its symlinks go in a circle")
        if target.startswith("/"):
            real.clear()
        pending += target.split("/")[::-1]
    return "/".join(real)


def _link_target(root_fd: int, path: str) -> str | None:
    """Return what a symlink says; "" if `path` is no symlink, None if it is not there."""
    try:
        fd = openat2(root_fd, path, os.O_PATH | os.O_NOFOLLOW)
    except OSError as exc:
        if exc.errno == errno.ENOENT:
            return None
        raise
    try:
        return os.readlink("", dir_fd=fd) if stat.S_ISLNK(os.fstat(fd).st_mode) else ""
    finally:
        os.close(fd)


def _make_one(root_fd: int, parent: str, name: str, mode: int) -> None:
    parent_fd = open_in_root(root_fd, parent, os.O_PATH | os.O_DIRECTORY)
    try:
        make_directory(parent_fd, name, mode)
    finally:
        os.close(parent_fd)


def make_directory(directory_fd: int, name: str, mode: int = 0o755) -> None:
    """Make a directory in an open one; one that is there is fine."""
    try:
        with span("file.mkdir", (_MKDIR, directory_fd, name, mode)):
            os.mkdir(name, mode, dir_fd=directory_fd)
    except OSError as exc:
        if exc.errno != errno.EEXIST:  # else another process was quicker
            raise
