"""What a new network is to be: its options, checked, and the subnets that it gets for them."""

from typing import Any, NamedTuple

from toolkit.core.errors import ConflictError, InvalidError, UnsupportedError
from toolkit.network import ipam, model, routes
from toolkit.network.model import (
    BRIDGE,
    HOST,
    MACVLAN,
    MACVLAN_MODE,
    MACVLAN_MODES,
    MACVLAN_PARENT,
    NULL,
    OVERLAY,
    PEERS,
    PORT,
    VNI,
    Network,
)
from toolkit.network.subnet import parse_address, parse_subnet

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_MOST_NAME = 15
"""IFNAMSIZ less one."""
_DRIVERS = (BRIDGE, MACVLAN, OVERLAY)
_NOTHING: "Mapping[str, str]" = {}


class NetworkOptions(NamedTuple):
    """What a new network is to be."""

    name: str
    driver: str = BRIDGE
    subnets: tuple[str, ...] = ()
    gateways: tuple[str, ...] = ()
    """Each is the gateway of the subnet that it lies in.  So for the next two."""
    ip_ranges: tuple[str, ...] = ()
    aux_addresses: "Mapping[str, str]" = _NOTHING
    """Address by name."""
    is_internal: bool = False
    has_ipv6: bool = False
    is_attachable: bool = False
    options: "Mapping[str, str]" = _NOTHING
    ipam_options: "Mapping[str, str]" = _NOTHING
    labels: "Mapping[str, str]" = _NOTHING


def check(options: NetworkOptions) -> None:
    """Refuse what no network can be.

    Raises:
        ConflictError: a name that is docker's, or a driver of which there is one network.
        InvalidError: a value that means nothing.
        UnsupportedError: a driver that there is not.
    """
    from toolkit.engine.names import check_name

    if options.name in model.PREDEFINED or options.name == "default":
        message = f"operation is not permitted on predefined {options.name} network"
        raise ConflictError(message, hint="choose another name")
    if not options.name:
        raise InvalidError("invalid name: name is empty", hint="give the network a name")
    check_name(options.name)
    if options.driver not in _DRIVERS:
        if options.driver in (HOST, NULL):
            raise ConflictError(f'only one instance of "{options.driver}" network is allowed')
        message = f"could not find plugin {options.driver} in v1 plugin registry: plugin not found"
        raise UnsupportedError(message, hint=f"the drivers are {', '.join(_DRIVERS)}")
    _check_driver(options)
    link = options.options.get(model.BRIDGE_NAME, "")
    if len(link) > _MOST_NAME or "/" in link or any(char.isspace() for char in link):
        raise InvalidError(f"invalid name of a bridge: {link}", hint=f"at most {_MOST_NAME} characters, no / or space")
    mtu = options.options.get(model.MTU, "0")
    if not (mtu.isascii() and mtu.isdecimal()) or 0 < int(mtu) < 68 or int(mtu) > 65535:
        raise InvalidError(f"invalid mtu: {mtu}", hint="a number of bytes, 68 to 65535")


def _check_driver(options: NetworkOptions) -> None:
    """Refuse options that mean nothing to their driver."""
    given = dict(options.options)
    if options.driver == MACVLAN:
        if not given.get(MACVLAN_PARENT):
            message = "a macvlan network needs a parent interface"
            raise InvalidError(message, hint="name one of this machine's: -o parent=eth0")
        if given.get(MACVLAN_MODE, "bridge") not in MACVLAN_MODES:
            message = f"unknown macvlan mode {given[MACVLAN_MODE]}"
            raise InvalidError(message, hint=f"the modes are {', '.join(MACVLAN_MODES)}")
    if options.driver == OVERLAY:
        for text in filter(None, given.get(PEERS, "").split(",")):
            parse_address(text)
        for name, most in ((VNI, (1 << 24) - 1), (PORT, 0xFFFF)):
            text = given.get(name, "1")
            if not (text.isascii() and text.isdecimal() and 0 < int(text) <= most):
                raise InvalidError(f"invalid {name}: {text}", hint=f"a number from 1 to {most}")


def with_pools(
    network: Network, options: NetworkOptions, others: "list[tuple[str, Any]]", pools: "Sequence[tuple[str, int]]"
) -> Network:
    """Return a network with the subnets that it asks for, or the next that is free in `pools`."""
    here = routes.routes() if network.driver != MACVLAN else []  # its subnet is that of a link of this machine
    subnets = [parse_subnet(text, strict=True) for text in options.subnets]
    mine: list[tuple[str, Any]] = []
    for subnet in subnets:
        ipam.refuse_overlap(subnet, [*others, *mine], here)
        mine.append((network.name, subnet))
    if not any(subnet.family == 4 for subnet in subnets):
        subnets.insert(0, ipam.next_subnet([*(subnet for _name, subnet in others), *here], pools))
    if network.has_ipv6 and not any(subnet.family == 6 for subnet in subnets):
        subnets.append(ipam.unique_local(network.id))
    asked = {str(parse_subnet(text)) for text in options.subnets}
    gateways, ranges, aux = list(options.gateways), list(options.ip_ranges), dict(options.aux_addresses)
    made: list[model.Pool] = []
    for subnet in subnets:
        gateway = next((text for text in gateways if subnet.contains(parse_address(text))), "")
        ip_range = next((text for text in ranges if subnet.covers(parse_subnet(text))), "")
        mine_aux = {name: text for name, text in aux.items() if subnet.contains(parse_address(text))}
        gateways = [text for text in gateways if text != gateway]
        ranges = [text for text in ranges if text != ip_range]
        aux = {name: text for name, text in aux.items() if name not in mine_aux}
        made.append(
            ipam.pool(
                subnet, gateway=gateway, ip_range=ip_range, auxiliary=mine_aux, was_asked_for=str(subnet) in asked
            )
        )
    for what, left in (("gateway", gateways), ("ip-range", ranges), ("aux-address", list(aux.values()))):
        if left:
            raise InvalidError(f"no matching subnet for {what} {left[0]}", hint="give one with --subnet")
    return network._replace(pools=tuple(made))
