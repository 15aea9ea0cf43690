"""Threads that share the work of one transfer.

The caller hands out jobs and takes their ends in the order in which they come.
The first failure stops everything: what is under way is woken and ends, what
waits is never begun.  Ctrl-C in the caller's thread does the same.  The
threads run in copies of the caller's context, so their exchanges are recorded
like its own.
"""

import contextvars
import threading
import time
from queue import Empty, SimpleQueue

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from typing import Self

    from toolkit.registry.transport import Transport

_JOIN_TIMEOUT_S = 1.0


class Crew:
    """Runs jobs on a few threads; use it in a `with` block."""

    def __init__(self, transport: "Transport", jobs: "Sequence[Callable[[], None]]", size: int) -> None:
        """Prepare `size` threads, at most, for `jobs`; `transport` is stopped when one fails."""
        self._transport = transport
        self._jobs = jobs
        self._waiting: SimpleQueue[int] = SimpleQueue()
        self._ended: SimpleQueue[tuple[int, BaseException | None]] = SimpleQueue()
        self._stopped = threading.Event()
        for index in range(len(jobs)):
            self._waiting.put(index)
        self._threads = [
            threading.Thread(target=contextvars.copy_context().run, args=(self._work,), name="transfer", daemon=True)
            for _ in range(min(size, len(jobs)))
        ]

    def __enter__(self) -> "Self":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, kind: object, *_exc: object) -> None:
        if kind is not None:
            self._stop()
        deadline_s = time.monotonic() + _JOIN_TIMEOUT_S
        for thread in self._threads:
            # One that waits for a connection or for another process's lock ends on its own, a little later.
            thread.join(max(0.0, deadline_s - time.monotonic()))

    def finished(self) -> "Iterator[int]":
        """Yield the index of each job as it ends.

        Raises:
            BaseException: what the first job that failed has raised.
        """
        for _ in self._jobs:
            index, failure = self._ended.get()
            if failure is not None:
                raise failure
            yield index

    def _work(self) -> None:
        while not self._stopped.is_set():
            try:
                index = self._waiting.get_nowait()
            except Empty:
                return
            try:
                self._jobs[index]()
            except BaseException as exc:  # noqa: BLE001 - raised again by `finished`, in the caller's thread
                self._ended.put((index, exc))  # before the others hear of it: theirs are not the first failure
                self._stop()
                return
            self._ended.put((index, None))

    def _stop(self) -> None:
        self._stopped.set()
        self._transport.stop()
