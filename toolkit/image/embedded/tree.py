"""The files of one layer: values that say what is to be written, before anything is.

Invariant: a path is in at most one layer, except directories, which each layer
that has something in them brings along (with the same owner and mode).
"""

import os
import stat
from collections.abc import Iterator
from typing import NamedTuple

from toolkit.image.embedded.host import Host

MADE_S = 1_700_000_000
"""The time of everything that this recipe makes itself, so that the same host gives the same bytes."""


class Entry(NamedTuple):
    """One file, directory or symlink of a layer."""

    path: str
    """From the root of the image, with its leading slash."""
    mode: int
    """Type and permission bits as in st_mode; never setuid, setgid."""
    size_bytes: int = 0
    mtime_s: int = MADE_S
    owner: int = 0
    """User and group, one number for both."""
    target: str = ""
    """Of a symlink: what it says."""
    source: str = ""
    """Of a copied file: where its bytes lie on the host."""
    content: bytes = b""
    """Of a file that the recipe makes: its bytes."""


class Tree:
    """The entries of one layer, above the layers that it may rely on."""

    def __init__(self, host: Host, below: "Tree | None" = None) -> None:
        self._host = host
        self._below = below
        self._entries: dict[str, Entry] = {}

    def __contains__(self, path: str) -> bool:
        return path in self._entries or (self._below is not None and path in self._below)

    def __len__(self) -> int:
        return sum(not stat.S_ISDIR(entry.mode) for entry in self._entries.values())

    def entries(self) -> Iterator[Entry]:
        """Yield the layer's entries, each directory before what is in it."""
        for path in sorted(self._entries):
            yield self._entries[path]

    def newest_s(self) -> int:
        """Return the latest modification time of all entries."""
        return max((entry.mtime_s for entry in self._entries.values()), default=MADE_S)

    def directory(self, path: str, mode: int = 0o755, owner: int = 0) -> None:
        """Make a directory, and those above it."""
        if path not in self:
            self._put(Entry(path, stat.S_IFDIR | mode, owner=owner))

    def file(self, path: str, content: str, mode: int = 0o644, owner: int = 0) -> None:
        """Make a file of the recipe's own."""
        data = content.encode()
        self._put(Entry(path, stat.S_IFREG | mode, len(data), owner=owner, content=data))

    def link(self, path: str, target: str) -> None:
        """Make a symlink."""
        if path not in self:
            self._put(Entry(path, stat.S_IFLNK | 0o777, target=target))

    def copy(self, path: str) -> str:
        """Copy the file that `path` leads to, with every symlink on the way; return where it lies.

        Raises:
            FileNotFoundError: the walk ends nowhere.
        """
        walk = self._host.walk(path)
        self.place(walk.real, walk.real)
        for link, target in walk.links:
            self.link(link, target)
        return walk.real

    def copy_all(self, path: str) -> None:
        """Copy every file below the directory `path`; nothing where there is none."""
        for name in self._host.names(path):
            below = f"{path}/{name}"
            if self._host.is_directory(below):
                self.copy_all(below)
            elif self._host.is_file(below):
                self.copy(below)

    def place(self, source: str, path: str) -> None:
        """Copy the host's file `source` to `path`, readable by everybody, without setuid bits."""
        if path in self:
            return
        outside = self._host.outside(source)
        facts = os.stat(outside)
        mode = 0o755 if facts.st_mode & stat.S_IXUSR else 0o644
        self._put(Entry(path, stat.S_IFREG | mode, facts.st_size, int(facts.st_mtime), source=outside))

    def _put(self, entry: Entry) -> None:
        self._parents(entry.path)
        self._entries[entry.path] = entry

    def _parents(self, path: str) -> None:
        parent = path.rpartition("/")[0]
        if not parent or parent in self._entries:
            return
        inherited = self._find_below(parent)
        self._put(inherited or Entry(parent, stat.S_IFDIR | 0o755))

    def _find_below(self, path: str) -> Entry | None:
        if self._below is None:
            return None
        return self._below._entries.get(path) or self._below._find_below(path)  # noqa: SLF001 - another tree, same class
