"""Reading a container's log, also while it grows."""

import os
import select
from typing import Any, NamedTuple, Self

from toolkit.core import clock
from toolkit.runtime import client
from toolkit.runtime.log import files, read_entries

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from typing import BinaryIO


_NONE: "Mapping[str, str]" = {}


class LogLine(NamedTuple):
    """One line (or part of a very long one) that a container wrote."""

    stream: str
    """"stdout" or "stderr"."""
    time: str
    """RFC 3339 with nanoseconds, UTC."""
    text: str
    """With its line end, where it had one."""
    attributes: "Mapping[str, str]" = _NONE
    """What --log-opt labels, env and tag add."""


def read(
    path: str,
    *,
    run_dir: str = "",
    follow: bool = False,
    tail: int | None = None,
    since_ns: int = 0,
    until_ns: int = 0,
) -> "Iterator[LogLine]":
    """Yield lines of the log at `path`.

    Args:
        path: the log; one that does not exist is empty.
        run_dir: the container's runtime directory, to follow a running one.
        follow: wait for more until the container has ended.
        tail: begin with the last so many lines; None: with the first.
        since_ns: only lines written then or later, nanoseconds since the epoch.
        until_ns: only lines written before; 0: all.
    """
    session = client.attach(run_dir, output=True, stdin=False) if follow else None
    try:
        with _Reader(path, tail) as reader:
            is_last = session is None
            while True:
                for entry in reader.more():
                    moment = clock.parse_ns(entry["time"]) if since_ns or until_ns else 0
                    if until_ns and moment >= until_ns:
                        return
                    if moment >= since_ns:
                        yield LogLine(entry["stream"], entry["time"], entry["log"], entry.get("attrs") or {})
                if is_last or session is None:
                    return
                is_last = not _more(session)
    finally:
        if session is not None:
            session.close()


class _Reader:
    """Reads a log of one file or of several, the oldest first, also while its monitor begins new ones."""

    def __init__(self, path: str, tail: int | None) -> None:
        self._path = path
        self._open: list[BinaryIO] = _opened(files(path))
        if tail is not None:
            self._begin_with(tail)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        for file in self._open:
            file.close()

    def _begin_with(self, count: int) -> None:
        """Leave out all but the last `count` lines."""
        kept: list[BinaryIO] = []
        for file in reversed(self._open):
            if kept and count <= 0:
                file.close()
                continue
            offset, found = _tail_start(file, count)
            file.seek(offset)
            kept.insert(0, file)
            count -= found
        self._open = kept

    def more(self) -> "Iterator[dict[str, Any]]":
        """Yield what is there and was not yielded before; a line that is only half written waits."""
        self._open = self._open or _opened(files(self._path))  # a container that was never started has none
        while self._open:
            file = self._open[0]
            yield from read_entries(file)
            if len(self._open) == 1:
                newer = self._newer(file)
                if os.fstat(file.fileno()).st_size < file.tell():
                    file.seek(0)  # the only file that it may have was emptied
                    continue
                if not newer:
                    return
                yield from read_entries(file)  # what was written before it was moved aside
                self._open += newer
            file.close()
            del self._open[0]

    def _newer(self, file: "BinaryIO") -> "list[BinaryIO]":
        """Open the files that were begun after `file`."""
        try:
            inode = os.fstat(file.fileno()).st_ino
            if os.stat(self._path).st_ino == inode:
                return []
        except FileNotFoundError:
            return []  # it is being moved at this moment, or the container was removed
        opened = _opened(files(self._path))
        inodes = [os.fstat(each.fileno()).st_ino for each in opened]
        known = inodes.index(inode) + 1 if inode in inodes else 0
        for each in opened[:known]:
            each.close()
        return opened[known:]


def _opened(names: "Sequence[str]") -> "list[BinaryIO]":
    """Open files, each once: one that is moved meanwhile may come by two names."""
    found: dict[int, BinaryIO] = {}
    for name in names:
        try:
            file = open(name, "rb")  # noqa: SIM115 - closed by whoever gets it
        except FileNotFoundError:
            continue
        if found.setdefault(os.fstat(file.fileno()).st_ino, file) is not file:
            file.close()
    return list(found.values())


def _more(session: client.Session) -> bool:
    """Wait until the container has written something; False when it has ended."""
    if session.receive() is None:
        return False
    while session.has_frame() or select.select([session], [], [], 0)[0]:
        if session.receive() is None:
            return False
    return True


def _tail_start(log: "BinaryIO", count: int) -> tuple[int, int]:
    """Return where the last `count` lines of a file begin, reading it from its end, and how many there are."""
    end = log.seek(0, os.SEEK_END)
    if count <= 0:
        return end, 0
    found, position = 0, end
    while position > 0:
        size = min(64 * 1024, position)
        position -= size
        log.seek(position)
        block = log.read(size)
        index = len(block) - 1 if position + size == end and block.endswith(b"\n") else len(block)
        while (index := block.rfind(b"\n", 0, index)) >= 0:
            found += 1
            if found == count:
                return position + index + 1, found
    return 0, found + (end > 0)
