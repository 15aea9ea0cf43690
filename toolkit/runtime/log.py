"""The log of a container: one JSON object a line, as docker's json-file driver writes it."""

import errno
import os

from toolkit.core import clock, document

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Any, BinaryIO

MAX_LINE_BYTES = 16 * 1024
"""A longer line is written in parts, as docker does."""


_LOST = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS, errno.ESTALE)
"""What a disk may say to a write: no reason to end a container."""


class LogWriter:
    """Turns chunks of output into lines with stream and time."""

    def __init__(self, fd: int) -> None:
        """Append to the open log `fd`."""
        self._fd = fd
        self._partial: dict[str, bytes] = {}
        self._is_torn = False
        self._attributes = ""
        """More fields of each entry, as JSON with a comma before them."""

    def write(self, stream: str, chunk: bytes) -> None:
        """Log a chunk that the container wrote to "stdout" or "stderr"."""
        *lines, last = (self._partial.pop(stream, b"") + chunk).split(b"\n")
        parts = [part for line in lines for part in _parts(line + b"\n")]
        *whole, last = _parts(last)
        if len(last) == MAX_LINE_BYTES:
            whole, last = [*whole, last], b""
        if last:
            self._partial[stream] = last
        entries = _entries(stream, (*parts, *whole), clock.now(), self._attributes)
        if entries:
            self._append(entries)

    def close(self) -> None:
        """Write what has no line end yet, and close."""
        for stream, rest in self._partial.items():
            self._append(_entries(stream, (rest,), clock.now(), self._attributes))
        try:
            os.close(self._fd)
        except OSError as exc:
            if exc.errno not in _LOST:  # the file is closed all the same (NFS reports here what it could not write)
                raise

    def _append(self, data: bytes) -> None:
        """Write whole entries; where the disk is full, broken or limited they are lost: the container goes on."""
        if self._is_torn:
            data = b"\n" + data  # ends the part of an entry that did fit
        try:
            written = os.write(self._fd, data)
        except OSError as exc:
            if exc.errno not in _LOST:
                raise
            return
        self._is_torn = written < len(data)


class TurningLog(LogWriter):
    """A log whose file makes room for a new one when it is full; the newest of the old ones is FILE.1."""

    def __init__(self, fd: int, path: str, max_bytes: int, max_files: int, attributes: str) -> None:
        """Append to the open log `fd`, which lies at `path`.

        Args:
            fd: the open log.
            path: where it lies.
            max_bytes: begin a new file when it has so many; 0: never.
            max_files: keep so many, this one included; the oldest goes.
            attributes: of each entry, as a JSON object; empty: none.
        """
        super().__init__(fd)
        self._path = path
        self._max_bytes = max_bytes
        self._max_files = max_files
        self._size = os.fstat(fd).st_size
        self._attributes = f',"attrs":{attributes}' if attributes else ""

    def _append(self, data: bytes) -> None:
        if not self._max_bytes:
            super()._append(data)
            return
        for entry in data.splitlines(keepends=True):
            if self._size >= self._max_bytes:
                self._turn()
            super()._append(entry)
            self._size += len(entry)

    def _turn(self) -> None:
        """Begin a new file; where that fails (no descriptor, a full disk) the old one grows on."""
        try:
            if self._max_files == 1:
                os.ftruncate(self._fd, 0)
            else:
                for number in range(self._max_files - 1, 1, -1):
                    _rename_if_there(f"{self._path}.{number - 1}", f"{self._path}.{number}")
                _rename_if_there(self._path, f"{self._path}.1")
                fresh = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o640)
                os.close(self._fd)
                self._fd = fresh
            self._size = 0
        except OSError:
            self._size -= self._max_bytes // 8 + 1  # try again a little later


def _rename_if_there(old: str, new: str) -> None:
    try:
        os.rename(old, new)
    except FileNotFoundError:
        pass  # there were not so many yet


def files(path: str) -> "list[str]":
    """Return the files of a log that exist, the oldest first."""
    found = [path] if os.path.exists(path) else []
    while os.path.exists(f"{path}.{len(found)}") and found:
        found.append(f"{path}.{len(found)}")
    return found[::-1]


def _parts(line: bytes) -> list[bytes]:
    """Cut a line into pieces that are short enough; an empty one is a piece too."""
    if len(line) <= MAX_LINE_BYTES:
        return [line]
    return [line[first : first + MAX_LINE_BYTES] for first in range(0, len(line), MAX_LINE_BYTES)]


def _entries(stream: str, lines: "Sequence[bytes]", moment: str, attributes: str) -> bytes:
    """Return lines as they stand in the log; half a microsecond each, since some programs print millions."""
    tail = f',"stream":"{stream}","time":"{moment}"{attributes}}}\n'
    texts = ['{"log":' + document.quote(line.decode(errors="replace")) + tail for line in lines]
    return "".join(texts).encode(errors="replace")


def read_entries(log: "BinaryIO") -> "Iterator[dict[str, Any]]":
    """Yield the whole entries of an open log from where it stands on.

    A line that is only half written yet is left for the next call.
    """
    while line := log.readline():
        if not line.endswith(b"\n"):
            log.seek(-len(line), os.SEEK_CUR)
            return
        try:
            yield document.decode(line)
        except ValueError:
            continue  # a line cut short by a full disk or a crash of the machine
