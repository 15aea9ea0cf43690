"""Rules in a container's namespace: what asks 127.0.0.11 at port 53 reaches our socket, which has another port.

A socket at port 53 itself would keep a name server of the container's own from
having the port on all addresses.  Docker translates addresses, and with that
begins to track each connection of the container; here ports are rewritten in
packets and nothing is remembered.  The rules are the same for all, so they are
encoded once, and are one transaction; libnftables would take 0.3 ms for each.

    table ip container-toolkit-dns {
        chain asked    { type filter hook output priority raw;
                         ip daddr 127.0.0.11 udp dport 53 udp dport set PORT ... }
        chain answered { type filter hook output priority 300;
                         ip saddr 127.0.0.11 udp sport PORT udp sport set 53 ... }
    }

What is asked is rewritten before anything in the container tracks it, and what
is answered after: to it this is a conversation with the one port.

See Also:
    include/uapi/linux/netfilter/{nfnetlink,nf_tables}.h; nft(8)
"""

import errno
import os
import socket
import struct

from toolkit.network.dns.servers import ADDRESS
from toolkit.trace import span

PORT, OWN_PORT = 53, 61953
"""Where the container asks; where we listen: above the ports that the kernel gives away by itself."""
TABLE = "container-toolkit-dns"
_NETLINK_NETFILTER, _NFTABLES = 12, 10
_BATCH_BEGIN, _BATCH_END = 0x10, 0x11
_NEWTABLE, _NEWCHAIN, _NEWRULE = 0, 3, 6
_REQUEST, _ACK, _EXCL, _CREATE, _APPEND = 0x1, 0x4, 0x200, 0x400, 0x800
_ERROR = 2
_NESTED = 0x8000
_LOCAL_OUT = 3
_BEFORE_TRACKING, _AFTER_ALL = -300, 300
_NETWORK_HEADER, _TRANSPORT_HEADER = 1, 2
_SADDR, _DADDR, _SPORT, _DPORT = 12, 16, 0, 2
_REGISTER = 1
_META_L4PROTO = 16
_CHECKSUM_AT = {socket.IPPROTO_UDP: 6, socket.IPPROTO_TCP: 16}
_HINTS = {errno.ENOENT: "load the kernel's module: modprobe nf_tables", errno.EPERM: "rules need CAP_NET_ADMIN"}
_CALL = f"sendto(NETLINK_NETFILTER, {{table ip {TABLE}: {ADDRESS}:{PORT} -> :{OWN_PORT}}})"


def _attribute(kind: int, content: bytes) -> bytes:
    return struct.pack("=HH", 4 + len(content), kind) + content + bytes(-len(content) % 4)


def _nested(kind: int, *attributes: bytes) -> bytes:
    return _attribute(kind | _NESTED, b"".join(attributes))


def _number(kind: int, value: int) -> bytes:
    return _attribute(kind, struct.pack("!i", value))


def _text(kind: int, value: str) -> bytes:
    return _attribute(kind, value.encode() + b"\0")


def _expression(name: str, *attributes: bytes) -> bytes:
    return _nested(1, _text(1, name), _nested(2, *attributes))


def _load(base: int, offset: int, length: int) -> bytes:
    return _expression("payload", _number(1, _REGISTER), _number(2, base), _number(3, offset), _number(4, length))


def _equals(value: bytes) -> bytes:
    return _expression("cmp", _number(1, _REGISTER), _number(2, 0), _nested(3, _attribute(1, value)))


def _rule(chain: str, protocol: int, address_at: int, port_at: int, ports: tuple[int, int]) -> bytes:
    """Return the rule that writes one port for another where an address is ours."""
    before, after = (struct.pack("!H", port) for port in ports)
    expressions = (
        _load(_NETWORK_HEADER, address_at, 4),
        _equals(socket.inet_aton(ADDRESS)),
        _expression("meta", _number(1, _REGISTER), _number(2, _META_L4PROTO)),
        _equals(bytes((protocol,))),
        _load(_TRANSPORT_HEADER, port_at, 2),
        _equals(before),
        _expression("immediate", _number(1, _REGISTER), _nested(2, _attribute(1, after))),
        _expression(
            "payload", _number(5, _REGISTER), _number(2, _TRANSPORT_HEADER), _number(3, port_at), _number(4, 2),
            _number(6, 1), _number(7, _CHECKSUM_AT[protocol]),
        ),
    )  # fmt: skip
    return _text(1, TABLE) + _text(2, chain) + _nested(4, *expressions)


def _chain(name: str, priority: int) -> bytes:
    hook = _nested(4, _number(1, _LOCAL_OUT), _number(2, priority))
    return _text(1, TABLE) + _text(3, name) + hook + _text(7, "filter")


def _transaction() -> bytes:
    """Return the messages that make the table, if it is not there.

    One that is there is left alone: what is deleted first is waited for, 15 ms, when the socket is closed.
    """
    wanted: list[tuple[int, int, bytes]] = [
        (_NEWTABLE, _CREATE | _EXCL, _text(1, TABLE)),
        (_NEWCHAIN, _CREATE, _chain("asked", _BEFORE_TRACKING)),
        (_NEWCHAIN, _CREATE, _chain("answered", _AFTER_ALL)),
    ]
    for protocol in _CHECKSUM_AT:
        ask = _rule("asked", protocol, _DADDR, _DPORT, (PORT, OWN_PORT))
        answer = _rule("answered", protocol, _SADDR, _SPORT, (OWN_PORT, PORT))
        wanted += [(_NEWRULE, _CREATE | _APPEND, each) for each in (ask, answer)]
    batch = [_message(_BATCH_BEGIN, 0, 0, b"", family=0, resource=_NFTABLES)]
    last = len(wanted) - 1
    for number, (kind, flags, body) in enumerate(wanted):
        batch.append(_message(_NFTABLES << 8 | kind, flags | (_ACK if number == last else 0), number + 1, body))
    batch.append(_message(_BATCH_END, 0, len(wanted) + 1, b"", family=0, resource=_NFTABLES))
    return b"".join(batch)


def _message(
    kind: int, flags: int, number: int, body: bytes, *, family: int = socket.AF_INET, resource: int = 0
) -> bytes:
    head = struct.pack("=IHHII", 20 + len(body), kind, flags | _REQUEST, number, 0)
    return head + struct.pack("!BBH", family, 0, resource) + body


_MESSAGES = _transaction()


def lead_here() -> None:
    """Have port 53 of our address lead to our own port, in the network namespace of the calling process.

    Raises:
        SyscallError: as the kernel says; nothing of it is there then.
    """
    talk = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, _NETLINK_NETFILTER)
    with talk, span("netlink.nftables", _CALL, _HINTS):
        talk.send(_MESSAGES)
        data = talk.recv(64 * 1024)
        code = -struct.unpack_from("=i", data, 16)[0] if struct.unpack_from("=H", data, 4)[0] == _ERROR else 0
        if code and code != errno.EEXIST:
            raise OSError(code, os.strerror(code))
