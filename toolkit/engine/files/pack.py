"""Files to a tar stream: owners, modes, times, extended attributes and hard links kept.

A file is opened by its name once, as nothing but a handle (O_PATH), and what
it is is asked of the handle: neither a symlink that takes its place nor a
device is ever followed or opened.
"""

import errno
import io
import os
import stat
import tarfile
from typing import NamedTuple

from toolkit.engine.files.ids import inside
from toolkit.image.diff import KINDS, Exactly, member, xattr_headers

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from toolkit.engine.files.ids import IdMap

_SHORT_BYTES = 1 << 20
_HANDLE = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC


class _Level(NamedTuple):
    """A directory whose content is being written."""

    fd: int
    path: str
    """In the tar."""
    names: "Iterator[str]"


class Packer:
    """Writes files into one tar; keeps count of what it wrote."""

    def __init__(self, archive: tarfile.TarFile, uids: "IdMap" = (), gids: "IdMap" = ()) -> None:
        """Write to `archive`, which is open for writing; ids go through the maps."""
        self._archive = archive
        self._uids = uids
        self._gids = gids
        self._first: dict[tuple[int, int], str] = {}
        self.content_bytes = 0

    def add(self, directory_fd: int, name: str, path: str) -> None:
        """Add a file, or a directory with all that is in it.

        Args:
            directory_fd: the directory that it is in.
            name: its name there; "." is the directory itself.
            path: what it is called in the tar.
        """
        levels: list[_Level] = []
        try:
            self._add_one(directory_fd, name, path, levels)
            while levels:
                level = levels[-1]
                below = next(level.names, None)
                if below is None:
                    os.close(levels.pop().fd)
                    continue
                try:
                    self._add_one(level.fd, below, f"{level.path}/{below}", levels)
                except FileNotFoundError:
                    continue  # a running container removed it in this moment
        finally:
            for level in levels:
                os.close(level.fd)

    def add_all(self, directory_fd: int, names: "Sequence[str]") -> None:
        """Add several files of a directory under their own names; one that is gone is left out."""
        for name in names:
            try:
                self.add(directory_fd, name, name)
            except FileNotFoundError:
                continue  # as in `add`

    def _add_one(self, directory_fd: int, name: str, path: str, levels: list[_Level]) -> None:
        handle = os.open(name, _HANDLE, dir_fd=directory_fd)
        try:
            found = os.fstat(handle)
            kind = KINDS.get(stat.S_IFMT(found.st_mode))
            if kind is None:
                return  # a socket: nobody would listen
            info = member(path, found, kind)
            info.uid, info.gid = inside(self._uids, info.uid), inside(self._gids, info.gid)
            self._add_member(info, handle, found)
            if kind == tarfile.DIRTYPE:
                fd = os.open(f"/proc/self/fd/{handle}", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
                levels.append(_Level(fd, path, iter(sorted(os.listdir(fd), key=os.fsencode))))
        finally:
            os.close(handle)

    def _add_member(self, info: tarfile.TarInfo, handle: int, found: os.stat_result) -> None:
        if found.st_nlink > 1 and info.type != tarfile.DIRTYPE:
            first = self._first.setdefault((found.st_dev, found.st_ino), info.name)
            if first != info.name:
                info.type, info.linkname = tarfile.LNKTYPE, first
                self._archive.addfile(info)
                return
        info.pax_headers = {**info.pax_headers, **_xattrs(handle)}
        if info.type == tarfile.SYMTYPE:
            info.linkname = os.readlink("", dir_fd=handle)
        if info.type != tarfile.REGTYPE:
            self._archive.addfile(info)
            return
        fd = os.open(f"/proc/self/fd/{handle}", os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(fd, "rb", buffering=0) as file:
            if found.st_size:
                info.size = found.st_size
                self._archive.addfile(info, Exactly(file, info.size))
            else:
                content = _short_content(fd)
                info.size = len(content)
                self._archive.addfile(info, io.BytesIO(content))
        self.content_bytes += info.size


def _short_content(fd: int) -> bytes:
    """Read a file that says it is empty: those of procfs do, and have something in them all the same."""
    content = b""
    try:
        while len(content) < _SHORT_BYTES and (chunk := os.read(fd, _SHORT_BYTES - len(content))):
            content += chunk
    except OSError:
        return content  # a kernel file that cannot be read, or has nothing to say now
    return content


def _xattrs(handle: int) -> dict[str, str]:
    try:
        return xattr_headers(f"/proc/self/fd/{handle}", follows=True)
    except OSError as exc:
        if exc.errno in (errno.ENOTSUP, errno.EPERM, errno.ENOENT):
            return {}  # this file system has none, or of this kind of file none
        raise
