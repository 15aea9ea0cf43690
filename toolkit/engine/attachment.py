"""Being attached to a process of a container: its output comes out, its input goes in."""

import errno
import os

from toolkit.core import document
from toolkit.core.record import NamedTuple
from toolkit.linux import process
from toolkit.runtime import client, frames
from toolkit.trace.wire import Recorded

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any, Self

    from toolkit.runtime.steps import Step
    from toolkit.trace import Event

DETACHED = -1


class Output(NamedTuple):
    """A chunk of what a container wrote."""

    stream: str
    """"stdout" or "stderr"; a terminal has only the first."""
    data: bytes


class Attachment:
    """A live connection to a process of a container; close it to leave, the process goes on."""

    def __init__(
        self, session: client.Session, on_exit: "Callable[[int], None] | None" = None, *, pid: int = 0
    ) -> None:
        """Wrap `session`; call `on_exit` with the exit code once it is known; `pid` is an exec's, to `kill` it."""
        self._session = session
        self.on_exit = on_exit
        self.on_resize: Callable[[int, int], None] | None = None
        """Called with rows and columns after each `resize`."""
        self._pidfd = process.find_pidfd(pid) if pid else -1
        self.exit_code: int | None = None
        self.oom_killed = False
        self.recorded = Recorded()
        self.plan: tuple[Step, ...] = ()
        """The steps that made the container, where this attachment is from its start on."""

    @property
    def events(self) -> "list[Event]":
        """What the runtime recorded while it started the process, where that was asked for."""
        return self.recorded.events

    @property
    def is_exec(self) -> bool:
        """Whether this is one more process in a container, and not its first."""
        return self._pidfd >= 0

    def fileno(self) -> int:
        """Return the descriptor to poll; when it is readable, call `read`."""
        return self._session.fileno()

    def read(self) -> Output | None:
        """Wait for the next output; None at the end, when `exit_code` is set (or is DETACHED)."""
        while (received := self._session.receive()) is not None:
            kind, content = received
            if kind == frames.CONTROL:
                if self._take(document.decode(content)):
                    break
            elif kind == frames.TRACE:
                self.recorded.take(content)
            else:
                return Output("stderr" if kind == frames.STDERR else "stdout", content)
        self._end()
        return None

    def has_output(self) -> bool:
        """Tell whether `read` would return without waiting although nothing is there to poll."""
        return self._session.has_frame()

    def __iter__(self) -> "Iterator[Output]":
        """Yield all output until the end."""
        while (output := self.read()) is not None:
            yield output

    def write_stdin(self, data: bytes, *, wait: bool = True) -> bool:
        """Send bytes to the process's stdin.

        Args:
            data: what to send.
            wait: until all of it went.  Otherwise what does not go now is kept; nothing more should be sent before
                `flush` says that it went.  Whoever also reads this attachment must not wait: the process may be
                waiting for its output to be read.

        Returns:
            Whether all of it went.
        """
        if not wait:
            return self._session.offer(frames.STDIN, data)
        self._session.send(frames.STDIN, data)
        return True

    def close_stdin(self, *, wait: bool = True) -> bool:
        """End the process's stdin, after what was sent to it; its output goes on.  For `wait` see `write_stdin`."""
        return self._session.control(op="close-stdin", wait=wait)

    def resize(self, rows: int, columns: int, *, wait: bool = True) -> bool:
        """Tell the process's terminal its size in characters.  For `wait` see `write_stdin`."""
        all_went = self._session.control(op="resize", rows=rows, columns=columns, wait=wait)
        if self.on_resize is not None:
            self.on_resize(rows, columns)
        return all_went

    def hold(self, *, on: bool = True) -> None:
        """Have the terminal hung up when this connection is gone, however that happens; `on` false: no longer.

        Then the processes in its foreground get SIGHUP, and the process itself is killed if it goes on for two seconds
        more.  Docker's own client never asks for that: its containers go on.
        """
        self._session.control(op="hold", on=on, wait=False)

    def hang_up(self) -> None:
        """Close the process's terminal as `hold` says; its exit code comes as always."""
        self._session.control(op="hang-up", wait=False)

    def flush(self) -> bool:
        """Send more of what did not go; tell whether nothing is left.  Poll `fileno` for room (POLLOUT)."""
        return self._session.flush()

    def kill(self, number: int) -> None:
        """Send a signal to the process of an exec; one that has ended gets none."""
        if self._pidfd >= 0 and self.exit_code is None:
            try:
                process.pidfd_send_signal(self._pidfd, number)
            except OSError as exc:
                if exc.errno != errno.ESRCH:
                    raise

    def close(self) -> None:
        """Leave; the process goes on."""
        self._session.close()
        if self._pidfd >= 0:
            os.close(self._pidfd)
            self._pidfd = -1

    def __enter__(self) -> "Self":
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()

    def _take(self, message: "dict[str, Any]") -> bool:
        if message["event"] != "exited":
            return False
        self.exit_code = message["code"]
        self.oom_killed = message["oom_killed"]
        return True

    def _end(self) -> None:
        if self.exit_code is None:
            self.exit_code = DETACHED
        if self.on_exit is not None:
            callback, self.on_exit = self.on_exit, None
            callback(self.exit_code)
