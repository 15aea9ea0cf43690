"""A layer as bytes: a sorted tar, gzipped, with both its digests."""

import gzip
import hashlib
import io
import stat
import tarfile
from collections.abc import Iterable
from typing import Any, NamedTuple, Protocol, cast

from toolkit.core.digest import Digest
from toolkit.image.embedded.tree import Entry

_LEVEL = 1  # made once and unpacked once on the same machine: speed before size


class Blob(NamedTuple):
    """A layer as an image refers to it."""

    content: bytes
    """The gzipped tar."""
    digest: Digest
    """Of `content`."""
    diff_id: Digest
    """Of the tar."""
    unpacked_bytes: int


class _Writer(Protocol):
    def write(self, data: bytes, /) -> int: ...
    def close(self) -> None: ...


class _Sink(io.RawIOBase):
    """Where tarfile writes: counts, hashes and compresses in one pass."""

    def __init__(self) -> None:
        super().__init__()
        self.packed = io.BytesIO()
        self.hash = hashlib.sha256()
        self.size_bytes = 0
        self._gzip = _open_gzip(self.packed)

    def write(self, data: Any) -> int:
        self.hash.update(data)
        self.size_bytes += len(data)
        self._gzip.write(data)
        return len(data)

    def finish(self) -> bytes:
        """End the gzip stream and return it."""
        self._gzip.close()
        return self.packed.getvalue()


def _open_gzip(target: io.BytesIO) -> _Writer:
    try:
        from isal import igzip
    except ImportError:
        return gzip.GzipFile(filename="", mode="wb", compresslevel=_LEVEL, fileobj=target, mtime=0)
    opened: Any = igzip.IGzipFile
    return cast("_Writer", opened(filename="", mode="wb", compresslevel=_LEVEL, fileobj=target, mtime=0))


def pack(entries: Iterable[Entry]) -> Blob:
    """Write the entries as one gzipped tar; the same entries give the same bytes.

    Raises:
        OSError: a file that was to be copied cannot be read any more.

    See Also:
        OCI image spec, layer.md
    """
    sink = _Sink()
    with tarfile.open(fileobj=sink, mode="w|", format=tarfile.PAX_FORMAT, bufsize=1 << 20) as tar:
        for entry in entries:
            _add(tar, entry)
    content = sink.finish()
    digest = Digest("sha256:" + hashlib.sha256(content).hexdigest())
    return Blob(content, digest, Digest("sha256:" + sink.hash.hexdigest()), sink.size_bytes)


def _add(tar: tarfile.TarFile, entry: Entry) -> None:
    info = tarfile.TarInfo(entry.path.lstrip("/") or ".")
    info.mode = stat.S_IMODE(entry.mode)
    info.mtime = entry.mtime_s
    info.uid = info.gid = entry.owner
    if stat.S_ISDIR(entry.mode):
        info.type = tarfile.DIRTYPE
        tar.addfile(info)
    elif stat.S_ISLNK(entry.mode):
        info.type, info.linkname = tarfile.SYMTYPE, entry.target
        tar.addfile(info)
    elif entry.source:
        info.size = entry.size_bytes
        with open(entry.source, "rb") as file:
            tar.addfile(info, file)
    else:
        info.size = len(entry.content)
        tar.addfile(info, io.BytesIO(entry.content))
