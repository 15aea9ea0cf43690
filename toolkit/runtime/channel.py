"""The sockets between the processes of one start: short JSON messages, one packet each.

To the monitor, from whoever carries out the plan:
    {"pid": 4711}             the container's first process has been made
    {"master": true}          with the terminal's master end as a descriptor
    {"exec": [...]}           execve comes next; the end of the stream says that it worked
    {"failed": {...}}         a step failed; see `failure`

Between the two actors of a plan that has steps for both:
    {"turn": 17}              the other may go on from step 17; with descriptors, see Context.handed

All ends are close-on-exec, so a successful execve closes them.
"""

import array
import errno
import json
import os
import socket
from typing import Any

from toolkit.core import errors

Message = dict[str, Any]

_MAX_PACKET = 64 * 1024
_MAX_FDS = 64


def send(channel: socket.socket, message: Message, fds: "tuple[int, ...]" = ()) -> None:
    """Send one message, and descriptors with it."""
    rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
    channel.sendmsg([json.dumps(message).encode()], rights)


def receive(channel: socket.socket) -> tuple[Message | None, list[int]]:
    """Wait for a message: it (None at the end of the stream) and the descriptors that came with it."""
    fds = array.array("i")
    try:
        data, ancillary, _flags, _address = channel.recvmsg(_MAX_PACKET, socket.CMSG_SPACE(_MAX_FDS * fds.itemsize))
    except ConnectionResetError:
        return None, []
    for level, kind, content in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            fds.frombytes(content[: len(content) - len(content) % fds.itemsize])
    for fd in fds:
        os.set_inheritable(fd, False)  # noqa: FBT003 - the standard library's own signature
    return (json.loads(data) if data else None), list(fds)


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
