"""Waiting for many descriptors and moments at once, and calling back: asyncio takes 60 ms to load, and 4 MB."""

import heapq
import select
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

READ, WRITE = select.EPOLLIN, select.EPOLLOUT
_MOST_EVENTS = 64


class Timer:
    """Something that is to be done later, if nobody calls it off."""

    __slots__ = ("call",)

    def __init__(self, call: "Callable[[], None]") -> None:
        self.call: Callable[[], None] | None = call

    def cancel(self) -> None:
        """Call it off."""
        self.call = None


class Loop:
    """What is waited for."""

    def __init__(self, complain: "Callable[[BaseException], None]") -> None:
        """Wait for nothing yet; `complain` is told of what a callback raises, and everything goes on."""
        self._epoll = select.epoll()
        self._calls: dict[int, Callable[[], None]] = {}
        self._timers: list[tuple[float, int, Timer]] = []
        self._count = 0
        self._complain = complain

    def watch(self, fd: int, call: "Callable[[], None]", what: int = READ) -> None:
        """Have `call` be called when a descriptor can be read, or written to."""
        if fd in self._calls:
            self._epoll.modify(fd, what)
        else:
            self._epoll.register(fd, what)
        self._calls[fd] = call

    def forget(self, fd: int) -> None:
        """Wait for a descriptor no more; it must still be open."""
        if self._calls.pop(fd, None) is not None:
            self._epoll.unregister(fd)

    def after(self, delay_s: float, call: "Callable[[], None]") -> Timer:
        """Have `call` be called in some time."""
        timer = Timer(call)
        self._count += 1
        heapq.heappush(self._timers, (time.monotonic() + delay_s, self._count, timer))
        return timer

    def turn(self) -> None:
        """Wait until something happens, and call whom it concerns."""
        for fd, _events in self._epoll.poll(self._left_s(), _MOST_EVENTS):
            call = self._calls.get(fd)  # one that was called just now may have closed this
            if call is not None:
                self._guard(call)
        now = time.monotonic()
        while self._timers and self._timers[0][0] <= now:
            timer = heapq.heappop(self._timers)[2]
            if timer.call is not None:
                self._guard(timer.call)

    def _left_s(self) -> float:
        while self._timers and self._timers[0][2].call is None:
            heapq.heappop(self._timers)
        return max(0.0, self._timers[0][0] - time.monotonic()) if self._timers else -1.0

    def _guard(self, call: "Callable[[], None]") -> None:
        try:
            call()
        except Exception as exc:  # noqa: BLE001 - others' answers do not depend on what went wrong with one
            self._complain(exc)
