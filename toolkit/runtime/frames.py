"""The stream between a monitor and whoever is attached: docker's multiplexed frames.

Each frame is 8 bytes, [kind, 0, 0, 0, length as big-endian u32], and then the
content.  Kinds 0 to 2 are docker's stdin, stdout and stderr, so an API server
can pass them on unchanged; kind 4 is ours, a JSON object, and kind 7 is what was recorded, see `trace`.

From the client to a zygote: a request (kind 5) and a plan (kind 6), whose beginning may come before (kind 8); then
    {"op": "resize", "rows": 24, "columns": 80}, {"op": "close-stdin"},
    {"op": "go"}, {"op": "abort"}         answers to a gate
    {"op": "attach", "stdin": true, ...}  on a monitor's own socket
    {"op": "hold", "on": true}            the terminal is hung up when this connection is gone
    {"op": "hang-up"}                     now

From the monitor:
    {"event": "gate", "step": 17}         waits before a step
    {"event": "started", "pid": 4711, ...}
    {"event": "attached"}                 the answer to "attach": no output is missed from here on
    {"event": "failed", ...}              see channel.failure
    {"event": "exited", "code": 0, ...}   the last frame

See Also:
    Docker Engine API, "Attach to a container", Stream format
"""

import struct
from _socket import MSG_WAITALL

from toolkit.core import document
from toolkit.trace import wire

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from toolkit.linux.sock import Socket
    from toolkit.trace import Event

STDIN = 0
STDOUT = 1
STDERR = 2
CONTROL = 4
REQUEST = 5
PLAN = 6
TRACE = 7
PLAN_BEGINNING = 8
HEADER = struct.Struct(">BxxxL")
MAX_CONTENT = 64 * 1024 * 1024


def frame(kind: int, content: bytes) -> bytes:
    """Return one frame."""
    return HEADER.pack(kind, len(content)) + content


def control(message: "dict[str, Any]") -> bytes:
    """Return a frame of kind CONTROL."""
    return frame(CONTROL, document.encode(message))


def parse_control(content: bytes) -> "dict[str, Any]":
    """Return the message in a frame of kind CONTROL.

    Raises:
        ValueError: it is not a JSON object.
    """
    message = document.decode(content)
    if not isinstance(message, dict):
        raise ValueError("a control message is a JSON object")  # noqa: TRY004 - its content is wrong, as bad JSON is
    return message


def trace(events: "list[Event]") -> bytes:
    """Return a frame of kind TRACE: recorded calls."""
    return frame(TRACE, wire.encode(events))


def send_events(sock: "Socket", events: "list[Event]") -> None:
    """Send recorded calls, as `tell` does."""
    _send(sock, trace(events))


def tell(sock: "Socket", message: "dict[str, Any]") -> None:
    """Send a control message on a blocking socket; one who is gone need not be told."""
    _send(sock, control(message))


def _send(sock: "Socket", data: bytes) -> None:
    try:
        sock.sendall(data)
    except (BrokenPipeError, ConnectionResetError):
        pass  # whoever asked has left; what was asked is done all the same


def read_exactly_one(sock: "Socket") -> tuple[int, bytes] | None:
    """Wait for one frame and take not a byte more, so that another process can read the next; None at the end."""
    head = _read_exactly(sock, HEADER.size)
    return None if head is None else rest_of_frame(sock, head)


def rest_of_frame(sock: "Socket", head: bytes) -> tuple[int, bytes] | None:
    """Wait for the content of a frame whose header, or the beginning of it, has been read already."""
    missing = _read_exactly(sock, HEADER.size - len(head)) if head and len(head) < HEADER.size else b""
    if not head or missing is None:
        return None
    head += missing
    kind, length = HEADER.unpack(head)
    if length > MAX_CONTENT:
        return None
    content = _read_exactly(sock, length)
    return None if content is None else (kind, content)


def _read_exactly(sock: "Socket", count: int) -> bytes | None:
    parts: list[bytes] = []
    while count:
        try:
            data = sock.recv(count, MSG_WAITALL)
        except ConnectionResetError:
            return None
        if not data:
            return None
        parts.append(data)
        count -= len(data)
    return b"".join(parts)


def operation_of(received: tuple[int, bytes]) -> str:
    """Return the "op" of a control frame, "" of any other."""
    if received[0] != CONTROL:
        return ""
    return str(parse_control(received[1]).get("op", ""))


class FrameReader:
    """Takes bytes as they come and gives whole frames; no I/O in it."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> None:
        """Add bytes that have come in."""
        self._buffer += data

    def pop(self) -> tuple[int, bytes] | None:
        """Take the next whole frame, as (kind, content), or None while there is none."""
        if not self.has_frame():
            return None
        kind, length = HEADER.unpack_from(self._buffer)
        end = HEADER.size + length
        content = bytes(self._buffer[HEADER.size : end])
        del self._buffer[:end]
        return kind, content

    def has_frame(self) -> bool:
        """Tell whether `pop` would return a frame.

        Raises:
            ValueError: a frame claims more than MAX_CONTENT.
        """
        if len(self._buffer) < HEADER.size:
            return False
        length: int = HEADER.unpack_from(self._buffer)[1]
        if length > MAX_CONTENT:
            raise ValueError(f"a frame of {length} bytes")
        return len(self._buffer) >= HEADER.size + length
