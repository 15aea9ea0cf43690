"""Messages to the kernel about links, addresses and routes: pyroute2's classes, and a socket.

pyroute2's own clients run an event loop for each call and open five sockets;
its classes of messages are what is worth having.  Every message leaves an
event, and what the kernel refuses is an error with the message in it.

See Also:
    netlink(7), rtnetlink(7); include/uapi/linux/{rtnetlink,if_link,if_addr}.h
"""

import errno
import os
import socket
import struct
from typing import Any, NamedTuple

from pyroute2.netlink.rtnl.ifaddrmsg import ifaddrmsg
from pyroute2.netlink.rtnl.ifinfmsg import ifinfmsg
from pyroute2.netlink.rtnl.rtmsg import rtmsg

from toolkit.core.errors import SyscallError
from toolkit.network.inside import Inside
from toolkit.trace import span

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Self

    from toolkit.network.subnet import Address

NEWLINK, _DELLINK, _GETLINK, _NEWADDR, _NEWROUTE, _DELROUTE = 16, 17, 18, 20, 24, 25
_REQUEST, _ACK, _DUMP = 0x1, 0x4, 0x300
EXCL, CREATE = 0x200, 0x400
_ERROR, _DONE = 2, 3
IFF_UP = 0x1
_IFA_F_NODAD = 0x02
_RT_TABLE_MAIN, _RTPROT_BOOT, _RT_SCOPE_UNIVERSE, _RTN_UNICAST = 254, 3, 0, 1
_HEADER = struct.Struct("=IHHII")
_MOST = 256 * 1024
_HINTS = {
    errno.EPERM: "run as root: links need CAP_NET_ADMIN",
    errno.EOPNOTSUPP: "load the kernel's module: modprobe bridge veth",
    errno.EEXIST: "there is one of this name already",
}
Attributes = list[tuple[str, Any]]


class Message(NamedTuple):
    """One message, encoded."""

    call: str
    """As strace prints it, in short."""
    kind: int
    flags: int
    body: bytes
    ignores: tuple[int, ...] = ()
    """Errnos that are no failure of it."""


class Link(NamedTuple):
    """What is known of a link."""

    number: int
    """The kernel's index of it."""
    name: str
    kind: str
    """ "bridge", "veth", ...; empty for a device."""
    mac: str
    alias: str
    master: int
    flags: int


class Route:
    """A socket of rtnetlink in one network namespace."""

    def __init__(self, netns_fd: int = -1) -> None:
        """Open it in the namespace behind `netns_fd`; in our own without one.

        Raises:
            SyscallError: that is no network namespace, or may not be entered.
        """
        self._number = 0
        if netns_fd < 0:
            self._socket = _open()
            return
        with Inside(netns_fd):
            self._socket = _open()

    def __enter__(self) -> "Self":
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def do(self, *messages: Message) -> None:
        """Send messages one after the other; stop at the first that is refused.

        Raises:
            SyscallError: as the kernel says; EPERM without CAP_NET_ADMIN.
        """
        for message in messages:
            with span("netlink.route", message.call, _HINTS):
                self._number += 1
                flags = message.flags | _REQUEST | _ACK
                head = _HEADER.pack(len(message.body) + 16, message.kind, flags, self._number, 0)
                self._socket.send(head + message.body)
                number = self._answer()
                if number and number not in message.ignores:
                    raise OSError(number, os.strerror(number))

    def _answer(self) -> int:
        """Wait for the answer to the last message; return its errno, 0 for none."""
        while True:
            data = self._socket.recv(_MOST)
            _length, kind, _flags, number, _pid = _HEADER.unpack_from(data)
            if number == self._number and kind == _ERROR:
                return -int(struct.unpack_from("=i", data, 16)[0])

    def find(self, name: str) -> Link | None:
        """Return the link of this name, or None."""
        try:
            found = self._ask(_GETLINK, 0, link_body([("IFLA_IFNAME", name)]), f'RTM_GETLINK, "{name}"')
        except SyscallError as exc:
            if exc.errno == errno.ENODEV:
                return None
            raise
        return found[0] if found else None

    def links(self) -> list[Link]:
        """Return all links of the namespace."""
        return self._ask(_GETLINK, _DUMP, link_body([]), "RTM_GETLINK, NLM_F_DUMP")

    def _ask(self, kind: int, flags: int, body: bytes, text: str) -> list[Link]:
        found: list[Link] = []
        with span("netlink.route", f"sendto(NETLINK_ROUTE, {{{text}}})", _HINTS):
            self._number += 1
            head = _HEADER.pack(len(body) + 16, kind, flags | _REQUEST, self._number, 0)
            self._socket.send(head + body)
            while True:
                data = self._socket.recv(_MOST)
                position = 0
                while position < len(data):
                    length, what, _flags, number, _pid = _HEADER.unpack_from(data, position)
                    if number != self._number:
                        break
                    if what == _DONE:
                        return found
                    if what == _ERROR:
                        code = -struct.unpack_from("=i", data, position + 16)[0]
                        raise OSError(code, os.strerror(code))
                    found.append(_link(data[position : position + length]))
                    position += length + 3 & ~3
                if found and not flags & _DUMP:
                    return found


