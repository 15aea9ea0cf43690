"""Networks of the driver overlay: a bridge on each machine, and a vxlan between them with peers that are named.

    container network create -d overlay --subnet 10.1.0.0/16 --ip-range 10.1.1.0/24
        -o peers=192.0.2.2,192.0.2.3 -o vni=4097 -o port=4789 wide

What is sent to all, or to whom nobody knows, goes to each peer; who is where is
learnt from what comes (RFC 7348).  Nobody shares out addresses between the
machines: each gives away those of its own --ip-range.  No way leads out, for
the machines' bridges have no addresses in it: two gateways of one address would
be each other's enemies.
"""

import errno
import socket
from typing import Any

from pyroute2.netlink.rtnl.ndmsg import ndmsg

from toolkit.core.errors import ConflictError
from toolkit.network import netlink
from toolkit.network.model import PEERS, PORT, VNI

TYPE_CHECKING = False
if TYPE_CHECKING:
    from toolkit.network.mark import Mark
    from toolkit.network.model import Network

DEFAULT_VNI, DEFAULT_PORT = 4097, 4789
_NEWNEIGH, _APPEND = 28, 0x800
_NUD_PERMANENT, _NUD_NOARP, _NTF_SELF = 0x80, 0x40, 0x02
_ALL = "00:00:00:00:00:00"


def link_of(network: "Network") -> str:
    """Return the name of a network's link to its peers."""
    return f"vx-{network.id[:12]}"


def ensure(kernel: netlink.Route, mark: "Mark", network: "Network", bridge: int) -> None:
    """Have the link to a network's peers be there and in its bridge.

    Raises:
        ConflictError: this machine has a vxlan of that number and port already, or a link of that name.
    """
    name = link_of(network)
    found = kernel.find(name)
    if found is not None and found.kind != "vxlan":
        raise ConflictError(f"network {network.name} cannot be made: this machine has a link {name} already")
    if found is not None and found.master == bridge and mark.owns(found.alias) == network.id:
        return
    if found is None:
        try:
            kernel.do(_new_link(network))
        except OSError as exc:
            if exc.errno != errno.EEXIST:
                raise
            what = f"vni {_number(network, VNI, DEFAULT_VNI)} on port {_number(network, PORT, DEFAULT_PORT)}"
            message = f"network {network.name} cannot be made: this machine has a vxlan with {what} already"
            raise ConflictError(message, hint="choose another with -o vni=NUMBER") from exc
        found = kernel.find(name)
        assert found is not None
    kernel.do(netlink.set_alias(found.number, mark.of(network.id)))
    kernel.do(*(_peer(found.number, address) for address in peers(network)))
    kernel.do(netlink.set_master(found.number, bridge), netlink.set_up(found.number))


def remove(kernel: netlink.Route, mark: "Mark", network: "Network") -> None:
    """Take the link to a network's peers away, if it is there and ours."""
    found = kernel.find(link_of(network))
    if found is not None and mark.owns(found.alias) == network.id:
        kernel.do(netlink.delete_link(found.number))


def peers(network: "Network") -> list[str]:
    """Return the addresses of the other machines."""
    return [text for text in network.options.get(PEERS, "").split(",") if text]


def _number(network: "Network", name: str, default: int) -> int:
    return int(network.options.get(name, default))


def _new_link(network: "Network") -> netlink.Message:
    vni, port = _number(network, VNI, DEFAULT_VNI), _number(network, PORT, DEFAULT_PORT)
    data: netlink.Attributes = [
        ("IFLA_VXLAN_ID", vni), ("IFLA_VXLAN_PORT", port), ("IFLA_VXLAN_LEARNING", 1),
    ]  # fmt: skip
    if any(":" in peer for peer in peers(network)):
        data.append(("IFLA_VXLAN_LOCAL6", "::"))
    attributes: netlink.Attributes = [
        ("IFLA_IFNAME", link_of(network)),
        ("IFLA_MTU", network.mtu),
        ("IFLA_LINKINFO", netlink.nested(("IFLA_INFO_KIND", "vxlan"), ("IFLA_INFO_DATA", netlink.nested(*data)))),
    ]
    call = netlink.shown(f'RTM_NEWLINK, "{link_of(network)}", kind="vxlan", id={vni}, port={port}')
    return netlink.Message(call, netlink.NEWLINK, netlink.CREATE | netlink.EXCL, netlink.link_body(attributes))


def _peer(index: int, address: str) -> netlink.Message:
    """Return the message that sends what is for all, or for nobody known, to one more machine."""
    message: Any = ndmsg()
    message["family"], message["ifindex"] = socket.AF_BRIDGE, index
    message["state"], message["flags"] = _NUD_PERMANENT | _NUD_NOARP, _NTF_SELF
    message["attrs"] = [("NDA_LLADDR", _ALL), ("NDA_DST", address)]
    call = netlink.shown(f"RTM_NEWNEIGH, AF_BRIDGE, index={index}, {_ALL} at {address}")
    return netlink.Message(call, _NEWNEIGH, netlink.CREATE | _APPEND, netlink.encoded(message), (errno.EEXIST,))
