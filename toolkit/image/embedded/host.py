"""A root file system to copy from, walked name by name, so that its symlinks can be kept.

`/bin/awk` on Debian is `bin -> usr/bin`, then `awk -> /etc/alternatives/awk`,
then `/usr/bin/mawk`.  A copy that follows only the last step has a shell that
cannot find its programs; a copy of every step behaves as the host does, with
merged /usr or without, with alternatives or with BusyBox.
"""

import os
import stat
from typing import NamedTuple

_MAX_LINKS = 40  # as the kernel's own limit, MAXSYMLINKS


class Walk(NamedTuple):
    """How one path leads to its file."""

    real: str
    """Where the walk ends: a path without symlinks in it."""
    links: tuple[tuple[str, str], ...]
    """Each symlink that was passed: its own (real) path, and its target as written."""


class Host:
    """The tree under `root`; every path given and returned is as seen from within it."""

    def __init__(self, root: str = "/") -> None:
        self.root = root.rstrip("/")
        self._is_link: dict[str, str | None] = {}

    def walk(self, path: str) -> Walk:
        """Follow `path` through every symlink; the end need not exist.

        Raises:
            OSError: ELOOP where the links turn in a circle.
        """
        waiting = path.split("/")[::-1]
        real = ""
        links: dict[str, str] = {}
        for _ in range(len(waiting) + _MAX_LINKS * 64):
            if not waiting:
                return Walk(real or "/", tuple(links.items()))
            name = waiting.pop()
            if name in {"", "."}:
                continue
            if name == "..":
                real = real.rpartition("/")[0]
                continue
            step = f"{real}/{name}"
            target = self._target(step)
            if target is None:
                real = step
                continue
            links[step] = target
            waiting += target.split("/")[::-1]
            real = "" if target.startswith("/") else real
        raise OSError(40, os.strerror(40), path)

    def outside(self, path: str) -> str:
        """Return where the file that `path` leads to lies for this process."""
        return self.root + self.walk(path).real

    def is_file(self, path: str) -> bool:
        """Tell whether `path` leads to a regular file."""
        try:
            return stat.S_ISREG(os.lstat(self.outside(path)).st_mode)
        except OSError:  # not there, or behind a loop: in both cases not a file
            return False

    def is_directory(self, path: str) -> bool:
        """Tell whether `path` leads to a directory."""
        return os.path.isdir(self.outside(path))

    def read(self, path: str) -> bytes:
        """Return what the file at `path` holds.

        Raises:
            OSError: ENOENT, EACCES, as open(2).
        """
        with open(self.outside(path), "rb") as file:
            return file.read()

    def names(self, path: str) -> list[str]:
        """Return what the directory at `path` lists, sorted; nothing where there is none."""
        try:
            return sorted(os.listdir(self.outside(path)))
        except (FileNotFoundError, NotADirectoryError):
            return []

    def _target(self, path: str) -> str | None:
        if path not in self._is_link:
            try:
                self._is_link[path] = os.readlink(self.root + path)
            except OSError:  # EINVAL: not a link; ENOENT: nothing there
                self._is_link[path] = None
        return self._is_link[path]
