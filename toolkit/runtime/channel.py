"""The socket between a monitor and its container's init: short JSON messages, one packet each.

    {"turn": 17}              the other may go on from step 17
    {"master": true}          with the terminal's master end as a descriptor
    {"gate": 17}              init waits before step 17;  answer {"go": true}
    {"events": [...]}         what the recorder in init saw
    {"exec": [...]}           execve comes next; the end of the stream says that it worked
    {"failed": {...}}         a step failed; see `failure`

The packets are close-on-exec, so a successful execve closes the channel.
"""

import array
import errno
import json
import os
import socket
from typing import Any

from toolkit.core import errors

Message = dict[str, Any]

_MAX_PACKET = 200_000
_EVENTS_PER_PACKET = 100


def send(channel: socket.socket, message: Message) -> None:
    """Send one message."""
    channel.send(json.dumps(message).encode())


def send_events(channel: socket.socket, events: list[list[Any]]) -> None:
    """Send recorded events, as many packets as they need."""
    for first in range(0, len(events), _EVENTS_PER_PACKET):
        send(channel, {"events": events[first : first + _EVENTS_PER_PACKET]})


def send_master(channel: socket.socket, master_fd: int) -> None:
    """Hand the master end of a terminal to the monitor."""
    rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [master_fd]))]
    channel.sendmsg([b'{"master": true}'], rights)


def receive(channel: socket.socket) -> tuple[Message | None, int]:
    """Wait for a message: it (None at the end of the stream) and a descriptor that came with it, or -1."""
    fds = array.array("i")
    try:
        data, ancillary, _flags, _address = channel.recvmsg(_MAX_PACKET, socket.CMSG_SPACE(fds.itemsize))
    except ConnectionResetError:
        return None, -1
    for level, kind, content in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            fds.frombytes(content[: len(content) - len(content) % fds.itemsize])
    for fd in fds:
        os.set_inheritable(fd, False)  # noqa: FBT003 - the standard library's own signature
    return (json.loads(data) if data else None), (fds[0] if fds else -1)


def failure(exc: BaseException, step_index: int) -> Message:
    """Return an error as a message: enough to raise the same one in another process."""
    message: Message = {"step": step_index, "kind": type(exc).__name__, "message": str(exc)}
    if isinstance(exc, errors.EngineError):
        message |= {"message": exc.message, "hint": exc.hint}
    if isinstance(exc, errors.SyscallError):
        message |= {"call": exc.call, "errno": exc.errno}
    elif isinstance(exc, OSError):
        message |= {"errno": exc.errno or errno.EIO}
    return message


def error_of(message: Message) -> errors.EngineError:
    """Return the error that `failure` described."""
    kind = getattr(errors, message["kind"], None)
    hint = message.get("hint", "")
    if kind is errors.SyscallError:
        return errors.SyscallError(message["call"], message["errno"], hint=hint)
    if isinstance(kind, type) and issubclass(kind, errors.EngineError):
        return kind(message["message"], hint=hint)
    return errors.StartError(f"{message['kind']}: {message['message']}", hint=hint)
