"""The tree that an overlay of directories would show, looked up without mounting it.

Everything goes through descriptors that were opened without following a
symlink; a symlink is resolved by hand within the tree, across its layers.  So
a running container, which may change its upper directory at any time, cannot
lead the engine out of it.
"""

import errno
import os
import stat

from toolkit.image.whiteout import is_opaque, is_whiteout

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType
    from typing import Self

    from toolkit.storage.driver import RootFilesystem

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_SYMLINKS_MAX = 40
_TEXT_MAX_BYTES = 1 << 20


class Level:
    """One directory of the merged tree: the same directory in each layer that has it, the topmost first."""

    __slots__ = ("_fds",)

    def __init__(self, fds: "Sequence[int]") -> None:
        self._fds = fds

    @classmethod
    def open(cls, directories: "Sequence[str]") -> "Level":
        """Open the root of the merged tree; directories that do not exist yet count as empty."""
        fds: list[int] = []
        for directory in directories:
            try:
                fds.append(os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC))
            except FileNotFoundError:
                continue
            if is_opaque(fds[-1]):
                break
        return cls(fds)

    def __enter__(self) -> "Self":
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _exc: BaseException | None, _tb: "TracebackType | None"
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the descriptors."""
        for fd in self._fds:
            os.close(fd)
        self._fds = ()

    def find(self, name: str) -> tuple[int, os.stat_result] | None:
        """Return what the merged directory has under a name, and the descriptor of the layer that it lies in."""
        for fd in self._fds:
            try:
                found = os.lstat(name, dir_fd=fd)
            except FileNotFoundError:
                continue
            return None if is_whiteout(found) else (fd, found)
        return None

    def enter(self, name: str) -> "Level":
        """Return the directory of this name; without layers if there is none."""
        fds: list[int] = []
        for fd in self._fds:
            try:
                fds.append(os.open(name, _DIRECTORY, dir_fd=fd))
            except FileNotFoundError:
                continue
            except NotADirectoryError:
                break  # something else hides what is below
            if is_opaque(fds[-1]):
                break
        return Level(fds)

    def names(self) -> set[str]:
        """Return the names of all that the merged directory has."""
        seen: set[str] = set()
        hidden: set[str] = set()
        for fd in self._fds:
            with os.scandir(fd) as entries:
                for entry in entries:
                    if entry.name not in seen and entry.name not in hidden:
                        is_hidden = not (entry.is_file() or entry.is_dir()) and is_whiteout(
                            os.lstat(entry.name, dir_fd=fd)
                        )
                        (hidden if is_hidden else seen).add(entry.name)
        return seen


def directories(root: "RootFilesystem") -> tuple[str, ...]:
    """Return the directories that a root is merged of, the topmost first."""
    return (root.path,) if root.path else (root.upper, *root.lower)


def read_text(root: "RootFilesystem", path: str) -> str:
    """Return a text file of a container as the container would see it, "" where it has none."""
    fd = open_file(root, path)
    if fd is None:
        return ""
    with open(fd, errors="replace") as file:
        return file.read(_TEXT_MAX_BYTES)


def open_file(root: "RootFilesystem", path: str) -> int | None:
    """Open a regular file of a container for reading; None where it has none.

    Symlinks are followed as the container would.
    """
    with Level.open(directories(root)) as top:
        return _open(top, path)


def _open(top: Level, path: str) -> int | None:
    here: list[str] = []
    todo = path.split("/")[::-1]
    links = 0
    while todo:
        part = todo.pop()
        if part in ("", "."):
            continue
        if part == "..":
            del here[-1:]
            continue
        found = _find(top, here, part)
        if found is None:
            return None
        if isinstance(found, str):
            links += 1
            if links > _SYMLINKS_MAX:
                return None
            here = [] if found.startswith("/") else here
            todo += found.split("/")[::-1]
        elif found < 0:
            here.append(part)
        elif any(todo):
            os.close(found)
            return None  # a file where a directory was expected
        else:
            return found
    return None


def _find(top: Level, here: "Sequence[str]", name: str) -> int | str | None:
    """Return a symlink's target, -1 for a directory, an open regular file, or None for all else."""
    level = top
    try:
        for part in here:
            below = level.enter(part)
            if level is not top:
                level.close()
            level = below
        found = level.find(name)
        if found is None:
            return None
        fd, status = found
        if stat.S_ISLNK(status.st_mode):
            return os.readlink(name, dir_fd=fd)
        if stat.S_ISDIR(status.st_mode):
            return -1
        return _open_regular(name, fd) if stat.S_ISREG(status.st_mode) else None
    except FileNotFoundError:
        return None  # a running container removed it in this moment
    finally:
        if level is not top:
            level.close()


def _open_regular(name: str, dir_fd: int) -> int | None:
    try:
        fd = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=dir_fd)
    except OSError as exc:
        if exc.errno in (errno.ELOOP, errno.ENXIO):
            return None  # it became a symlink in this moment, or is a socket
        raise
    if stat.S_ISREG(os.fstat(fd).st_mode):
        return fd
    os.close(fd)
    return None
