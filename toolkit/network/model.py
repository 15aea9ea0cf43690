"""What a network, an endpoint and a published port are: plain values, and their documents in the engine's state.

Network    a switch with subnets of its own; what is plugged in can talk to each other
Pool       one subnet of a network, and which of its addresses may be given away
Endpoint   the place of one owner in one network: its addresses, its names, its end of the cable
PortBinding   a port of this machine that leads to one of an owner's
"""

from toolkit.core.record import NamedTuple
from toolkit.network.binding import PortBinding
from toolkit.network.subnet import Address, Subnet, parse_address, parse_subnet

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

NO_TEXTS: "Mapping[str, str]" = {}

BRIDGE, HOST, NULL = "bridge", "host", "null"
"""The drivers: a bridge of our own; the machine's own network; loopback and nothing else."""
MACVLAN, OVERLAY = "macvlan", "overlay"
"""More of them: a link on one of this machine's; bridges of several machines, with a vxlan between."""
WITH_BRIDGE = (BRIDGE, OVERLAY)
_OVERLAY_MTU = "1450"
"""What an Ethernet of 1500 bytes leaves to what is in a vxlan."""
DEFAULT = "bridge"
"""The name of the network of those who name none."""
PREDEFINED = ("bridge", "host", "none")
"""Networks that are always there, under docker's names."""

MACVLAN_PARENT, MACVLAN_MODE = "parent", "macvlan_mode"
MACVLAN_MODES = ("bridge", "private", "vepa", "passthru")
PEERS, VNI, PORT = "peers", "vni", "port"
"""Options of the drivers macvlan and overlay."""
MTU = "com.docker.network.driver.mtu"
BRIDGE_NAME = "com.docker.network.bridge.name"
ICC = "com.docker.network.bridge.enable_icc"
MASQUERADE = "com.docker.network.bridge.enable_ip_masquerade"
HOST_BINDING = "com.docker.network.bridge.host_binding_ipv4"
DEFAULT_BRIDGE = "com.docker.network.bridge.default_bridge"
CONTAINER_PREFIX = "com.docker.network.container_iface_prefix"


class Pool(NamedTuple):
    """A subnet of a network."""

    subnet: Subnet
    gateway: Address
    """The bridge's own address; where packets to other places go."""
    ip_range: Subnet
    """What is given away by itself lies in here; the subnet where nobody says so."""
    auxiliary: "Mapping[str, str]" = NO_TEXTS
    """Addresses that others have, by name: never given away."""
    was_asked_for: bool = False
    """The user chose the subnet: addresses in it can be chosen, too."""


class Network(NamedTuple):
    """One network."""

    id: str
    name: str
    created: str
    driver: str = BRIDGE
    pools: tuple[Pool, ...] = ()
    link: str = ""
    """The name of its bridge."""
    is_internal: bool = False
    """No way leads out of it."""
    has_ipv6: bool = False
    is_attachable: bool = False
    options: "Mapping[str, str]" = NO_TEXTS
    ipam_options: "Mapping[str, str]" = NO_TEXTS
    labels: "Mapping[str, str]" = NO_TEXTS

    @property
    def is_predefined(self) -> bool:
        """Whether it is one of the three that are always there."""
        return self.name in PREDEFINED

    @property
    def mtu(self) -> int:
        """Bytes of the largest packet; 0: the kernel's choice."""
        return int(self.options.get(MTU, _OVERLAY_MTU if self.driver == OVERLAY else "0"))

    @property
    def leads_out(self) -> bool:
        """Whether those who are in it have a way to other places by it."""
        return not self.is_internal and self.driver != OVERLAY

    @property
    def allows_talk(self) -> bool:
        """Whether those who are in it reach each other."""
        return is_true(self.options.get(ICC, "true"))

    @property
    def masquerades(self) -> bool:
        """Whether what leaves it has the machine's own address."""
        return self.leads_out and is_true(self.options.get(MASQUERADE, "true"))

    def pool(self, family: int) -> Pool | None:
        """Return its first subnet of a family."""
        return next((pool for pool in self.pools if pool.subnet.family == family), None)


class Naming(NamedTuple):
    """What an owner is called in a network, and what it calls others."""

    names: tuple[str, ...] = ()
    """What others in the network find it by, besides its name."""
    links: "Mapping[str, str]" = NO_TEXTS
    """Names that its owner alone has for others, by what all call them: docker's --link."""
    servers: tuple[str, ...] = ()
    """Name servers that its owner has chosen; empty: this machine's."""


class Endpoint(NamedTuple):
    """The place of one owner in one network."""

    id: str
    network: str
    """The network's id."""
    owner: str
    """A container's id."""
    name: str
    """The owner's name."""
    addresses: tuple[str, ...]
    """Each with its prefix: 172.17.0.2/16."""
    gateways: tuple[str, ...]
    """Where packets to other places go, for each family at most one; empty: nowhere."""
    mac: str
    link: str
    """The end of its cable in the owner's namespace: eth0, ..."""
    host_link: str
    """The other end, on this machine."""
    names: tuple[str, ...] = ()
    """What others in the network find it by, besides its name."""
    ports: tuple[PortBinding, ...] = ()
    """As they really are: with a port and an address of this machine each."""
    links: "Mapping[str, str]" = NO_TEXTS
    servers: tuple[str, ...] = ()
    """Both as in `Naming`."""

    def address(self, family: int) -> str:
        """Return its address of a family without the prefix, or an empty text."""
        return next((each.partition("/")[0] for each in self.addresses if (":" in each) == (family == 6)), "")

    def prefix(self, family: int) -> int:
        """Return how many bits the addresses of its subnet have in common; 0 without an address."""
        return next((int(each.partition("/")[2]) for each in self.addresses if (":" in each) == (family == 6)), 0)

    def gateway(self, family: int) -> str:
        """Return the gateway of a family, or an empty text."""
        return next((each for each in self.gateways if (":" in each) == (family == 6)), "")

    def to_document(self) -> "dict[str, Any]":
        """Return it as the state keeps it."""
        return {**self._asdict(), "links": dict(self.links)}

    @classmethod
    def from_document(cls, doc: "Mapping[str, Any]") -> "Endpoint":
        """Make it of what the state has kept."""
        values: dict[str, Any] = {**doc}
        for key in ("addresses", "gateways", "names", "servers"):
            values[key] = tuple(doc.get(key, ()))  # older code has written no servers
        values["ports"] = tuple(PortBinding(*each) for each in doc["ports"])
        return cls(**values)


def is_true(text: str) -> bool:
    """Read the value of an option as docker does."""
    return text.lower() in ("1", "t", "true")


def to_document(network: Network) -> "dict[str, Any]":
    """Return a network as the state keeps it."""
    pools = [
        {
            "subnet": str(pool.subnet),
            "gateway": str(pool.gateway),
            "ip_range": str(pool.ip_range),
            "auxiliary": dict(pool.auxiliary),
            "was_asked_for": pool.was_asked_for,
        }
        for pool in network.pools
    ]
    mappings = {key: dict(getattr(network, key)) for key in ("options", "ipam_options", "labels")}
    return {**network._asdict(), **mappings, "pools": pools}


def from_document(doc: "Mapping[str, Any]") -> Network:
    """Make a network of what the state has kept."""
    pools = tuple(
        Pool(
            parse_subnet(each["subnet"]),
            parse_address(each["gateway"]),
            parse_subnet(each["ip_range"]),
            each["auxiliary"],
            each["was_asked_for"],
        )
        for each in doc["pools"]
    )
    fields = {key: doc[key] for key in Network._fields if key != "pools"}
    return Network(pools=pools, **fields)
