"""Copying what a directory of an image holds into a file system that is mounted over it, or into a volume.

By descriptors only, and without following a symlink: the directory is the image's.
"""

import errno
import os
import stat

_CHUNK = 1024 * 1024
_OPEN = os.O_NOFOLLOW | os.O_CLOEXEC
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | _OPEN
_NOT_TAKEN = (errno.EOPNOTSUPP, errno.EPERM)
"""What a file system says to an extended attribute that it does not have."""


def copy_tree(source: int, target: int) -> None:
    """Copy all that is in the directory `source` into the directory `target`, with owners, modes, times and links.

    The directory itself gets the owner of `source`, and its mode stays: that of a file system in memory says it.

    Args:
        source: a descriptor, O_PATH will do.
        target: a descriptor.

    Raises:
        OSError: ENOSPC where the target is too small.
    """
    here = os.open(".", _DIRECTORY, dir_fd=source)
    copy = _Copy(target)
    try:
        for name in sorted(os.listdir(here)):
            copy.entry(here, target, name, name)
        found = os.fstat(here)
        os.fchown(target, found.st_uid, found.st_gid)
    finally:
        os.close(here)


class _Copy:
    """One tree being copied: what has been seen of its hard links, by device and inode, and where it went."""

    def __init__(self, target: int) -> None:
        self._top = target
        self._linked: dict[tuple[int, int], str] = {}

    def entry(self, source: int, target: int, name: str, path: str) -> None:
        found = os.stat(name, dir_fd=source, follow_symlinks=False)
        kind = stat.S_IFMT(found.st_mode)
        if kind != stat.S_IFDIR and found.st_nlink > 1:
            first = self._linked.setdefault((found.st_dev, found.st_ino), path)
            if first != path:
                os.link(first, name, src_dir_fd=self._top, dst_dir_fd=target, follow_symlinks=False)
                return
        if kind == stat.S_IFDIR:
            self._directory(source, target, name, path)
        elif kind == stat.S_IFREG:
            _file(source, target, name)
        else:
            _other(source, target, name, found)
        os.utime(name, ns=(found.st_atime_ns, found.st_mtime_ns), dir_fd=target, follow_symlinks=False)

    def _directory(self, source: int, target: int, name: str, path: str) -> None:
        os.mkdir(name, 0o700, dir_fd=target)
        from_fd = os.open(name, _DIRECTORY, dir_fd=source)
        to_fd = os.open(name, _DIRECTORY, dir_fd=target)
        try:
            for entry in sorted(os.listdir(from_fd)):
                self.entry(from_fd, to_fd, entry, f"{path}/{entry}")
            copy_attributes(from_fd, to_fd)
        finally:
            os.close(from_fd)
            os.close(to_fd)


def _file(source: int, target: int, name: str) -> None:
    from_fd = os.open(name, os.O_RDONLY | _OPEN, dir_fd=source)
    to_fd = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600, dir_fd=target)
    try:
        while os.sendfile(to_fd, from_fd, None, _CHUNK):
            pass
        copy_attributes(from_fd, to_fd)
    finally:
        os.close(from_fd)
        os.close(to_fd)


def _other(source: int, target: int, name: str, found: os.stat_result) -> None:
    """Make a symlink, a device, a pipe or a socket anew."""
    if stat.S_ISLNK(found.st_mode):
        os.symlink(os.readlink(name, dir_fd=source), name, dir_fd=target)
    else:
        os.mknod(name, found.st_mode, found.st_rdev, dir_fd=target)
    os.chown(name, found.st_uid, found.st_gid, dir_fd=target, follow_symlinks=False)
    if not stat.S_ISLNK(found.st_mode):
        # mknod(2) takes the umask away; there is no such call for a symlink, which has no mode.  The name is new and
        # in a directory that nobody else sees yet, or is ours.
        os.chmod(name, stat.S_IMODE(found.st_mode), dir_fd=target)


def copy_attributes(source: int, target: int) -> None:
    """Copy the owner, the mode, and the extended attributes that the target's file system takes, in this order.

    A change of owner takes set-user-id bits and file capabilities away.
    """
    found = os.fstat(source)
    os.fchown(target, found.st_uid, found.st_gid)
    os.fchmod(target, stat.S_IMODE(found.st_mode))
    for name in os.listxattr(source):
        try:
            os.setxattr(target, name, os.getxattr(source, name))
        except OSError as exc:
            if exc.errno not in _NOT_TAKEN:
                raise
