"""The name server's first moments; started by `toolkit.network.dns.keeper`, with its socket as descriptor 3."""

import sys

from toolkit.linux import process, resident, sock


def main() -> None:
    """Be the name server."""
    path, database, running, code = sys.argv[1:5]
    listener = resident.inherited_listener(sock.SOCK_SEQPACKET)
    process.set_name("dns")
    from toolkit.network.dns.server import Server

    Server(listener, path, database, running, code).serve()
