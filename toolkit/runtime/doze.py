"""How a monitor waits: as select.poll does, and where nothing happens for a second, asleep.

A monitor asleep has given its memory back, up to some pages; see `linux.frozen`.
It wakes for everything that poll would return for.  Where it cannot sleep it
polls.  To fall asleep and to wake costs a millisecond or two, so who is woken
again and again waits longer before it sleeps.
"""

import select
import time

from toolkit.linux import frozen

QUIET_MS = 1000
"""How long nothing must have happened, at first.  A container that ends before pays nothing for the sleep of others."""
MOST_QUIET_MS = 8000
WORTHWHILE_MS = 3000
"""A sleep that is shorter was not worth it."""


def quiet_after(quiet_ms: int, slept_ms: float) -> int:
    """Return how long nothing must happen before the next sleep."""
    return QUIET_MS if slept_ms >= WORTHWHILE_MS else min(2 * quiet_ms, MOST_QUIET_MS)


class Poll:
    """A select.poll that knows what it waits for."""

    def __init__(self) -> None:
        self._poll = select.poll()
        self._waiting: dict[int, int] = {}
        self._quiet_ms = QUIET_MS

    def register(self, fd: int, events: int) -> None:
        """Wait for `events` of a descriptor, too."""
        self._poll.register(fd, events)
        self._waiting[fd] = events

    def modify(self, fd: int, events: int) -> None:
        """Wait for other events of a descriptor."""
        self._poll.modify(fd, events)
        self._waiting[fd] = events

    def unregister(self, fd: int) -> None:
        """Wait for this descriptor no more.

        Raises:
            KeyError: nobody did.
        """
        self._poll.unregister(fd)
        del self._waiting[fd]

    def poll(self, patience_ms: float | None = None) -> list[tuple[int, int]]:
        """Wait, awake."""
        return self._poll.poll(patience_ms)

    def rest(self, patience_ms: float | None = None) -> list[tuple[int, int]]:
        """Wait, asleep after a while; what is returned may be empty before the time is up."""
        if patience_ms is not None and patience_ms <= self._quiet_ms:
            return self._poll.poll(patience_ms)
        ready = self._poll.poll(self._quiet_ms)
        if ready:
            return ready
        left_ms = None if patience_ms is None else patience_ms - self._quiet_ms
        begun_s = time.monotonic()
        if not frozen.sleep(self._waiting, left_ms):
            return self._poll.poll(left_ms)
        self._quiet_ms = quiet_after(self._quiet_ms, (time.monotonic() - begun_s) * 1000)
        return self._poll.poll(0)
