"""Reading a container's log, also while it grows."""

import os
import select
from typing import NamedTuple

from toolkit.core import clock
from toolkit.runtime import client
from toolkit.runtime.log import read_entries

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator


class LogLine(NamedTuple):
    """One line (or part of a very long one) that a container wrote."""

    stream: str
    """"stdout" or "stderr"."""
    time: str
    """RFC 3339 with nanoseconds, UTC."""
    text: str
    """With its line end, where it had one."""


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
        offset = _tail_offset(path, tail) if tail is not None else 0
        is_last = session is None
        while True:
            for entry, end in _entries(path, offset):
                offset = end
                moment = clock.parse_ns(entry["time"]) if since_ns or until_ns else 0
                if until_ns and moment >= until_ns:
                    return
                if moment >= since_ns:
                    yield LogLine(entry["stream"], entry["time"], entry["log"])
            if is_last or session is None:
                return
            is_last = not _more(session)
    finally:
        if session is not None:
            session.close()


def _entries(path: str, offset: int) -> "Iterator[tuple[dict[str, str], int]]":
    try:
        yield from read_entries(path, offset)
    except FileNotFoundError:
        return  # a container that was never started has no log


def _more(session: client.Session) -> bool:
    """Wait until the container has written something; False when it has ended."""
    if session.receive() is None:
        return False
    while session.has_frame() or select.select([session], [], [], 0)[0]:
        if session.receive() is None:
            return False
    return True


def _tail_offset(path: str, count: int) -> int:
    """Return where the last `count` lines of a file begin, reading it from its end."""
    if count <= 0:
        try:
            return os.path.getsize(path)
        except FileNotFoundError:
            return 0
    try:
        log = open(path, "rb")  # noqa: SIM115 - closed two lines below
    except FileNotFoundError:
        return 0
    with log:
        end = log.seek(0, os.SEEK_END)
        found, position, block = 0, end, b""
        while position > 0:
            size = min(64 * 1024, position)
            position -= size
            log.seek(position)
            block = log.read(size)
            index = len(block) - 1 if position + size == end and block.endswith(b"\n") else len(block)
            while (index := block.rfind(b"\n", 0, index)) >= 0:
                found += 1
                if found == count:
                    return position + index + 1
        return 0
