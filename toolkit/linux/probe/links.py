"""What networks of containers can be made of, tried in a network namespace of its own."""

import errno
import os
import socket
import struct

from toolkit.linux import namespace
from toolkit.linux.probe import Feature
from toolkit.linux.probe.attempt import Case, LackingError, tried
from toolkit.linux.probe.netlink import attribute, new_link, new_nft_table

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

NETWORKS = "networks by"
_IFLA_VXLAN_ID, _IFLA_VXLAN_PORT = 1, 15


def links() -> list[Feature]:
    """Try every kind of link that the engine's networks use."""
    return tried(_cases())


def _cases() -> list[Case]:
    return [
        _link("veth", "a cable between two networks", "run --network bridge", lambda: new_link("probe0", "veth")),
        _link("bridge", "a switch of one's own", "run --network bridge", lambda: new_link("probe0", "bridge")),
        _link("macvlan", "a second address on the wire", "network create --driver macvlan", _macvlan),
        _link("vxlan", "a cable through other networks", "overlay networks, services", _vxlan),
        Case(
            NETWORKS,
            "nftables",
            "rules for packets: who may talk to whom, and under which address",
            _nft_table,
            "run --publish, and the internet from a container",
            {errno.EINVAL: "load the kernel's module: modprobe nf_tables"},
        ),
        Case(
            NETWORKS,
            "forwarding",
            "packets that pass through this machine",
            _forwarding,
            "the internet from a container",
            {errno.EROFS: "sysctl net.ipv4.ip_forward=1 on the host"},
        ),
    ]


def _link(kind: str, meaning: str, needed_for: str, deed: "Callable[[], None]") -> Case:
    def in_own_network() -> None:
        namespace.unshare(namespace.CLONE_NEWNET)
        deed()

    return Case(
        NETWORKS, kind, meaning, in_own_network, needed_for, {errno.EOPNOTSUPP: f"load the module: modprobe {kind}"}
    )


def _macvlan() -> None:
    new_link("parent0", "veth")
    new_link("probe0", "macvlan", parent=socket.if_nametoindex("parent0"))


def _vxlan() -> None:
    data = attribute(_IFLA_VXLAN_ID, struct.pack("=I", 42)) + attribute(_IFLA_VXLAN_PORT, struct.pack(">H", 4789))
    new_link("probe0", "vxlan", data=data)


def _nft_table() -> None:
    namespace.unshare(namespace.CLONE_NEWNET)
    new_nft_table("probe")


def _forwarding() -> str:
    path = "/proc/sys/net/ipv4/ip_forward"
    with open(path, encoding="ascii") as file:
        value = file.read().strip()
    if value != "1" and not os.access(path, os.W_OK):
        raise LackingError(f"{path} is {value}, and cannot be written")
    return f"{path} = {value}" + ("" if value == "1" else ", and can be written")
