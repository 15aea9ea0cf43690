"""From an upper directory of an overlay to a layer's tar: the opposite of `unpack`.

    character device 0:0             ->  .wh.NAME
    trusted.overlay.opaque=y         ->  .wh..wh..opq in the directory
    the overlay's own attributes     ->  nothing
    sockets                          ->  nothing, as for docker: nobody would listen

The same directory always gives the same bytes.
"""

import os
import stat
import tarfile
from typing import NamedTuple

from toolkit.core.digest import Digest
from toolkit.image.whiteout import OPAQUE, OVERLAY_XATTRS, PREFIX, is_opaque, is_whiteout

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from hashlib import _Hash as Hash
    from typing import IO, Any, Protocol

    from toolkit.image.content import ContentStore

    class Writable(Protocol):
        """Where a tar goes."""

        def write(self, content: bytes, /) -> object:
            """Take all of `content`."""
            ...


_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_GZIP_LEVEL = 6
_HOST_XATTRS = (b"security.selinux", b"security.ima", b"security.evm")
"""What this machine's own policy wrote on the files."""
KINDS = {
    stat.S_IFREG: tarfile.REGTYPE,
    stat.S_IFDIR: tarfile.DIRTYPE,
    stat.S_IFLNK: tarfile.SYMTYPE,
    stat.S_IFCHR: tarfile.CHRTYPE,
    stat.S_IFBLK: tarfile.BLKTYPE,
    stat.S_IFIFO: tarfile.FIFOTYPE,
}


class Packed(NamedTuple):
    """A layer that is in the content store."""

    digest: Digest
    size: int
    """Of the blob, in bytes."""
    diff_id: Digest
    entries: int


def pack(directory: str, content: "ContentStore", *, excluded: "Callable[[str], bool]" = lambda _path: False) -> Packed:
    """Store the changes in an upper directory as a layer, compressed with gzip.

    Args:
        directory: of an overlay, in its form.
        content: gets the blob.
        excluded: tells of a path relative to `directory` whether it stays out,
            with all that is below.

    Raises:
        StorageFullError: no space for the blob; nothing is left of it.
    """
    import gzip
    import hashlib

    diff = hashlib.sha256()
    with content.create() as blob:
        with gzip.GzipFile(fileobj=blob, mode="wb", compresslevel=_GZIP_LEVEL, mtime=0, filename="") as packed:
            entries = write_tar(directory, _Digesting(packed, diff), excluded=excluded)
        digest = blob.commit()
        return Packed(digest, blob.size, Digest("sha256:" + diff.hexdigest()), entries)


def write_tar(directory: str, file: "Writable", *, excluded: "Callable[[str], bool]" = lambda _path: False) -> int:
    """Write the changes in an upper directory to `file` as a layer's tar; return the number of members."""
    fd = os.open(directory, _DIRECTORY)
    target: Any = file  # write() is all that tarfile's streams call of what it declares as IO
    try:
        with tarfile.open(
            fileobj=target, mode="w|", format=tarfile.PAX_FORMAT, encoding="utf-8", errors="surrogateescape"
        ) as archive:
            writer = _Writer(archive, excluded)
            writer.add_all(fd, "")
            return writer.entries
    finally:
        os.close(fd)


