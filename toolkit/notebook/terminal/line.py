"""The line between a container's terminal and those who look at it: one thread, which reads and writes everything.

Everybody else leaves an order and wakes it, so no key press waits for the
kernel's main thread.  What comes is kept in a scrollback and sent to the views
in batches, one for a frame of a screen; the first after a pause goes at once,
so that an echo is not held up.

Invariant: no more is read than the views have room for (views.py), and where
nobody looks only UNWATCHED_BYTES_PER_S: the container's terminal is full then,
and its program waits, as before a slow printer.  `yes` costs no memory.
"""

import os
import select
import threading
import time
from collections import deque

from toolkit.cli.detach import KeyWatcher
from toolkit.notebook.terminal.scrollback import Scrollback
from toolkit.notebook.terminal.views import Size, Views

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Protocol

    from toolkit.engine import Attachment

    class Listener(Protocol):
        """Who passes on what the line has to say; called from its thread."""

        def send_output(self, end: int, data: bytes) -> None:
            """Show bytes to all views; `end` is the number of bytes so far, these included."""

        def send_replay(self, view: str, end: int, data: bytes) -> None:
            """Give a new view what draws its screen."""

        def send_heard(self, view: str, number: int) -> None:
            """Tell a view that what it has typed went to the container."""

        def ask_again(self, view: str) -> None:
            """Ask a view that was forgotten to join again."""

        def show_size(self, size: Size) -> None:
            """Show the screen in this size."""

        def end(self, how: str, exit_code: int | None) -> None:
            """Nothing comes any more: the process "ended", the user "detached", or the monitor is "lost"."""


BATCH_S = 0.016
UNWATCHED_BYTES_PER_S = 1024 * 1024
_READABLE = select.POLLIN | select.POLLHUP | select.POLLERR
_LOOK_S = 1.0
_UNWATCHED_BYTES = 64 * 1024
"""Read at once, before a pause."""


