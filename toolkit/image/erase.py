"""Deleting a tree of any size and depth: no symlink is followed, no descriptor runs out, and others may delete too."""

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
        deep = _empty(top, top, 0)
        while deep:
            deep += _erase_below(top, deep.pop(), top, 0)
    finally:
        os.close(top)
    _rmdir(name, dir_fd)


def _empty(fd: int, top: int, depth: int) -> list[str]:
    """Delete all that is in a directory; return the names in `top` of trees that lie too deep."""
    deep: list[str] = []
    with os.scandir(fd) as entries:
        found = [(entry.name, entry.is_dir(follow_symlinks=False)) for entry in entries]
    for name, is_directory in found:
        try:
            if not is_directory:
                os.unlink(name, dir_fd=fd)
            elif depth < _DEPTH_MAX:
                deep += _erase_below(fd, name, top, depth + 1)
            else:  # one descriptor for each level would run out: continue from the top
                moved = os.urandom(_RANDOM_BYTES).hex()
                os.rename(name, moved, src_dir_fd=fd, dst_dir_fd=top)
                deep.append(moved)
        except FileNotFoundError:
            pass  # another process deletes the same
    return deep


def _erase_below(fd: int, name: str, top: int, depth: int) -> list[str]:
    below = os.open(name, _DIRECTORY, dir_fd=fd)
    try:
        deep = _empty(below, top, depth)
    finally:
        os.close(below)
    _rmdir(name, fd)
    return deep


def _rmdir(name: "str | bytes", dir_fd: int | None) -> None:
    try:
        os.rmdir(name, dir_fd=dir_fd)
    except FileNotFoundError:
        pass  # another process deletes the same
