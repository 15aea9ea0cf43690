"""The uncompressed bytes of a blob, digested on their way and held against the limits.

The compression is found by its first bytes and not by the media type: docker
does the same, and registries hold layers whose media type is wrong.
"""

import os
import zlib

from toolkit.core.errors import BombError, CorruptLayerError
from toolkit.image.unpack.limits import Limits

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any, Protocol

    class _Hash(Protocol):
        def update(self, content: Any, /) -> None: ...


RAISE_LIMIT = "raise the limit if you trust the image"
_READ_BYTES = 128 << 10
_CHUNK_BYTES = 1 << 20
_GZIP = b"\x1f\x8b\x08"
_ZSTD = b"\x28\xb5\x2f\xfd"
_ZSTD_SKIPPABLE = b"\x2a\x4d\x18"  # after 0x50 to 0x5f, RFC 8878 section 3.1.2
_ZSTD_WINDOW_MAX_BYTES = 128 << 20
_GZIP_WBITS = 31
_OTHERS = {b"BZh": "bzip2", b"\xfd7zXZ\x00": "xz", b"\x04\x22\x4d\x18": "lz4"}


class Source:
    """A blob that is read from its start to its end."""

    def __init__(self, fd: int, digest: "_Hash", limits: Limits) -> None:
        self._fd = fd
        self._digest = digest
        self._limits = limits
        self.taken = 0
        """Compressed bytes read so far."""
        self.given = 0
        """Uncompressed bytes handed out so far."""

    def chunks(self) -> "Iterator[bytes]":
        """Yield the uncompressed bytes, in pieces of at most about a megabyte.

        Raises:
            CorruptLayerError: the compressed data is damaged, ends early or
                has something behind its end.
            BombError: there is more of it than the limits allow.
        """
        first = self._read()
        for chunk in _decompress(first, self):
            self.given += len(chunk)
            self._check_limits()
            self._digest.update(chunk)
            yield chunk

    def _read(self) -> bytes:
        content = os.read(self._fd, _READ_BYTES)
        self.taken += len(content)
        return content

    def read(self, size: int = _READ_BYTES) -> bytes:
        """Return the next compressed bytes, none at the end (the method of files that zstandard wants)."""
        content = os.read(self._fd, size)
        self.taken += len(content)
        return content

    def _check_limits(self) -> None:
        limits = self._limits
        if self.given > limits.max_bytes:
            raise BombError(f"it unpacks to more than {limits.max_bytes} bytes", hint=RAISE_LIMIT)
        if self.given > limits.ratio_free_bytes and self.given > limits.max_ratio * self.taken:
            raise BombError(f"it unpacks to more than {limits.max_ratio} times its size", hint=RAISE_LIMIT)


def _decompress(first: bytes, source: Source) -> "Iterator[bytes]":
    if first.startswith(_GZIP):
        return _gunzip(first, source)
    if first.startswith(_ZSTD) or first[1:4] == _ZSTD_SKIPPABLE:
        return _unzstd(first, source)
    for magic, name in _OTHERS.items():
        if first.startswith(magic):
            raise CorruptLayerError(f"it is compressed with {name}", hint="layers are gzip, zstd or plain tar")
    return _plain(first, source)


def _plain(content: bytes, source: Source) -> "Iterator[bytes]":
    while content:
        yield content
        content = source.read(_CHUNK_BYTES)


def _inflater() -> "tuple[Any, Any]":
    """Return a new gzip decompressor and the error that it raises."""
    try:
        from isal import isal_zlib
    except ImportError:
        return zlib.decompressobj(_GZIP_WBITS), zlib.error
    return isal_zlib.decompressobj(_GZIP_WBITS), isal_zlib.error


