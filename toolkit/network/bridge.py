"""Bridges, and cables from them into network namespaces: what is to be there, and making it so.

Ownership: the alias of a bridge names its engine and its network.  Between the
call that makes it and the one that writes the alias a bridge is known by the
hardware address that it was born with, which comes from its gateway's.  A
cable has no mark, and needs none: its other end is born in the namespace that
it is for, and goes with that; there is no moment at which it could be lost.
"""

from toolkit.core.errors import ConflictError
from toolkit.network import netlink
from toolkit.network.ipam import mac_of
from toolkit.network.subnet import Address, parse_address

TYPE_CHECKING = False
if TYPE_CHECKING:
    from toolkit.network.model import Endpoint, Network

_WORD = "container-toolkit"
_SYSCTLS = "/proc/sys/net"


def alias_of(identity: str, network: "Network") -> str:
    """Return what stands on the bridge of a network."""
    return f"{_WORD} {identity} {network.id}"


def owned(identity: str, alias: str) -> str:
    """Return the id of the network that an alias names, empty where it is not this engine's."""
    word, _, rest = alias.partition(" ")
    engine, _, network = rest.partition(" ")
    return network if word == _WORD and engine == identity else ""


def mac(network: "Network") -> str:
    """Return the hardware address that a network's bridge is born with."""
    gateway = network.pools[0].gateway
    return mac_of(gateway if gateway.family == 4 else Address(4, gateway.number & 0xFFFFFFFF))


def ensure(kernel: netlink.Route, identity: str, network: "Network") -> tuple[int, bool]:
    """Have the bridge of a network be there; return its index, and whether it had to be made.

    Raises:
        ConflictError: a link of somebody else's has its name.
        SyscallError: the kernel will not have it.
    """
    alias = alias_of(identity, network)
    found = kernel.find(network.link)
    if found is not None and found.alias == alias and found.flags & netlink.IFF_UP:
        return found.number, False
    if found is not None and not _is_ours(found, alias, network):
        message = f"the bridge of network {network.name} cannot be made: this machine has a link {network.link} already"
        raise ConflictError(message, hint="choose another with -o com.docker.network.bridge.name=NAME")
    if found is None:
        kernel.do(netlink.new_bridge(network.link, mac(network), network.mtu))
        found = kernel.find(network.link)
        assert found is not None
    kernel.do(netlink.set_alias(found.number, alias), netlink.set_up(found.number))
    for pool in network.pools:
        kernel.do(netlink.new_address(found.number, pool.gateway, pool.subnet.prefix))
    try:
        _write(f"ipv4/conf/{network.link}/route_localnet", "1")  # so that a port is reached from here by 127.0.0.1, too
    except OSError:
        pass  # where this cannot be set forwarding cannot either, and that is said
    return found.number, True


def _is_ours(found: netlink.Link, alias: str, network: "Network") -> bool:
    return found.kind == "bridge" and (found.alias == alias or (not found.alias and found.mac == mac(network)))


def remove(kernel: netlink.Route, identity: str, network: "Network") -> None:
    """Take the bridge of a network away, if it is there and ours."""
    found = kernel.find(network.link)
    if found is not None and _is_ours(found, alias_of(identity, network), network):
        kernel.do(netlink.delete_link(found.number))


def connect(kernel: netlink.Route, index: int, network: "Network", endpoint: "Endpoint", netns_fd: int) -> None:
    """Lay a cable from a bridge into a namespace, with addresses and a way out at the other end.

    Raises:
        SyscallError: as the kernel says; nothing of it is left then.
    """
    cable = netlink.new_cable(endpoint.host_link, index, endpoint.link, netns_fd, endpoint.mac, mtu=network.mtu)
    with netlink.Route(netns_fd) as inside:
        _unplug(inside, endpoint)  # of one who was killed when it had laid it
        kernel.do(cable)
        try:
            _set_up(inside, endpoint)
            is_isolated, turns_back = not network.allows_talk, bool(endpoint.ports)
            if is_isolated or turns_back:
                kernel.do(netlink.set_port(endpoint.host_link, is_isolated=is_isolated, turns_back=turns_back))
        except BaseException:
            _unplug(inside, endpoint)
            raise


def _set_up(inside: netlink.Route, endpoint: "Endpoint") -> None:
    there = inside.find(endpoint.link)
    assert there is not None
    if not endpoint.address(6):
        inside.do(netlink.make_no_address6(there.number))
    for text in endpoint.addresses:
        address, _, prefix = text.partition("/")
        inside.do(netlink.new_address(there.number, parse_address(address), int(prefix)))
    inside.do(netlink.set_up(there.number))
    for gateway in endpoint.gateways:
        inside.do(netlink.new_default_route(parse_address(gateway)))


def disconnect(endpoint: "Endpoint", netns_fd: int, gateways: tuple[str, ...]) -> None:
    """Take a cable out of a namespace.

    Args:
        endpoint: what it belongs to.
        netns_fd: the namespace.
        gateways: where packets to other places go from now on.
    """
    with netlink.Route(netns_fd) as inside:
        _unplug(inside, endpoint)
        for gateway in gateways:
            inside.do(netlink.new_default_route(parse_address(gateway)))


def _unplug(inside: netlink.Route, endpoint: "Endpoint") -> None:
    there = inside.find(endpoint.link)
    if there is not None:
        inside.do(netlink.delete_link(there.number))


def plug_again(kernel: netlink.Route, index: int, endpoints: "list[Endpoint]") -> None:
    """Put cables that have lost their bridge into the one that was made in its place."""
    for endpoint in endpoints:
        here = kernel.find(endpoint.host_link)
        if here is not None and here.master != index:
            kernel.do(netlink.set_master(here.number, index))


def remove_strange(kernel: netlink.Route, identity: str, known: set[str]) -> list[str]:
    """Take away the bridges of this engine whose networks it does not know any more; return their names."""
    strange = [link for link in kernel.links() if owned(identity, link.alias) not in ("", *known)]
    for link in strange:
        kernel.do(netlink.delete_link(link.number))
    return [link.name for link in strange]


def forward(*, has_ipv6: bool) -> str:
    """Have this machine pass packets on; return a complaint where it does not and cannot be made to.

    Args:
        has_ipv6: those of IPv6, too; a machine that forwards them no longer learns its own routes from routers, so this
            is not done for nothing.
    """
    for path, word in (("ipv4/ip_forward", "IPv4"), ("ipv6/conf/all/forwarding", "IPv6"))[: 1 + has_ipv6]:
        try:
            with open(f"{_SYSCTLS}/{path}") as file:
                if file.read().strip() == "1":
                    continue
            _write(path, "1")
        except OSError:
            return (
                f"{word} forwarding is disabled, and cannot be switched on: containers reach this machine and each "
                f"other, and nothing else. Cure: sysctl net.{path.replace('/', '.')}=1"
            )
    return ""


def _write(path: str, value: str) -> None:
    with open(f"{_SYSCTLS}/{path}", "w") as file:
        file.write(value)
