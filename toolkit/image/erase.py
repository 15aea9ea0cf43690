"""Deleting a tree of any size and depth, without following a symlink and without recursion."""

import os

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_DEPTH_MAX = 64
_RANDOM_BYTES = 8


def erase(name: "str | bytes", dir_fd: int | None = None) -> None:
    """Delete a file or a directory with all that is in it; it is no fault if it is gone already.

    Args:
        name: relative to `dir_fd` where that is given.
        dir_fd: an open directory.
    """
    try:
        os.unlink(name, dir_fd=dir_fd)
    except FileNotFoundError:
        return
    except (IsADirectoryError, PermissionError):  # POSIX lets unlink(2) of a directory be EPERM
        _erase_directory(name, dir_fd)


def _erase_directory(name: "str | bytes", dir_fd: int | None) -> None:
    try:
        top = os.open(name, _DIRECTORY, dir_fd=dir_fd)
    except FileNotFoundError:
        return
    try:
        moved = _empty(top, top, 0)
        while moved:
            below = os.open(moved[-1], _DIRECTORY, dir_fd=top)
            try:
                more = _empty(below, top, 0)
            finally:
                os.close(below)
            os.rmdir(moved.pop(), dir_fd=top)
            moved += more
    finally:
        os.close(top)
    os.rmdir(name, dir_fd=dir_fd)


def _empty(fd: int, top: int, depth: int) -> list[str]:
    """Delete all that is in a directory; return the names in `top` of trees that lie too deep."""
    moved: list[str] = []
    with os.scandir(fd) as entries:
        for entry in entries:
            if not entry.is_dir(follow_symlinks=False):
                os.unlink(entry.name, dir_fd=fd)
            elif depth >= _DEPTH_MAX:  # a descriptor for each level would run out: continue from the top
                name = os.urandom(_RANDOM_BYTES).hex()
                os.rename(entry.name, name, src_dir_fd=fd, dst_dir_fd=top)
                moved.append(name)
            else:
                below = os.open(entry.name, _DIRECTORY, dir_fd=fd)
                try:
                    moved += _empty(below, top, depth + 1)
                finally:
                    os.close(below)
                os.rmdir(entry.name, dir_fd=fd)
    return moved
