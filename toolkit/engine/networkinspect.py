"""Networks as Docker's API describes them, and a container's NetworkSettings.

See Also:
    Docker Engine API 1.50, Network, NetworkSettings and EndpointSettings
"""

from toolkit.network.model import DEFAULT, Endpoint, Network

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from toolkit.engine.container import Container
    from toolkit.engine.networks import Networks
    from toolkit.engine.status import Status
    from toolkit.engine.wish import Wish
    from toolkit.network.binding import PortBinding

_EVERYWHERE = ("0.0.0.0", "::")  # noqa: S104 - docker's words for every address of this machine


def network(found: Network, members: "Iterable[Endpoint]") -> "dict[str, Any]":
    """Return what `docker network inspect` shows."""
    return {
        "Name": found.name,
        "Id": found.id,
        "Created": found.created,
        "Scope": "local",
        "Driver": found.driver,
        "EnableIPv4": True,
        "EnableIPv6": found.has_ipv6,
        "IPAM": {
            "Driver": "default",
            "Options": dict(found.ipam_options) or None,
            "Config": [_pool(found, number) for number in range(len(found.pools))],
        },
        "Internal": found.is_internal,
        "Attachable": found.is_attachable,
        "Ingress": False,
        "ConfigFrom": {"Network": ""},
        "ConfigOnly": False,
        "Containers": {
            one.owner: {
                "Name": one.name,
                "EndpointID": one.id,
                "MacAddress": one.mac,
                "IPv4Address": _with_prefix(one, 4),
                "IPv6Address": _with_prefix(one, 6),
            }
            for one in members
        },
        "Options": dict(found.options),
        "Labels": dict(found.labels),
    }


def _pool(found: Network, number: int) -> "dict[str, Any]":
    pool = found.pools[number]
    made: dict[str, Any] = {"Subnet": str(pool.subnet)}
    if pool.ip_range != pool.subnet:
        made["IPRange"] = str(pool.ip_range)
    made["Gateway"] = str(pool.gateway)
    if pool.auxiliary:
        made["AuxiliaryAddresses"] = dict(pool.auxiliary)
    return made


def _with_prefix(one: Endpoint, family: int) -> str:
    return f"{one.address(family)}/{one.prefix(family)}" if one.address(family) else ""


def settings(networks: "Networks", one: "Container", status: "Status") -> "dict[str, Any]":
    """Return a container's NetworkSettings."""
    from toolkit.engine.wish import wishes

    places = networks.endpoints(one.id) if status.is_alive else {}
    wished = wishes(one.doc)
    found = {network.name: network for network in networks.store.networks()} if wished else {}
    shown: dict[str, Any] = {}
    first: Endpoint | None = None
    for name, wish in wished.items():
        known = found.get(name)
        place = None if known is None else places.get(known.id)
        if name == DEFAULT:
            first = place
        shown[name] = _endpoint(one, known.id if known else "", wish, place, is_default=name == DEFAULT)
    if not wished and not one.options.network.startswith("container:"):
        mode = "none" if one.options.network == "default" else one.options.network
        shown[mode] = _endpoint(one, "", None, None)
    return {
        "Bridge": "",
        "SandboxID": "",
        "SandboxKey": f"/proc/{status.pid}/ns/net" if status.pid else "",
        "Ports": ports(one, places.values()) if status.is_alive else {},
        "HairpinMode": False,
        "LinkLocalIPv6Address": "",
        "LinkLocalIPv6PrefixLen": 0,
        "SecondaryIPAddresses": None,
        "SecondaryIPv6Addresses": None,
        **_addresses(first),
        "Networks": shown,
    }


def _addresses(place: Endpoint | None) -> "dict[str, Any]":
    return {
        "EndpointID": place.id if place else "",
        "Gateway": place.gateway(4) if place else "",
        "GlobalIPv6Address": place.address(6) if place else "",
        "GlobalIPv6PrefixLen": place.prefix(6) if place else 0,
        "IPAddress": place.address(4) if place else "",
        "IPPrefixLen": place.prefix(4) if place else 0,
        "IPv6Gateway": place.gateway(6) if place else "",
        "MacAddress": place.mac if place else "",
    }


def _endpoint(
    one: "Container", network_id: str, wish: "Wish | None", place: Endpoint | None, *, is_default: bool = False
) -> "dict[str, Any]":
    asked = {} if wish is None else {"IPv4Address": wish.ip, "IPv6Address": wish.ip6}
    config = {key: value for key, value in asked.items() if value}
    has_names = place is not None and not is_default
    return {
        "IPAMConfig": config or None,
        "Links": list(wish.links) if wish and wish.links else None,
        "Aliases": list(wish.aliases) if wish and wish.aliases else None,
        "DriverOpts": None,
        "GwPriority": 0,
        "NetworkID": network_id,
        **_addresses(place),
        "DNSNames": [one.name, *place.names] if place is not None and has_names else None,
    }


def ports(one: "Container", places: "Iterable[Endpoint]") -> "dict[str, Any]":
    """Return which ports of this machine lead where, as NetworkSettings.Ports."""
    shown: dict[str, Any] = dict.fromkeys(one.exposed)
    for place in places:
        for binding in place.ports:
            shown[f"{binding.container_port}/{binding.protocol}"] = None
        for binding in place.ports:
            key = f"{binding.container_port}/{binding.protocol}"
            shown[key] = [*(shown[key] or []), *published(binding, has_ipv6=True)]
    return dict(sorted(shown.items()))


def published(binding: "PortBinding", *, has_ipv6: bool) -> list[dict[str, str]]:
    """Return a binding as PortBindings; one for every address of this machine is two, as docker has it."""
    addresses = (binding.host_ip,) if binding.host_ip else _EVERYWHERE[: 1 + has_ipv6]
    return [{"HostIp": address, "HostPort": str(binding.host_port)} for address in addresses]


def asked(binding: "PortBinding") -> dict[str, str]:
    """Return a binding as it was asked for, as HostConfig.PortBindings has it."""
    port = "" if not binding.host_port else str(binding.host_port)
    return {
        "HostIp": binding.host_ip,
        "HostPort": f"{port}-{binding.last_host_port}" if binding.last_host_port else port,
    }
