"""Interrupting a cell: the command gets the signal first, and is not left behind if it ignores it."""

import signal
import threading
from types import FrameType, TracebackType
from typing import Self

_GRACE_S = 2.0
_PRESSES = 2  # with the first one three, on which the command line lets go of a container


class Interruptible:
    """Watch for SIGINT in a `with` block; insist where one interrupt was not enough.

    A container whose first process ignores SIGINT (as every pid 1 without a
    handler does) would hold the cell for ever: after a grace time the command
    is interrupted until it lets go.
    """

    def __init__(self) -> None:
        self.was_interrupted = False
        self._main = threading.main_thread()
        self._is_main = threading.current_thread() is self._main
        self._over = threading.Event()
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        if self._is_main:
            self._before = signal.signal(signal.SIGINT, self._take)
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _exc: BaseException | None, _tb: TracebackType | None
    ) -> None:
        if not self._is_main:
            return
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # none may hit the next line's code
        self._over.set()
        if self._thread is not None:
            self._thread.join()
        signal.signal(signal.SIGINT, self._before)

    def _take(self, _number: int, _frame: FrameType | None) -> None:
        self.was_interrupted = True
        if self._thread is None:
            self._thread = threading.Thread(target=self._insist, daemon=True)
            self._thread.start()
        raise KeyboardInterrupt

    def _insist(self) -> None:
        for _ in range(_PRESSES):
            if self._over.wait(_GRACE_S):
                return
            signal.pthread_kill(self._main.ident or 0, signal.SIGINT)
