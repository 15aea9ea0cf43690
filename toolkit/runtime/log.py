"""The log of a container: one JSON object a line, as docker's json-file driver writes it."""

import errno
import os

from toolkit.core import clock, document

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

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

    def write(self, stream: str, chunk: bytes) -> None:
        """Log a chunk that the container wrote to "stdout" or "stderr"."""
        *lines, last = (self._partial.pop(stream, b"") + chunk).split(b"\n")
        parts = [part for line in lines for part in _parts(line + b"\n")]
        *whole, last = _parts(last)
        if len(last) == MAX_LINE_BYTES:
            whole, last = [*whole, last], b""
        if last:
            self._partial[stream] = last
        entries = _entries(stream, (*parts, *whole), clock.now())
        if entries:
            self._append(entries)

    def close(self) -> None:
        """Write what has no line end yet, and close."""
        for stream, rest in self._partial.items():
            self._append(_entries(stream, (rest,), clock.now()))
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


def _parts(line: bytes) -> list[bytes]:
    """Cut a line into pieces that are short enough; an empty one is a piece too."""
    if len(line) <= MAX_LINE_BYTES:
        return [line]
    return [line[first : first + MAX_LINE_BYTES] for first in range(0, len(line), MAX_LINE_BYTES)]


def _entries(stream: str, lines: "Sequence[bytes]", moment: str) -> bytes:
    """Return lines as they stand in the log; half a microsecond each, since some programs print millions."""
    tail = f',"stream":"{stream}","time":"{moment}"}}\n'
    texts = ['{"log":' + document.quote(line.decode(errors="replace")) + tail for line in lines]
    return "".join(texts).encode(errors="replace")


def read_entries(path: str, offset: int = 0) -> "Iterator[tuple[dict[str, str], int]]":
    """Yield the whole entries of a log from `offset` on, each with the offset behind it.

    A line that is only half written yet is left for the next call.
    """
    with open(path, "rb") as log:
        log.seek(offset)
        for line in log:
            if not line.endswith(b"\n"):
                return
            offset += len(line)
            try:
                yield document.decode(line), offset
            except ValueError:
                continue  # a line cut short by a full disk or a crash of the machine
