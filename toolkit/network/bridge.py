"""Bridges, and cables from them into network namespaces: what is to be there, and making it so.

Ownership: the alias of a bridge names its engine and its network (`mark.py`).  Between the
call that makes it and the one that writes the alias a bridge is known by the
hardware address that it was born with, which comes from its gateway's.  A
cable has no mark, and needs none: its other end is born in the namespace that
it is for, and goes with that; there is no moment at which it could be lost.
"""

from toolkit.core.errors import ConflictError
from toolkit.network import netlink
from toolkit.network.ipam import mac_of
from toolkit.network.model import OVERLAY
from toolkit.network.subnet import Address, parse_address

TYPE_CHECKING = False
if TYPE_CHECKING:
    from toolkit.network.mark import Mark
    from toolkit.network.model import Endpoint, Network

_SYSCTLS = "/proc/sys/net"
LINK_LOCAL = parse_address("fe80::1")
"""A bridge's own address on its link, as docker's have it."""


def mac(network: "Network") -> str:
    """Return the hardware address that a network's bridge is born with."""
    gateway = network.pools[0].gateway
    return mac_of(gateway if gateway.family == 4 else Address(4, gateway.number & 0xFFFFFFFF))


def ensure(kernel: netlink.Route, mark: "Mark", network: "Network") -> tuple[int, bool]:
    """Have the bridge of a network be there; return its index, and whether it had to be made.

    Raises:
        ConflictError: a link of somebody else's has its name.
        SyscallError: the kernel will not have it.
    """
    found = kernel.find(network.link)
    if found is not None and mark.owns(found.alias) == network.id and found.flags & netlink.IFF_UP:
        return found.number, False
    if found is not None and not _is_ours(found, mark, network):
        message = f"the bridge of network {network.name} cannot be made: this machine has a link {network.link} already"
        raise ConflictError(message, hint="choose another with -o com.docker.network.bridge.name=NAME")
    if found is None:
        kernel.do(netlink.new_bridge(network.link, mac(network), network.mtu))
        found = kernel.find(network.link)
        assert found is not None
    kernel.do(netlink.set_alias(found.number, mark.of(network.id)))
    if network.driver == OVERLAY:
        kernel.do(netlink.make_no_address6(found.number), netlink.set_up(found.number))
        return found.number, True  # this machine is no member of it
    if network.has_ipv6:
        # An address that it made itself would be tried out first, for a second and more after the first cable came:
        # so long this machine asked for none of its neighbours, and their first connections waited.
        kernel.do(netlink.make_no_address6(found.number), netlink.new_address(found.number, LINK_LOCAL, 64))
    kernel.do(netlink.set_up(found.number))
    for pool in network.pools:
        kernel.do(netlink.new_address(found.number, pool.gateway, pool.subnet.prefix))
    try:
        _write(f"ipv4/conf/{network.link}/route_localnet", "1")  # so that a port is reached from here by 127.0.0.1, too
    except OSError:
        pass  # where this cannot be set forwarding cannot either, and that is said
    return found.number, True


def _is_ours(found: netlink.Link, mark: "Mark", network: "Network") -> bool:
    is_new = not found.alias and found.mac == mac(network)
    return found.kind == "bridge" and (mark.owns(found.alias) == network.id or is_new)


def remove(kernel: netlink.Route, mark: "Mark", network: "Network") -> None:
    """Take the bridge of a network away, if it is there and ours."""
    found = kernel.find(network.link)
    if found is not None and _is_ours(found, mark, network):
        kernel.do(netlink.delete_link(found.number))


def connect(kernel: netlink.Route, index: int, network: "Network", endpoint: "Endpoint", netns_fd: int) -> None:
    """Lay a cable from a bridge into a namespace, with addresses and a way out at the other end.

    Raises:
        SyscallError: as the kernel says; nothing of it is left then.
    """
    cable = netlink.new_cable(endpoint.host_link, index, endpoint.link, netns_fd, endpoint.mac, mtu=network.mtu)
    with netlink.Route(netns_fd) as inside:
        unplug(inside, endpoint)  # of one who was killed when it had laid it
        kernel.do(cable)
        try:
            set_up(inside, endpoint)
            is_isolated, turns_back = not network.allows_talk, bool(endpoint.ports)
            if is_isolated or turns_back:
                kernel.do(netlink.set_port(endpoint.host_link, is_isolated=is_isolated, turns_back=turns_back))
        except BaseException:
            unplug(inside, endpoint)
            raise


def turn_back(kernel: netlink.Route, network: "Network", endpoint: "Endpoint") -> None:
    """Let an owner reach itself by a port of this machine."""
    kernel.do(netlink.set_port(endpoint.host_link, is_isolated=not network.allows_talk, turns_back=True))


def set_up(inside: netlink.Route, endpoint: "Endpoint") -> None:
    """Give an owner's end its addresses, switch it on and have it lead out."""
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
        unplug(inside, endpoint)
        for gateway in gateways:
            inside.do(netlink.new_default_route(parse_address(gateway)))


def unplug(inside: netlink.Route, endpoint: "Endpoint") -> None:
    """Take an owner's link away, if it is there."""
    there = inside.find(endpoint.link)
    if there is not None:
        inside.do(netlink.delete_link(there.number))


def plug_again(kernel: netlink.Route, index: int, endpoints: "list[Endpoint]") -> None:
    """Put cables that have lost their bridge into the one that was made in its place."""
    for endpoint in endpoints:
        here = kernel.find(endpoint.host_link)
        if here is not None and here.master != index:
            kernel.do(netlink.set_master(here.number, index))


def remove_strange(kernel: netlink.Route, mark: "Mark", known: set[str]) -> list[str]:
    """Take away the bridges of this engine whose networks it does not know any more; return their names."""
    strange = [link for link in kernel.links() if mark.owns(link.alias) not in ("", *known)]
    for link in strange:
        kernel.do(netlink.delete_link(link.number))
    return [link.name for link in strange]


def orphans(kernel: netlink.Route, mark: "Mark") -> dict[str, list[netlink.Link]]:
    """Return the bridges and vxlans of engines that are no more, by engine; none of one whose containers still run."""
    links = kernel.links()
    used = {link.master for link in links if not mark.outlives(link.alias)}
    found: dict[str, list[netlink.Link]] = {}
    for link in links:
        if mark.outlives(link.alias):
            found.setdefault(link.alias.split(" ")[1], []).append(link)
    return {engine: made for engine, made in found.items() if not any(link.number in used for link in made)}


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
