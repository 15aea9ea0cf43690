"""A start under way: what its monitor tells, and what whoever watches it answers."""

from toolkit.core import document
from toolkit.trace.wire import Recorded

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from toolkit.runtime import client


class Start:
    """One start, from the moment that its plan was sent until its program runs."""

    def __init__(self, session: "client.Session") -> None:
        """Follow the start on the connection to its monitor."""
        self.session = session
        self.plan = session.plan
        self.recorded = Recorded()
        """The calls so far, where they were asked for."""
        self.pid = 0
        """The host's number for the process, once its program runs."""
        self._has_begun = False

    def advance(self) -> int | None:
        """Wait until it stops before a step; return that one's index, or None once the program runs.

        Raises:
            EngineError: it has failed, and what it had made is gone.
            MonitorLostError: nobody is left who could say how it went.
        """
        from toolkit.runtime import client

        while (message := self._receive()) is not None:
            event = message["event"]
            if event == "gate":
                return int(message["step"])
            if event == "failed":
                raise client.error_of(message)
            if event == "started":
                self.pid = int(message["pid"])
                return None
        lost = client.MonitorLostError("the container's monitor was killed while it started it", hint="try again")
        lost.has_begun = self._has_begun
        raise lost

    def _receive(self) -> "dict[str, Any] | None":
        from toolkit.runtime import frames

        received = self.session.receive()
        if received is None:
            return None
        self._has_begun = True
        kind, content = received
        if kind == frames.TRACE:
            self.recorded.take(content)
            return {"event": "trace"}
        message: dict[str, Any] = document.decode(content)
        return message

    def born(self) -> int:
        """Return the host's number for the process that a step has just made, as whoever made it recorded it.

        The process itself may have stopped at its first step before its maker has told of it.
        """
        while True:
            found = [
                event.result for event in self.recorded.events if event.area == "namespace.clone" and event.result > 0
            ]
            if found or self._receive() is None:
                return found[-1] if found else 0

    def wait(self) -> None:
        """Wait until there is something for `advance` to read; an interrupt in here breaks nothing."""
        import select

        if not self.session.has_frame():
            poll = select.poll()
            poll.register(self.session.fileno(), select.POLLIN)
            poll.poll()

    def go(self) -> None:
        """Have the step done before which it waits."""
        self.session.control(op="go")

    def abort(self) -> None:
        """Have it given up; what it has made goes, and `advance` raises AbortedError."""
        self.session.control(op="abort")
