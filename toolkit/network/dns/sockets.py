"""The name server's sockets in a container's network namespace."""

import socket

from toolkit.linux import netdevice
from toolkit.network.dns import redirect
from toolkit.network.dns.servers import ADDRESS
from toolkit.network.inside import Inside

_BACKLOG = 64


def open_in(netns_fd: int) -> tuple[socket.socket, socket.socket]:
    """Make the two sockets in a namespace, for packets and for connections; both take what comes from now on.

    Raises:
        SyscallError: that is no network namespace, or may not be entered.
        OSError: EADDRINUSE if somebody there has the port.
    """
    with Inside(netns_fd):
        netdevice.bring_up("lo")  # before there is any address here, a socket takes one and does not answer from it
        packets = _bound(socket.SOCK_DGRAM)
        try:
            listener = _bound(socket.SOCK_STREAM)
        except BaseException:
            packets.close()
            raise
        try:
            listener.listen(_BACKLOG)
            redirect.lead_here()
        except BaseException:
            packets.close()
            listener.close()
            raise
    return packets, listener


def _bound(kind: int) -> socket.socket:
    made = socket.socket(socket.AF_INET, kind | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK)
    try:
        if kind == socket.SOCK_STREAM:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # connections to one before us may linger
        made.bind((ADDRESS, redirect.OWN_PORT))
    except BaseException:
        made.close()
        raise
    return made
