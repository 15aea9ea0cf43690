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

import errno

from toolkit.core import document, errors
from toolkit.linux import sock

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

Message = dict[str, "Any"]

_MAX_PACKET = 64 * 1024
_MAX_FDS = 64


def send(channel: sock.Socket, message: Message, fds: "tuple[int, ...]" = ()) -> None:
    """Send one message, and descriptors with it."""
    sock.send(channel, [document.encode(message)], fds)


def receive(channel: sock.Socket) -> tuple[Message | None, list[int]]:
    """Wait for a message: it (None at the end of the stream) and the descriptors that came with it."""
    try:
        data, fds = sock.receive(channel, _MAX_PACKET, _MAX_FDS)
    except ConnectionResetError:
        return None, []
    return (document.decode(data) if data else None), fds


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