class _Writer:
    def __init__(self, archive: tarfile.TarFile, excluded: "Callable[[str], bool]") -> None:
        self._archive = archive
        self._excluded = excluded
        self._first: dict[tuple[int, int], str] = {}
        self.entries = 0

    def add_all(self, directory: int, path: str) -> None:
        """Add all that is in an open directory."""
        for name in sorted(os.listdir(directory), key=os.fsencode):
            here = path + name
            if self._excluded(here):
                continue
            try:
                found = os.lstat(name, dir_fd=directory)
                self._add(directory, name, here, found)
            except FileNotFoundError:
                continue  # a running container removed it in this moment

    def _add(self, directory: int, name: str, path: str, found: os.stat_result) -> None:
        if is_whiteout(found):
            parent = path.removesuffix(name)
            self._add_member(member(parent + os.fsdecode(PREFIX) + name, found, tarfile.REGTYPE))
        elif stat.S_ISDIR(found.st_mode):
            self._add_directory(directory, name, path, found)
        elif stat.S_IFMT(found.st_mode) in KINDS:
            self._add_file(directory, name, path, found)

    def _add_directory(self, directory: int, name: str, path: str, found: os.stat_result) -> None:
        fd = os.open(name, _DIRECTORY, dir_fd=directory)
        try:
            info = member(path, found, tarfile.DIRTYPE)
            _add_xattrs(info, f"/proc/self/fd/{fd}", follows=True)
            self._add_member(info)
            if is_opaque(fd):
                self._add_member(member(f"{path}/{os.fsdecode(OPAQUE)}", found, tarfile.REGTYPE))
            self.add_all(fd, path + "/")
        finally:
            os.close(fd)

    def _add_file(self, directory: int, name: str, path: str, found: os.stat_result) -> None:
        info = member(path, found, KINDS[stat.S_IFMT(found.st_mode)])
        first = self._first.setdefault((found.st_dev, found.st_ino), path) if found.st_nlink > 1 else path
        if first != path:
            info.type, info.linkname = tarfile.LNKTYPE, first
            self._add_member(info)
            return
        _add_xattrs(info, f"/proc/self/fd/{directory}/{name}", follows=False)
        if info.type == tarfile.SYMTYPE:
            info.linkname = os.readlink(name, dir_fd=directory)
        if info.type != tarfile.REGTYPE:
            self._add_member(info)
            return
        fd = os.open(name, _FILE, dir_fd=directory)
        with open(fd, "rb", buffering=0) as file:
            info.size = os.fstat(fd).st_size
            self._add_member(info, Exactly(file, info.size))

    def _add_member(self, info: tarfile.TarInfo, file: "Any" = None) -> None:
        self._archive.addfile(info, file)
        self.entries += 1


def member(path: str, found: os.stat_result, kind: bytes) -> tarfile.TarInfo:
    """Return a member with a file's attributes; times to the nanosecond, which needs an extended header."""
    info = tarfile.TarInfo(path)
    info.type, info.mode = kind, stat.S_IMODE(found.st_mode)
    info.uid, info.gid = found.st_uid, found.st_gid
    info.mtime = found.st_mtime_ns // 1_000_000_000
    fraction = found.st_mtime_ns % 1_000_000_000
    if fraction and info.mtime >= 0:
        info.pax_headers = {"mtime": f"{info.mtime}.{fraction:09d}"}
    if kind in (tarfile.CHRTYPE, tarfile.BLKTYPE):
        info.devmajor, info.devminor = os.major(found.st_rdev), os.minor(found.st_rdev)
    return info


def _add_xattrs(info: tarfile.TarInfo, path: str, *, follows: bool) -> None:
    info.pax_headers = {**info.pax_headers, **xattr_headers(path, follows=follows)}


def xattr_headers(path: str, *, follows: bool) -> dict[str, str]:
    """Return the extended header of a file's extended attributes, but for the overlay's and this machine's own."""
    headers: dict[str, str] = {}
    for key in os.listxattr(path, follow_symlinks=follows):
        if not os.fsencode(key).startswith((*OVERLAY_XATTRS, *_HOST_XATTRS)):
            value = os.getxattr(path, key, follow_symlinks=follows)
            headers[f"SCHILY.xattr.{key}"] = value.decode("utf-8", "surrogateescape")
    return dict(sorted(headers.items()))


class Exactly:
    """A file of which exactly so many bytes are read, whatever a running container does to it meanwhile."""

    def __init__(self, file: "IO[bytes]", size: int) -> None:
        self._file = file
        self._left = size

    def read(self, size: int = -1) -> bytes:
        """Return the next bytes; zeros where the file has become shorter."""
        size = min(self._left, size if size >= 0 else self._left)
        content = self._file.read(size)
        self._left -= size
        return content + bytes(size - len(content))


class _Digesting:
    """Hands on what is written, and digests it."""

    def __init__(self, file: "Writable", digest: "Hash") -> None:
        self._file = file
        self._digest = digest

    def write(self, content: bytes, /) -> int:
        self._digest.update(content)
        self._file.write(content)
        return len(content)
