"""The stop button: the command line ends what the cell waits for, this notes that it was asked to."""

import signal
import threading
from types import FrameType, TracebackType
from typing import Self


class Interruptible:
    """Note a SIGINT in a `with` block, and raise KeyboardInterrupt as Python does without it.

    In a thread other than the main one no signal arrives, and nothing is noted.
    """

    def __init__(self) -> None:
        self.was_interrupted = False
        self._is_main = threading.current_thread() is threading.main_thread()

    def __enter__(self) -> Self:
        if self._is_main:
            self._before = signal.signal(signal.SIGINT, self._take)
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _exc: BaseException | None, _tb: TracebackType | None
    ) -> None:
        if self._is_main:
            signal.signal(signal.SIGINT, self._before)

    def _take(self, _number: int, _frame: FrameType | None) -> None:
        self.was_interrupted = True
        raise KeyboardInterrupt
