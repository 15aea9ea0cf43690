"""The name server's first moments; started by `toolkit.network.dns.keeper`, with its socket as descriptor 3."""

import os
import sys

from toolkit.linux import process, sock

LISTENER_FD = 3


def main() -> None:
    """Be the name server."""
    path, database, running, code = sys.argv[1:5]
    listener = sock.adopt(LISTENER_FD, sock.SOCK_SEQPACKET)
    listener.setblocking(False)  # noqa: FBT003 - the standard library's own signature
    os.set_inheritable(LISTENER_FD, False)  # noqa: FBT003 - the standard library's own signature
    os.closerange(LISTENER_FD + 1, 1 << 16)
    process.set_name("dns")
    from toolkit.network.dns.server import Server

    Server(listener, path, database, running, code).serve()
