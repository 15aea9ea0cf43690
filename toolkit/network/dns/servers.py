"""Where name servers are: ours in a container, and this machine's, as they are at this moment."""

import os

from toolkit.core.errors import InvalidError
from toolkit.network.subnet import parse_address

ADDRESS = "127.0.0.11"
"""Of ours, in a container; docker's."""
RESOLV_CONF = "/etc/resolv.conf"
PUBLIC = ("8.8.8.8", "8.8.4.4")
"""Docker's, for a machine that names none."""

_read: tuple[tuple[int, int, int], tuple[str, ...]] = ((0, 0, 0), PUBLIC)


def of_machine() -> tuple[str, ...]:
    """Return the addresses of the servers that this machine asks; a laptop that moves takes its containers along."""
    global _read
    try:
        found = os.stat(RESOLV_CONF)
        stamp = (found.st_ino, found.st_mtime_ns, found.st_size)
        if stamp != _read[0]:
            with open(RESOLV_CONF, errors="replace") as file:
                _read = (stamp, parse(file.read()) or PUBLIC)
    except FileNotFoundError:
        return PUBLIC
    return _read[1]


def parse(text: str) -> tuple[str, ...]:
    """Return the servers that the text of a resolv.conf names."""
    lines = [line.split() for line in text.splitlines()]
    named = [words[1] for words in lines if len(words) > 1 and words[0] == "nameserver"]
    return tuple(address for address in named if _is_address(address))


def _is_address(text: str) -> bool:
    try:
        parse_address(text)
    except InvalidError:  # fe80::1%eth0: of a link that a container does not have
        return False
    return True


def is_loopback(server: str) -> bool:
    """Tell whether an address is one of this machine to itself."""
    return server.startswith("127.") or server == "::1"