def _gunzip(content: bytes, source: Source) -> "Iterator[bytes]":
    """Decompress gzip members, one after the other (RFC 1952 section 2.2)."""
    while content:
        inflater, error = _inflater()
        while not inflater.eof:
            if not content:
                raise CorruptLayerError("its gzip data ends early")
            try:
                chunk = inflater.decompress(content, _CHUNK_BYTES)
            except error as exc:
                raise CorruptLayerError(f"its gzip data is damaged ({exc})") from exc
            if chunk:
                yield chunk
            content = inflater.unconsumed_tail or (b"" if inflater.eof else source.read())
        content = _next_member(inflater.unused_data, source)


def _next_member(content: bytes, source: Source) -> bytes:
    """Return the start of the next gzip member, or nothing; zeros may follow the last one."""
    content = content.lstrip(b"\0") or b""
    while len(content) < len(_GZIP):
        more = source.read()
        if not more:
            break
        content = (content + more).lstrip(b"\0")
    if content and not content.startswith(_GZIP):
        raise CorruptLayerError("its gzip data has something else behind its end")
    return content


class _Prefixed:
    """A source whose first bytes have been read already."""

    def __init__(self, first: bytes, source: Source) -> None:
        self._first = first
        self._source = source

    def read(self, size: int = -1) -> bytes:
        first, self._first = self._first, b""
        return first or self._source.read(size if size > 0 else _READ_BYTES)


def _unzstd(first: bytes, source: Source) -> "Iterator[bytes]":
    import zstandard

    blob: Any = _Prefixed(first, source)  # read() is all that zstandard calls of what it declares as IO
    decompressor = zstandard.ZstdDecompressor(max_window_size=_ZSTD_WINDOW_MAX_BYTES)
    try:
        # An input that ends early looks like its end here; the tar in it and the diffID tell.
        with decompressor.stream_reader(blob, read_across_frames=True) as reader:
            while chunk := reader.read(_CHUNK_BYTES):
                yield chunk
    except zstandard.ZstdError as exc:
        raise CorruptLayerError(f"its zstd data is damaged ({exc})") from exc


class Stream:
    """Exact reads from chunks."""

    def __init__(self, chunks: "Iterator[bytes]") -> None:
        self._chunks = chunks
        self._chunk = b""
        self._at = 0
        self.position = 0
        """Bytes consumed so far."""

    def read(self, count: int) -> bytes:
        """Return the next `count` bytes; fewer only at the end."""
        start = self._at
        end = start + count
        if end <= len(self._chunk):
            self._at = end
            self.position += count
            return self._chunk[start:end]
        return b"".join(self._pieces(count))

    def copy(self, count: int, fd: int) -> int:
        """Write the next `count` bytes to a file; return how many there were."""
        start = self._at
        end = start + count
        if end <= len(self._chunk):  # nearly always: most files are smaller than a chunk
            view = memoryview(self._chunk)[start:end]
            self._at = end
            self.position += count
            if os.write(fd, view) == count:
                return count
            raise OSError(28, os.strerror(28))  # a short write to a file means ENOSPC
        return sum(_write_all(fd, part) for part in self._pieces(count))

    def skip(self, count: int) -> int:
        """Read `count` bytes for nothing; return how many there were."""
        if self._at + count <= len(self._chunk):
            self._at += count
            self.position += count
            return count
        return sum(len(part) for part in self._pieces(count))

    def drain(self) -> None:
        """Read all the rest for nothing, so that all of it is digested."""
        self._chunk, self._at = b"", 0
        for chunk in self._chunks:
            self.position += len(chunk)

    def _pieces(self, count: int) -> "Iterator[memoryview]":
        """Yield the next `count` bytes as they lie in their chunks."""
        while count:
            rest = len(self._chunk) - self._at
            if not rest:
                self._chunk, self._at = next(self._chunks, b""), 0
                rest = len(self._chunk)
                if not rest:
                    return
            taken = min(rest, count)
            piece = memoryview(self._chunk)[self._at : self._at + taken]
            self._at += taken
            self.position += taken
            count -= taken
            yield piece


def _write_all(fd: int, view: memoryview) -> int:
    count = len(view)
    while view:
        view = view[os.write(fd, view) :]
    return count
