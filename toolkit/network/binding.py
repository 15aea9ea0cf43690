"""A published port, in a file of its own: lists of containers need no more of networks than this."""

from toolkit.core.record import NamedTuple


class PortBinding(NamedTuple):
    """A port that is published."""

    container_port: int
    protocol: str = "tcp"
    """ "tcp", "udp" or "sctp"."""
    host_ip: str = ""
    """Empty: every address of this machine, of both families."""
    host_port: int = 0
    """0: any that is free."""
    last_host_port: int = 0
    """The end of a range of which any that is free is taken; 0: just `host_port`."""
