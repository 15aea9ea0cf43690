"""What the guest's command reads: from a descriptor or a text, at the pace at which the guest takes it."""

import os
import socket

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import BinaryIO

_CHUNK = 64 * 1024


class Feeder:
    """The way of one input into the machine; its two descriptors are polled by whoever has the loop."""

    def __init__(self, line: socket.socket, stdin: "BinaryIO | None", *, is_terminal: bool) -> None:
        """Begin to feed `line` from `stdin`.

        Args:
            line: our end of the socket to the guest.
            stdin: polled where it has a descriptor, taken as a whole where not; None: the input is empty.
            is_terminal: the end of the input is not told, since a terminal has none.
        """
        self._line = line
        self._is_terminal = is_terminal
        self._pending = b""
        self.has_read = stdin is not None and _descriptor(stdin) is None
        """Whether some of the input is gone: then nobody else can be fed with it."""
        line.setblocking(False)  # noqa: FBT003 - the standard library's own signature
        self._source = None if stdin is None else _descriptor(stdin)
        if stdin is not None and self._source is None:
            self._pending = stdin.read()
        self._finish()

    @property
    def source(self) -> int | None:
        """The descriptor to read from now; None while the guest has not taken what was read, or at the end."""
        return None if self._pending else self._source

    @property
    def is_full(self) -> bool:
        """Whether something waits to be sent."""
        return bool(self._pending)

    def read(self) -> None:
        """Read what is there."""
        assert self._source is not None
        self.has_read = True
        try:
            self._pending = os.read(self._source, _CHUNK)
        except BlockingIOError:  # somebody else who has it open was quicker
            return
        except OSError:  # EIO: the terminal is gone
            self._pending = b""
        if not self._pending:
            self._source = None
        self._finish()

    def send(self) -> None:
        """Send what the guest has room for."""
        try:
            self._pending = self._pending[self._line.send(self._pending) :]
        except BlockingIOError:
            return
        except (BrokenPipeError, ConnectionResetError):  # the machine is off
            self._pending, self._source = b"", None
        self._finish()

    def _finish(self) -> None:
        """Tell the guest of the end: half of the socket is shut, and qemu takes what is in it before it says so."""
        if self._pending or self._source is not None or self._is_terminal:
            return
        try:
            self._line.shutdown(socket.SHUT_WR)
        except OSError:  # ENOTCONN: the machine is off
            return


def _descriptor(stream: "BinaryIO") -> int | None:
    try:
        return stream.fileno()
    except (OSError, AttributeError):  # io.UnsupportedOperation is an OSError
        return None
