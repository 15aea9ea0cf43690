"""The network process's first moments: away from whoever started it, then what takes long to load.

Started by `toolkit.network.client`, with the listening socket as descriptor 3.
"""

import os
import resource
import sys

from toolkit.linux import inherited, process, resident, signals, sock


def main() -> None:
    """Be the network process."""
    path, database, running = sys.argv[1:4]
    listener = resident.inherited_listener(sock.SOCK_SEQPACKET)
    if os.fork():
        os._exit(0)  # whoever spawned us waits for this; the process itself is an orphan
    os.setsid()
    inherited.reset_limits()
    inherited.reset_scheduling()
    inherited.reset_memory()
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))  # each published port is a socket or two
    inherited.leave_cgroups(sys.argv[4:])
    os.chdir("/")
    signals.signal(signals.SIGINT, signals.SIG_IGN)
    process.set_name("network")
    from toolkit.network.server import Server

    Server(listener, path, database, running).serve()
