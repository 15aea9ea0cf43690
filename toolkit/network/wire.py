"""What is said between the network process and those who ask it: one packet each way, JSON with descriptors.

    {"op": "hello"}                                     can networks be made here?
    {"op": "create", "network": ID}                     have its bridge and its rules be there
    {"op": "remove", "network": {...}}                  of one that is not in the state any more
    {"op": "connect", "network": ID, "owner": ID}       with the descriptor of the owner's namespace
    {"op": "disconnect", "network": ID, "owner": ID, "gateways": [...]}   with that descriptor, if there is one
    {"op": "publish", "network": ID, "owner": ID, "gone": [...], "new": [...]}   bindings of ports

Each may have "trace": true, for the events of what was done.  An answer is
{"ok": ..., "events": [...]} or {"failed": {"kind", "message", "hint"}, ...}.
"""

from typing import Any

from toolkit.core import document, errors
from toolkit.linux import sock

Message = dict[str, Any]
MAX_PACKET = 128 * 1024
LOG = "network.log"
LOCK = "network.lock"


def failure(exc: BaseException) -> Message:
    """Return an error as a message."""
    if isinstance(exc, errors.SyscallError):
        return {"kind": "SyscallError", "message": exc.message, "hint": exc.hint, "call": exc.call, "errno": exc.errno}
    if isinstance(exc, errors.EngineError):
        return {"kind": type(exc).__name__, "message": exc.message, "hint": exc.hint}
    return {"kind": "EngineError", "message": f"{type(exc).__name__}: {exc}", "hint": "see network.log"}


def error_of(message: Message) -> errors.EngineError:
    """Return the error that `failure` described."""
    kind = getattr(errors, message["kind"], None)
    if kind is errors.SyscallError:
        return errors.SyscallError(message["call"], message["errno"], hint=message["hint"])
    if isinstance(kind, type) and issubclass(kind, errors.EngineError):
        return kind(message["message"], hint=message.get("hint", ""))
    return errors.EngineError(message["message"], hint=message.get("hint", ""))


def send(connection: sock.Socket, message: Message, fds: tuple[int, ...] = ()) -> None:
    """Send one message, and descriptors with it."""
    sock.send(connection, [document.encode(message)], fds)


def receive(connection: sock.Socket) -> tuple[Message | None, list[int]]:
    """Wait for a message; return it (None at the end) and the descriptors that came with it."""
    try:
        data, fds = sock.receive(connection, MAX_PACKET, 1)
    except ConnectionResetError:
        return None, []
    return (document.decode(data) if data else None), fds
