"""Netlink messages, as few as finding out what a network can be made of takes.

The engine's own networks are made elsewhere, with a library; this asks the kernel
whether it would, in a process that must stay small.

See Also:
    netlink(7), rtnetlink(7); include/uapi/linux/{netlink,rtnetlink,if_link}.h
"""

import errno
import os
import socket
import struct

from toolkit.trace import span

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

_NLM_F_REQUEST, _NLM_F_ACK, _NLM_F_CREATE = 0x1, 0x4, 0x400
_NLMSG_ERROR = 2
_RTM_NEWLINK = 16
_IFLA_IFNAME, _IFLA_LINK, _IFLA_LINKINFO = 3, 5, 18
_IFLA_INFO_KIND, _IFLA_INFO_DATA = 1, 2
NETLINK_ROUTE, NETLINK_NETFILTER = 0, 12


def attribute(kind: int, value: bytes) -> bytes:
    """Return a struct nlattr, padded."""
    return struct.pack("=HH", len(value) + 4, kind) + value + b"\0" * (-len(value) % 4)


def message(kind: int, flags: int, body: bytes) -> bytes:
    """Return a struct nlmsghdr and what follows it."""
    return struct.pack("=IHHII", len(body) + 16, kind, flags | _NLM_F_REQUEST, 1, 0) + body


def ask(family: int, content: bytes, call: str, hints: "Mapping[int, str]") -> None:
    """Send messages, the last of which wants an answer, and wait for it.

    Raises:
        SyscallError: what the kernel thinks of it.
    """
    with (
        span("netlink.ask", call, hints),
        socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, family) as link,
    ):
        link.bind((0, 0))
        link.send(content)
        answer = link.recv(65536)
        (kind,) = struct.unpack_from("=H", answer, 4)
        (number,) = struct.unpack_from("=i", answer, 16)
        if kind != _NLMSG_ERROR:
            number = -errno.EPROTO
        if number:
            raise OSError(-number, os.strerror(-number))


def new_link(name: str, kind: str, *, data: bytes = b"", parent: int = 0) -> None:
    """Make a network link in the network namespace of the caller.

    Raises:
        SyscallError: EOPNOTSUPP if the kernel has no such kind, EPERM without CAP_NET_ADMIN.
    """
    info = attribute(_IFLA_INFO_KIND, kind.encode()) + (attribute(_IFLA_INFO_DATA, data) if data else b"")
    body = struct.pack("=BxHiII", 0, 0, 0, 0, 0) + attribute(_IFLA_IFNAME, name.encode() + b"\0")
    if parent:
        body += attribute(_IFLA_LINK, struct.pack("=I", parent))
    body += attribute(_IFLA_LINKINFO, info)
    call = f'sendto(NETLINK_ROUTE, {{RTM_NEWLINK, "{name}", kind="{kind}"}})'
    hints = {errno.EOPNOTSUPP: f"load the kernel's module: modprobe {kind}"}
    ask(NETLINK_ROUTE, message(_RTM_NEWLINK, _NLM_F_CREATE | _NLM_F_ACK, body), call, hints)


_BATCH_BEGIN, _BATCH_END = 16, 17
_NFT_NEWTABLE = 10 << 8  # NFNL_SUBSYS_NFTABLES, NFT_MSG_NEWTABLE
_NFTA_TABLE_NAME = 1
_NFPROTO_IPV4 = 2


def new_nft_table(name: str) -> None:
    """Make an nftables table in the network namespace of the caller.

    Raises:
        SyscallError: EPROTONOSUPPORT or EINVAL if the kernel has no nftables.
    """
    batch = struct.pack("=BBH", 0, 0, socket.htons(10))
    table = struct.pack("=BBH", _NFPROTO_IPV4, 0, 0) + attribute(_NFTA_TABLE_NAME, name.encode() + b"\0")
    content = (
        message(_BATCH_BEGIN, 0, batch)
        + message(_NFT_NEWTABLE, _NLM_F_CREATE | _NLM_F_ACK, table)
        + message(_BATCH_END, 0, batch)
    )
    call = f'sendto(NETLINK_NETFILTER, {{NFT_MSG_NEWTABLE, "{name}"}})'
    ask(NETLINK_NETFILTER, content, call, {errno.EINVAL: "load the kernel's module: modprobe nf_tables"})
