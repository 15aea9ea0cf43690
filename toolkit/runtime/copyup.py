"""Copying what a directory of an image holds into the file system in memory that is mounted over it.

By descriptors only, and without following a symlink: the directory is the image's.
"""

import errno
import os
import stat

_CHUNK = 1024 * 1024


def copy_up(source: int, target: int) -> None:
    """Copy all that is in the directory `source` into the directory `target`, with owners, modes and times.

    Args:
        source: a descriptor, O_PATH will do.
        target: a descriptor.

    Raises:
        OSError: ENOSPC where the target is too small.
    """
    here = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=source)
    try:
        for name in sorted(os.listdir(here)):
            _copy(here, target, name)
        found = os.fstat(here)
        os.fchown(target, found.st_uid, found.st_gid)
    finally:
        os.close(here)


def _copy(source: int, target: int, name: str) -> None:
    found = os.stat(name, dir_fd=source, follow_symlinks=False)
    kind = stat.S_IFMT(found.st_mode)
    if kind == stat.S_IFDIR:
        _copy_directory(source, target, name)
    elif kind == stat.S_IFREG:
        _copy_file(source, target, name)
    elif kind == stat.S_IFLNK:
        os.symlink(os.readlink(name, dir_fd=source), name, dir_fd=target)
    else:
        os.mknod(name, found.st_mode, found.st_rdev, dir_fd=target)
    if kind not in (stat.S_IFDIR, stat.S_IFREG):
        os.chown(name, found.st_uid, found.st_gid, dir_fd=target, follow_symlinks=False)
    times = (found.st_atime_ns, found.st_mtime_ns)
    os.utime(name, ns=times, dir_fd=target, follow_symlinks=False)


def _copy_directory(source: int, target: int, name: str) -> None:
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
    os.mkdir(name, 0o700, dir_fd=target)
    from_fd = os.open(name, flags, dir_fd=source)
    to_fd = os.open(name, flags, dir_fd=target)
    try:
        for entry in sorted(os.listdir(from_fd)):
            _copy(from_fd, to_fd, entry)
        _copy_attributes(from_fd, to_fd)
    finally:
        os.close(from_fd)
        os.close(to_fd)


def _copy_file(source: int, target: int, name: str) -> None:
    from_fd = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=source)
    to_fd = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600, dir_fd=target)
    try:
        while os.sendfile(to_fd, from_fd, None, _CHUNK):
            pass
        _copy_attributes(from_fd, to_fd)
    finally:
        os.close(from_fd)
        os.close(to_fd)


def _copy_attributes(source: int, target: int) -> None:
    """Copy the owner, the mode, and the extended attributes that a file system in memory takes, in this order.

    A change of owner takes set-user-id bits and file capabilities away.
    """
    found = os.fstat(source)
    os.fchown(target, found.st_uid, found.st_gid)
    os.fchmod(target, stat.S_IMODE(found.st_mode))
    for name in os.listxattr(source):
        try:
            os.setxattr(target, name, os.getxattr(source, name))
        except OSError as exc:
            if exc.errno not in (errno.EOPNOTSUPP, errno.EPERM):
                raise