def _open() -> socket.socket:
    made = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, 0)
    made.bind((0, 0))
    return made


def _link(data: bytes) -> Link:
    message: Any = ifinfmsg(data)
    message.decode()
    info = message.get_attr("IFLA_LINKINFO")
    return Link(
        number=message["index"],
        name=message.get_attr("IFLA_IFNAME"),
        kind=(info.get_attr("IFLA_INFO_KIND") if info else "") or "",
        mac=message.get_attr("IFLA_ADDRESS") or "",
        alias=message.get_attr("IFLA_IFALIAS") or "",
        master=message.get_attr("IFLA_MASTER") or 0,
        flags=message["flags"],
    )


def link_body(attributes: Attributes, *, index: int = 0, flags: int = 0, change: int = 0) -> bytes:
    """Return the body of a message about a link."""
    message = ifinfmsg()
    message["index"], message["flags"], message["change"] = index, flags, change
    message["attrs"] = attributes
    return encoded(message)


def encoded(message: Any) -> bytes:
    """Return the body of one of pyroute2's messages: what follows the header."""
    message.encode()
    return bytes(message.data[16 : message.length])


def nested(*attributes: tuple[str, Any]) -> dict[str, Any]:
    """Return attributes as the value of one."""
    return {"attrs": list(attributes)}


def new_bridge(name: str, mac: str, mtu: int) -> Message:
    """Return the message that makes a bridge, switched on, with a hardware address of its own that stays."""
    attributes: Attributes = [("IFLA_IFNAME", name), ("IFLA_ADDRESS", mac)]
    if mtu:
        attributes.append(("IFLA_MTU", mtu))
    attributes.append(("IFLA_LINKINFO", nested(("IFLA_INFO_KIND", "bridge"))))
    body = link_body(attributes, flags=IFF_UP, change=IFF_UP)
    return Message(shown(f'RTM_NEWLINK, "{name}", kind="bridge", IFF_UP'), NEWLINK, CREATE | EXCL, body)


def set_alias(index: int, alias: str) -> Message:
    """Return the message that writes a word of ours on a link."""
    body = link_body([("IFLA_IFALIAS", alias)], index=index)
    return Message(shown(f'RTM_NEWLINK, index={index}, alias="{alias}"'), NEWLINK, 0, body)


def set_up(index: int) -> Message:
    """Return the message that switches a link on."""
    body = link_body([], index=index, flags=IFF_UP, change=IFF_UP)
    return Message(shown(f"RTM_NEWLINK, index={index}, IFF_UP"), NEWLINK, 0, body)


def make_no_address6(index: int) -> Message:
    """Return the message that keeps a link from making itself an address of IPv6."""
    mode = nested(("AF_INET6", nested(("IFLA_INET6_ADDR_GEN_MODE", 1))))
    body = link_body([("IFLA_AF_SPEC", mode)], index=index)
    call = shown(f"RTM_NEWLINK, index={index}, IN6_ADDR_GEN_MODE_NONE")
    return Message(call, NEWLINK, 0, body, (errno.EAFNOSUPPORT,))  # this machine has no IPv6 at all


def set_master(index: int, bridge: int) -> Message:
    """Return the message that plugs a link into a bridge."""
    body = link_body([("IFLA_MASTER", bridge)], index=index)
    return Message(shown(f"RTM_NEWLINK, index={index}, master={bridge}"), NEWLINK, 0, body)


