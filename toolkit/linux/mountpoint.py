"""A place where something is mounted, or is about to be: by descriptor, with the flags it must keep."""

import os

from toolkit.linux import mount, rooted
from toolkit.linux.flags import flag_names

_KEPT_ON_REMOUNT = (
    (0x1, mount.MS_RDONLY),
    (0x2, mount.MS_NOSUID),
    (0x4, mount.MS_NODEV),
    (0x8, mount.MS_NOEXEC),
    (0x400, mount.MS_NOATIME),
    (0x800, mount.MS_NODIRATIME),
    (0x1000, mount.MS_RELATIME),
)
"""statvfs flags and the mount flags that say the same (include/linux/statfs.h)."""


def flags_text(flags: int) -> str:
    """Return MS_* flags as strace prints them."""
    return flag_names(flags, mount.MS_NAMES)


def by_fd(fd: int) -> str:
    """Return the path that leads to what a descriptor of this process has open, and nowhere else."""
    return f"/proc/self/fd/{fd}"


def kept_flags(path: str) -> int:
    """Return the flags that a user namespace may not clear when it remounts `path`."""
    present = os.statvfs(path).f_flag
    return sum(flag for bit, flag in _KEPT_ON_REMOUNT if present & bit)


def make_read_only(root_fd: int, path: str) -> None:
    """Let nobody write through what has just been mounted on `path` of a root.

    It is opened anew: a descriptor from before the mount leads below it.
    """
    fd = rooted.open_in_root(root_fd, path)
    try:
        flags = mount.MS_REMOUNT | mount.MS_BIND | mount.MS_RDONLY | kept_flags(by_fd(fd))
        mount.mount(None, by_fd(fd), None, flags)
    finally:
        os.close(fd)
