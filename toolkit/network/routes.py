"""Where this machine sends packets already: read from /proc, for those who choose a subnet and speak no netlink."""

import os

from toolkit.network.subnet import Subnet


def routes() -> list[Subnet]:
    """Return where this machine sends packets, but for its ways to everywhere and to itself."""
    return [*_routes4(), *_routes6()]


def _routes4() -> list[Subnet]:
    found: list[Subnet] = []
    with open("/proc/net/route") as file:
        next(file, None)
        for line in file:
            fields = line.split()
            base, mask = (int.from_bytes(bytes.fromhex(fields[column]), "little") for column in (1, 7))
            if mask:
                found.append(Subnet(4, base, mask.bit_count()))
    return found


def _routes6() -> list[Subnet]:
    if not os.path.exists("/proc/net/ipv6_route"):
        return []
    found: list[Subnet] = []
    with open("/proc/net/ipv6_route") as file:
        for line in file:
            fields = line.split()
            base, prefix = int(fields[0], 16), int(fields[1], 16)
            if 0 < prefix < 128 and base >> 118 not in (0x3FA, 0x3FB) and base >> 120 != 0xFF:  # fe80::/10, ff00::/8
                found.append(Subnet(6, base, prefix))
    return found
