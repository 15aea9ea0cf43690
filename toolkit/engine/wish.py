"""What a container asks of the networks that it is in or is to be in, as its record keeps it; pure."""

from typing import Any, NamedTuple

from toolkit.core import ids
from toolkit.core.errors import ConflictError, InvalidError
from toolkit.network import ipam
from toolkit.network.model import DEFAULT, HOST, NULL, Network
from toolkit.network.subnet import parse_address

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from toolkit.core.state import Document
    from toolkit.engine.container import Container


class Wish(NamedTuple):
    """What a container asks of a network that it is in."""

    ip: str = ""
    ip6: str = ""
    mac: str = ""
    aliases: tuple[str, ...] = ()
    links: tuple[str, ...] = ()
    """Its own names for other containers there: "NAME:ALIAS", or just "NAME"."""

    @property
    def addresses(self) -> tuple[str, ...]:
        """The addresses that it must have."""
        return tuple(each for each in (self.ip, self.ip6) if each)


def wishes(doc: "Mapping[str, Any]") -> dict[str, Wish]:
    """Return the networks that a container is or is to be in, by name, the first one first."""
    stored: Mapping[str, Any] = doc.get("networks") or {}
    return {
        name: Wish(each["ip"], each["ip6"], each["mac"], tuple(each["aliases"]), tuple(each.get("links", ())))
        for name, each in stored.items()
    }


def names_of(container: "Container", wish: Wish) -> tuple[str, ...]:
    """Return what others in a network find a container by, besides its name: docker's DNSNames."""
    hostname = container.options.hostname
    return tuple(dict.fromkeys((*wish.aliases, container.short_id, *((hostname,) if hostname else ()))))


def checked_links(texts: "Iterable[str]") -> tuple[str, ...]:
    """Return links as NAME:ALIAS each; that there is no such container (yet) does not matter, as in docker.

    Raises:
        InvalidError: one cannot be read.
    """
    from toolkit.engine.links import parse

    return tuple(":".join(parse(text)) for text in texts)


def links_of(wish: Wish) -> dict[str, str]:
    """Return what those are called that a container has a name of its own for, by that name."""
    pairs = [text.partition(":") for text in wish.links]
    return {alias: name[:12] if len(name) == ids.ID_HEX else name for name, _, alias in pairs}


def with_wish(doc: "Document", name: str, wish: Wish) -> "Document":
    """Return a container's record with one more network, or with another wish of one."""
    return {**doc, "networks": {**(doc.get("networks") or {}), name: wish._asdict()}}


def without_wish(doc: "Document", name: str) -> "Document":
    """Return a container's record without a network."""
    return {**doc, "networks": {key: each for key, each in (doc.get("networks") or {}).items() if key != name}}


def refuse_mode(mode: str, network: Network) -> None:
    """Refuse to connect a container whose network namespace is not its own, or a network that is none of ours.

    Raises:
        ConflictError: so it is.
    """
    if network.driver == HOST or mode == "host":
        raise ConflictError("container cannot be disconnected from host network or connected to host network")
    if network.driver == NULL or mode == "none":
        raise ConflictError(
            "container cannot be connected to multiple networks with one of the networks in private (none) mode"
        )
    if mode.startswith("container:"):
        raise ConflictError(
            "container sharing network namespace with another container or host cannot be connected to any other "
            "network"
        )


def check_wish(network: Network, wish: Wish) -> None:
    """Refuse what cannot be had in a network.

    Raises:
        InvalidError: with docker's words.
    """
    if network.name == DEFAULT and wish.aliases:
        raise InvalidError(
            "network-scoped aliases are only supported for user-defined networks", hint="container network create"
        )
    if network.name == DEFAULT and wish.links:
        raise InvalidError("links are only supported for user-defined networks", hint="container network create")
    for text in wish.addresses:
        if network.name == DEFAULT:
            message = "user specified IP address is supported on user defined networks only"
            raise InvalidError(message, hint="make one with container network create --subnet")
        address = parse_address(text)
        ipam.refuse_address(network.pools, address)
        pool = next(pool for pool in network.pools if pool.subnet.contains(address))
        if not pool.was_asked_for:
            message = (
                "user specified IP address is supported only when connecting to networks with user configured subnets"
            )
            raise InvalidError(message, hint="make the network with --subnet")