class Line:
    """One terminal, from its start to its end."""

    def __init__(self, attachment: "Attachment", keys: bytes, listener: "Listener", size: Size) -> None:
        """Begin to carry.

        Args:
            attachment: to the process; the line's own from now on.
            keys: with which the user leaves it.
            listener: is told everything.
            size: of the screen until somebody looks.
        """
        self._attachment = attachment
        self._watcher = KeyWatcher(keys)
        self._listener = listener
        self._size = size
        self._views = Views()
        self._lock = threading.Lock()
        self._late = threading.Lock()
        self._scrollback = Scrollback()
        self._sent = 0
        self._batch = bytearray()
        self._batch_s = 0.0
        self._resume_s = 0.0
        self._unwatched = 0
        self._orders: deque[Callable[[], None]] = deque()
        self._wake_fd = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._is_full = False
        self._how = ""
        self.changed = threading.Condition()
        """Notified when something was read, and at the end."""
        self.is_over = False
        self._thread = threading.Thread(target=self._run, name="terminal", daemon=True)
        self._thread.start()

    # Orders, from any thread

    def join(self, view: str, size: Size) -> None:
        """Begin to show everything to a new view, from the screen as it is."""
        self._order(lambda: self._join(view, size))

    def leave(self, view: str) -> None:
        """Forget a view."""
        self._order(lambda: self._leave(view))

    def drawn(self, view: str, end: int) -> None:
        """Note that a view has drawn all up to byte `end`."""
        self._order(lambda: self._note_drawn(view, end))

    def resize(self, view: str, size: Size) -> None:
        """Note how much room a view has; the screen becomes as large as fits into all."""
        self._order(lambda: self._resize(view, size))

    def type(self, data: bytes, view: str = "", number: int = 0) -> None:
        """Send what was typed; the detach keys among it leave the process."""
        self._order(lambda: self._type(data, view, number))

    def hang_up(self) -> None:
        """Close the terminal of the process: it ends."""
        self._order(self._attachment.hang_up)

    def detach(self) -> None:
        """Leave the process alone."""
        self._order(self._detach)

    def replay(self) -> bytes:
        """Return what draws the screen as it is."""
        with self._lock:
            return self._scrollback.replay()

    @property
    def size(self) -> Size:
        """Of the screen."""
        return self._size

    @property
    def views(self) -> int:
        """How many look."""
        return len(self._views)

    def _order(self, deed: "Callable[[], None]") -> None:
        with self._lock:
            if self._wake_fd >= 0:
                self._orders.append(deed)
                os.eventfd_write(self._wake_fd, 1)
                return
        with self._late:  # the thread has ended; views come and go after the end, too, and see the last screen
            deed()

    # The thread

    def _run(self) -> None:
        try:
            while not self._how:
                self._step()
        except BaseException:
            self._how = "lost"
            raise
        finally:
            try:
                self._flush()
                self._attachment.close()
                self._listener.end(self._how, self._attachment.exit_code if self._how == "ended" else None)
            finally:  # whatever becomes of the last picture: who waits for the end must see it
                with self.changed:
                    self.is_over = True
                    self.changed.notify_all()
                with self._late:
                    self._retire()

    def _retire(self) -> None:
        with self._lock:
            os.close(self._wake_fd)
            self._wake_fd = -1
        while self._orders:
            self._orders.popleft()()

    def _step(self) -> None:
        poll = select.poll()
        poll.register(self._wake_fd, select.POLLIN)
        wanted = (select.POLLIN if self._may_read() else 0) | (select.POLLOUT if self._is_full else 0)
        if wanted:
            poll.register(self._attachment.fileno(), wanted)
        events = dict(poll.poll(self._patience_ms()))
        at_attachment = events.get(self._attachment.fileno(), 0)
        if at_attachment & select.POLLOUT and self._attachment.flush():
            self._is_full = False
        if self._may_read() and (at_attachment & _READABLE or self._attachment.has_output()):
            self._read()
        self._obey()
        if self._batch and time.monotonic() >= self._batch_s:
            self._flush()
        self._forget_silent()

    def _may_read(self) -> bool:
        if len(self._views) == 0:
            return time.monotonic() >= self._resume_s
        return self._views.room(self._sent) > 0

    def _patience_ms(self) -> float:
        now_s = time.monotonic()
        if self._may_read() and self._attachment.has_output():
            return 0
        due_s = [now_s + _LOOK_S]
        if self._batch:
            due_s.append(self._batch_s)
        if len(self._views) == 0 and self._resume_s > now_s:
            due_s.append(self._resume_s)
        return max(0.0, min(due_s) - now_s) * 1000

    def _read(self) -> None:
        output = self._attachment.read()
        if output is None:
            code = self._attachment.exit_code
            self._how = "ended" if code is not None and code >= 0 else "lost"
            return
        data = output.data
        with self._lock:
            self._scrollback.feed(data)
        self._sent += len(data)
        now_s = time.monotonic()
        if len(self._views):
            self._batch += data
            self._views.send(self._sent, now_s)
        else:
            self._unwatched += len(data)
            if self._unwatched >= _UNWATCHED_BYTES:
                self._resume_s = now_s + self._unwatched / UNWATCHED_BYTES_PER_S
                self._unwatched = 0
        with self.changed:
            self.changed.notify_all()

    def _flush(self) -> None:
        if self._batch:
            data = bytes(self._batch)
            self._batch.clear()
            self._listener.send_output(self._sent, data)
            self._batch_s = time.monotonic() + BATCH_S

    def _forget_silent(self) -> None:
        if self._views.forget_silent(time.monotonic()):
            self._fit()

    def _obey(self) -> None:
        try:
            os.eventfd_read(self._wake_fd)
        except BlockingIOError:
            return
        while self._orders:
            self._orders.popleft()()

    # What orders do

    def _join(self, view: str, size: Size) -> None:
        self._flush()
        self._views.join(view, self._sent, size)
        with self._lock:
            data, is_other = self._scrollback.replay(), self._scrollback.is_other_screen
        self._listener.send_replay(view, self._sent, data)
        before = self._size
        self._fit()
        if is_other and self._size == before and not self.is_over:
            self._redraw()

    def _redraw(self) -> None:
        """Have a full-screen program draw itself anew: another size, then the right one, as docker's attach does."""
        rows, columns = self._size
        self._offer_size(Size(rows, columns + 1))
        self._offer_size(Size(rows, columns))

    def _leave(self, view: str) -> None:
        self._views.leave(view)
        self._fit()

    def _note_drawn(self, view: str, end: int) -> None:
        if not self._views.draw(view, end, self._sent, time.monotonic()):
            self._listener.ask_again(view)

    def _resize(self, view: str, size: Size) -> None:
        self._views.resize(view, size)
        self._fit()

    def _fit(self) -> None:
        size = self._views.size()
        if size is None or size == self._size or self.is_over:
            return
        self._size = size
        self._offer_size(size)
        self._listener.show_size(size)

    def _offer_size(self, size: Size) -> None:
        self._is_full = not self._attachment.resize(size.rows, size.columns, wait=False) or self._is_full

    def _type(self, data: bytes, view: str, number: int) -> None:
        if self.is_over:
            return
        data, is_detached = self._watcher.feed(data)
        if data:
            self._is_full = not self._attachment.write_stdin(data, wait=False) or self._is_full
        if view:
            self._listener.send_heard(view, number)
        if is_detached:
            self._detach()

    def _detach(self) -> None:
        if not self.is_over:
            self._attachment.hold(on=False)
            self._how = "detached"
