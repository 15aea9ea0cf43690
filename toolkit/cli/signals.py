"""Signals as things to poll for, so that a loop meets them at a place of its own choosing."""

import os
from contextlib import suppress

from toolkit.linux import signals

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import FrameType
    from typing import Self

PROXIED = (
    signals.SIGHUP,
    signals.SIGINT,
    signals.SIGQUIT,
    signals.SIGTERM,
    signals.SIGUSR1,
    signals.SIGUSR2,
)


class SignalPipe:
    """Holds signals back for a `with` block; they are read from `fd` instead of being acted upon."""

    def __init__(self, numbers: "Iterable[int]") -> None:
        """Hold back these signals (main thread only, as Python has it)."""
        self._numbers = tuple(numbers)
        self._arrived: list[int] = []

    def __enter__(self) -> "Self":
        self.fd, self._write_fd = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self._wakeup_before = signals.set_wakeup_fd(self._write_fd, warn_on_full_buffer=False)
        self._before = {number: signals.signal(number, self._note) for number in self._numbers}
        return self

    def __exit__(self, *_exc: object) -> None:
        for number, handler in self._before.items():
            signals.signal(number, handler)
        signals.set_wakeup_fd(self._wakeup_before)
        os.close(self.fd)
        os.close(self._write_fd)

    def _note(self, number: int, _frame: "FrameType | None") -> None:
        self._arrived.append(number)

    def take(self) -> list[int]:
        """Return the signals that have arrived since the last call, in order."""
        with suppress(BlockingIOError):  # a byte for two signals, or none yet
            os.read(self.fd, 512)
        arrived, self._arrived = self._arrived, []
        return arrived
