"""Two things that ioctl tells or does about a network namespace: loopback up, and which one a socket is in."""

import fcntl
import struct

from toolkit.linux import sock
from toolkit.trace import span

SIOCGIFFLAGS = 0x8913
SIOCSIFFLAGS = 0x8914
SIOCGSKNS = 0x894C
IFF_UP = 0x1


def bring_up(name: str) -> None:
    """Set a network device of this network namespace up.

    Raises:
        SyscallError: ENODEV if there is none of that name, EPERM without CAP_NET_ADMIN.

    See Also:
        netdevice(7)
    """
    asker = sock.for_ioctl()
    try:
        request = struct.pack("16sH14x", name.encode(), 0)
        with span("net.flags", f'ioctl({asker.fileno()}, SIOCGIFFLAGS, {{ifr_name="{name}"}})'):
            flags = struct.unpack("16xH14x", fcntl.ioctl(asker.fileno(), SIOCGIFFLAGS, request))[0] | IFF_UP
        request = struct.pack("16sH14x", name.encode(), flags)
        with span("net.flags", f'ioctl({asker.fileno()}, SIOCSIFFLAGS, {{ifr_name="{name}", ifr_flags=IFF_UP}})'):
            fcntl.ioctl(asker.fileno(), SIOCSIFFLAGS, request)
    finally:
        asker.close()


def namespace_of(socket_fd: int) -> int:
    """Return a descriptor of the network namespace that a socket was made in.

    Raises:
        SyscallError: EPERM without CAP_NET_ADMIN there.

    See Also:
        include/uapi/linux/sockios.h; since Linux 4.9
    """
    with span("net.namespace", f"ioctl({socket_fd}, SIOCGSKNS)") as here:
        return here.returns(fcntl.ioctl(socket_fd, SIOCGSKNS))
