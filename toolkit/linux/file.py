"""Plain file calls that belong to making a container: each leaves an event."""

import ctypes
import errno
import os

from toolkit.linux.flags import quoted
from toolkit.linux.libc import syscall
from toolkit.linux.rooted import open_flags_text
from toolkit.trace import span
from toolkit.trace.spelling import speller

AT_FDCWD = -100


def open_file(path: str, flags: int, mode: int = 0) -> int:
    """Open a file, close-on-exec.

    See Also:
        open(2)
    """
    flags |= os.O_CLOEXEC
    with span("file.open", (_OPEN, path, flags, mode), {errno.ENOENT: f"{path} does not exist"}) as here:
        return here.returns(os.open(path, flags, mode))


def _open_text(path: str, flags: int, mode: int) -> str:
    mode_text = f", 0{mode:o}" if flags & os.O_CREAT else ""
    return f"openat(AT_FDCWD, {quoted(path)}, {open_flags_text(flags)}{mode_text})"


_OPEN = speller(_open_text)


def write_text(path: str, text: str, area: str = "file.write") -> None:
    """Write a setting to a kernel file (procfs, sysfs, cgroupfs) in one write(2)."""
    fd = open_file(path, os.O_WRONLY)
    try:
        with span(
            area, lambda: f"write({fd}, {quoted(text)}, {len(text)})", {errno.EINVAL: f"{path} does not take {text!r}"}
        ) as here:
            here.returns(os.write(fd, text.encode()))
    finally:
        os.close(fd)


def chdir(path: str) -> None:
    """Change the working directory."""
    hints = {errno.ENOENT: f"the directory {path} does not exist"}
    with span("process.chdir", lambda: f"chdir({quoted(path)})", hints):
        os.chdir(path)


def is_inside_root() -> bool:
    """Tell whether the working directory can be reached from the root: asks the kernel, not the C library's walk.

    See Also:
        getcwd(2), "(unreachable)"
    """
    buffer = ctypes.create_string_buffer(4097)
    with span("process.getcwd", "getcwd(BUFFER, 4097)") as here:
        try:
            here.returns(syscall("getcwd", buffer, len(buffer)))
        except OSError as exc:
            if exc.errno == errno.ENAMETOOLONG:
                return True  # deeper than a page of names; what lies outside is said to be so first
            raise
        here.call = f"getcwd({quoted(os.fsdecode(buffer.value))}, 4097)"
    return buffer.value.startswith(b"/")


def chroot(path: str) -> None:
    """Take `path` as this process's root; alone it keeps nobody in.

    See Also:
        chroot(2)
    """
    with span("process.chroot", f"chroot({quoted(path)})", {errno.EPERM: "chroot needs CAP_SYS_CHROOT"}):
        os.chroot(path)


def fchdir(fd: int) -> None:
    """Change the working directory to an open one."""
    with span("process.chdir", f"fchdir({fd})"):
        os.fchdir(fd)


def makedev_text(major: int, minor: int) -> str:
    """Return a device number as strace prints it."""
    return "makedev({}, {})".format(*(f"{number:#x}" if number else "0" for number in (major, minor)))


def mknod(name: str, mode: int, major: int, minor: int, directory_fd: int) -> None:
    """Make a device node (or fifo) in an open directory, with exactly this mode.

    Raises:
        SyscallError: EPERM without CAP_MKNOD, or in a user namespace.

    See Also:
        mknod(2)
    """
    with span("file.mknod", (_MKNOD, name, mode, major, minor, directory_fd), _MKNOD_HINTS):
        os.mknod(name, mode, os.makedev(major, minor), dir_fd=directory_fd)


_MKNOD_HINTS = {errno.EPERM: "device nodes need CAP_MKNOD in the first user namespace"}


def _symlink_text(target: str, directory_fd: int, name: str) -> str:
    return f"symlinkat({quoted(target)}, {directory_fd}, {quoted(name)})"


_SYMLINK = speller(_symlink_text)


def _mknod_text(name: str, mode: int, major: int, minor: int, directory_fd: int) -> str:
    kind = "S_IFCHR" if mode & 0o170000 == 0o020000 else "S_IFBLK" if mode & 0o170000 == 0o060000 else "S_IFIFO"
    return f"mknodat({directory_fd}, {quoted(name)}, {kind}|0{mode & 0o7777:o}, {makedev_text(major, minor)})"


_MKNOD = speller(_mknod_text)


def chown(name: str, uid: int, gid: int, directory_fd: int) -> None:
    """Give a file in an open directory, or the symlink itself, to another owner.

    See Also:
        fchownat(2)
    """
    with span("file.chown", lambda: f"fchownat({directory_fd}, {quoted(name)}, {uid}, {gid}, AT_SYMLINK_NOFOLLOW)"):
        os.chown(name, uid, gid, dir_fd=directory_fd, follow_symlinks=False)


def symlink(target: str, name: str, directory_fd: int) -> None:
    """Make a symbolic link in an open directory."""
    with span("file.symlink", (_SYMLINK, target, directory_fd, name)):
        os.symlink(target, name, dir_fd=directory_fd)
