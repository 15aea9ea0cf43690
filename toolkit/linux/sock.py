"""Sockets of the kind that the engine's processes talk through, without the module `socket`.

That one makes enums of all numbers, and objects in Python that wrap those of
C: 0.4 MB, and 100 KB more in each monitor that touches it.  Here are the
objects of C themselves.  They are close-on-exec, too.
"""

import os
import struct
from _socket import (
    AF_INET,
    AF_UNIX,
    CMSG_SPACE,
    MSG_CMSG_CLOEXEC,
    MSG_DONTWAIT,
    MSG_PEEK,
    SCM_RIGHTS,
    SOCK_DGRAM,
    SOCK_SEQPACKET,
    SOCK_STREAM,
    SOL_SOCKET,
    socketpair,
)
from _socket import socket as Socket  # noqa: N812 - the class under the standard library's own

__all__ = [
    "MSG_DONTWAIT",
    "SOCK_SEQPACKET",
    "SOCK_STREAM",
    "Socket",
    "accept",
    "adopt",
    "connect_in",
    "for_ioctl",
    "has_ended",
    "listen_at",
    "pair",
    "receive",
    "send",
    "unix",
]

_FD_BYTES = 4
_accept = vars(Socket)["_accept"]  # what the library's own method calls; no stub names it


def pair(kind: int) -> tuple[Socket, Socket]:
    """Return two connected unix sockets."""
    return socketpair(AF_UNIX, kind)


def unix(kind: int = SOCK_STREAM) -> Socket:
    """Return a new unix socket."""
    return Socket(AF_UNIX, kind)


def adopt(fd: int, kind: int = SOCK_STREAM) -> Socket:
    """Return the object for a unix socket that is open already; it owns the descriptor from here on."""
    return Socket(AF_UNIX, kind, 0, fd)


def accept(listener: Socket, kind: int = SOCK_STREAM) -> Socket:
    """Return the next connection.

    Raises:
        BlockingIOError: the listener does not block, and nobody has connected.
        OSError: EMFILE, ENFILE, ENOBUFS, ENOMEM: no room for it; ECONNABORTED: whoever connected has left.
    """
    return adopt(_accept(listener)[0], kind)


def connect_in(connection: Socket, directory: str, name: str) -> None:
    """Connect to the socket `name` in a directory, whose path may be too long for an address; close it if that fails.

    Raises:
        OSError: ENOENT or ECONNREFUSED if nobody listens there.
    """
    fd = -1
    try:
        fd = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        connection.connect(f"/proc/self/fd/{fd}/{name}")
    except OSError:
        connection.close()
        raise
    finally:
        if fd >= 0:
            os.close(fd)


def listen_at(path: str, backlog: int, kind: int = SOCK_STREAM) -> Socket:
    """Make a unix socket appear at `path`, and listen.

    Raises:
        OSError: EADDRINUSE if something is there.
    """
    listener = unix(kind)
    try:
        listener.bind(path)
        listener.listen(backlog)
    except OSError:
        listener.close()
        raise
    return listener


def for_ioctl() -> Socket:
    """Return a socket of no use but to ask the kernel about network devices; see netdevice(7)."""
    return Socket(AF_INET, SOCK_DGRAM)


def send(sock: Socket, parts: "list[bytes]", fds: "tuple[int, ...]" = ()) -> int:
    """Send one message, and descriptors with it; return how many bytes have gone, in a stream perhaps not all."""
    return sock.sendmsg(parts, [(SOL_SOCKET, SCM_RIGHTS, struct.pack(f"{len(fds)}i", *fds))] if fds else [])


def receive(sock: Socket, max_bytes: int, max_fds: int) -> tuple[bytes, list[int]]:
    """Wait for a message; return it, and the descriptors that came with it.

    Descriptors beyond `max_fds` are closed by the kernel.
    """
    data, ancillary, _flags, _address = sock.recvmsg(max_bytes, CMSG_SPACE(max_fds * _FD_BYTES), MSG_CMSG_CLOEXEC)
    fds: list[int] = []
    for level, kind, content in ancillary:
        if level == SOL_SOCKET and kind == SCM_RIGHTS:
            fds += memoryview(content[: len(content) - len(content) % _FD_BYTES]).cast("i")
    return data, fds


def has_ended(connection: Socket, *, waits: bool = False) -> bool:
    """Tell whether the other end of a connection is closed, and nothing of it is left to read; wait for either."""
    try:
        return not connection.recv(1, MSG_PEEK if waits else MSG_PEEK | MSG_DONTWAIT)
    except BlockingIOError:
        return False