def set_port(name: str, *, is_isolated: bool, turns_back: bool) -> Message:
    """Return the message that says what a port of a bridge does.

    Args:
        name: the link that is plugged into the bridge.
        is_isolated: keep it from the bridge's other isolated ports.
        turns_back: let packets leave where they came in: a container that asks for itself by this machine's address.
    """
    data = nested(("IFLA_BRPORT_MODE", int(turns_back)), ("IFLA_BRPORT_ISOLATED", int(is_isolated)))
    slave = nested(("IFLA_INFO_SLAVE_KIND", "bridge"), ("IFLA_INFO_SLAVE_DATA", data))
    body = link_body([("IFLA_IFNAME", name), ("IFLA_LINKINFO", slave)])
    what = ", hairpin" * turns_back + ", isolated" * is_isolated
    return Message(shown(f'RTM_NEWLINK, "{name}"{what}'), NEWLINK, 0, body)


def new_cable(name: str, bridge: int, peer: str, netns_fd: int, mac: str, *, mtu: int) -> Message:
    """Return the message that makes a veth pair: one end in the bridge, the other born in another namespace."""
    there: Attributes = [("IFLA_IFNAME", peer), ("IFLA_ADDRESS", mac), ("IFLA_NET_NS_FD", netns_fd)]
    here: Attributes = [("IFLA_IFNAME", name), ("IFLA_MASTER", bridge)]
    if mtu:
        there.append(("IFLA_MTU", mtu))
        here.append(("IFLA_MTU", mtu))
    data = nested(("VETH_INFO_PEER", nested(*there)))
    here.append(("IFLA_LINKINFO", nested(("IFLA_INFO_KIND", "veth"), ("IFLA_INFO_DATA", data))))
    body = link_body(here, flags=IFF_UP, change=IFF_UP)
    text = f'RTM_NEWLINK, "{name}", kind="veth", master={bridge}, peer="{peer}" in the namespace'
    return Message(shown(text), NEWLINK, CREATE | EXCL, body)


def delete_link(index: int) -> Message:
    """Return the message that takes a link away; of a cable both ends go."""
    return Message(shown(f"RTM_DELLINK, index={index}"), _DELLINK, 0, link_body([], index=index), (errno.ENODEV,))


def new_address(index: int, address: "Address", prefix: int) -> Message:
    """Return the message that gives a link an address, at once usable: ours are nobody else's."""
    message = ifaddrmsg()
    message["family"] = socket.AF_INET6 if address.family == 6 else socket.AF_INET
    message["prefixlen"], message["index"] = prefix, index
    message["flags"] = _IFA_F_NODAD if address.family == 6 else 0
    text = str(address)
    attributes: Attributes = [("IFA_LOCAL", text), ("IFA_ADDRESS", text)]
    if address.family == 4 and prefix < 31:
        last = address.number | ((1 << (32 - prefix)) - 1)
        attributes.append(("IFA_BROADCAST", socket.inet_ntoa(last.to_bytes(4))))
    message["attrs"] = attributes
    call = shown(f"RTM_NEWADDR, index={index}, {text}/{prefix}")
    return Message(call, _NEWADDR, CREATE | EXCL, encoded(message), (errno.EEXIST,))


def new_default_route(gateway: "Address") -> Message:
    """Return the message that sends packets to all other places to a gateway, unless they have a way already."""
    call = shown(f"RTM_NEWROUTE, default via {gateway}")
    return Message(call, _NEWROUTE, CREATE | EXCL, _default_route(gateway), (errno.EEXIST,))


def delete_default_route(gateway: "Address") -> Message:
    """Return the message that takes that way away, if it leads to this gateway."""
    call = shown(f"RTM_DELROUTE, default via {gateway}")
    return Message(call, _DELROUTE, 0, _default_route(gateway), (errno.ESRCH,))


def _default_route(gateway: "Address") -> bytes:
    message = rtmsg()
    message["family"] = socket.AF_INET6 if gateway.family == 6 else socket.AF_INET
    message["table"], message["proto"] = _RT_TABLE_MAIN, _RTPROT_BOOT
    message["scope"], message["type"] = _RT_SCOPE_UNIVERSE, _RTN_UNICAST
    message["attrs"] = [("RTA_GATEWAY", str(gateway))]
    return encoded(message)


def shown(what: str) -> str:
    """Return a message as strace prints it, in short."""
    return f"sendto(NETLINK_ROUTE, {{{what}}})"
